"""How makers name views: codes of CID 4014, words of View Position and of free text.

CID 4014 "View for Mammography" (PS3.16) exists in SNOMED CT and in the older SNOMED RT codes.
"""

from __future__ import annotations

import re
from functools import lru_cache

from mammolibs.records import UNKNOWN

# The headers of a data set say the same few words again and again.
WORDS_KEPT = 1024
_WORD = re.compile(r"[A-Z]+")
_FLAT_FIELD = re.compile(r"\bFLAT[ _-]?FIELD\b")
VIEW_CODES = {
    "399162004": "CC", "R-10242": "CC",
    "399368009": "MLO", "R-10226": "MLO",
    "399260004": "ML", "R-10224": "ML",
    "399352003": "LM", "R-10228": "LM",
    "399099002": "LMO", "R-10230": "LMO",
    "399192008": "XCC", "R-1024A": "XCC",
    "399101009": "XCC", "R-1024B": "XCC",
    "399265009": "XCC", "Y-X1770": "XCC",
    "399196006": "other", "R-10244": "other",  # caudo-cranial, "from below"
    "399188001": "other", "R-102D0": "other",  # superolateral to inferomedial oblique
    "441555000": "other", "R-40AAA": "other",  # inferomedial to superolateral oblique
    "127457009": "other", "G-8310": "other",  # tissue specimen
}  # fmt: skip

VIEW_WORDS = {
    "CC": "CC", "CRANIOCAUDAL": "CC",
    "MLO": "MLO", "MEDIOLATERALOBLIQUE": "MLO",
    "CCID": "CC", "MLOID": "MLO",  # the implant displaced
    "ML": "ML", "MEDIOLATERAL": "ML",
    "LM": "LM", "LATEROMEDIAL": "LM",
    "LMO": "LMO", "LATEROMEDIALOBLIQUE": "LMO",
    "XCC": "XCC", "XCCL": "XCC", "XCCM": "XCC",
    "FB": "other", "SIO": "other", "ISO": "other", "AT": "other", "SPECIMEN": "other",
}  # fmt: skip

# CID 4015 "View Modifier for Mammography", those that make an image another kind of image; and words of free text.
MODIFIER_CODES = {
    "399055006": "spot", "R-102D7": "spot",
    "399163009": "magnification", "R-102D6": "magnification",
    "399209000": "implant displaced", "R-102D5": "implant displaced",
}  # fmt: skip
MODIFIER_WORDS = {
    "SPOT": "spot",
    "MAG": "magnification", "MAGN": "magnification", "MAGNIFIED": "magnification", "MAGNIFICATION": "magnification",
    "CCID": "implant displaced", "MLOID": "implant displaced",
    "FLATFIELD": "flat field",
}  # fmt: skip

SIDE_WORDS = {"L": "L", "LEFT": "L", "R": "R", "RIGHT": "R"}
# "AT" and the like are words of ordinary text, so only these are looked for there.
TEXT_VIEWS = ("CC", "MLO", "ML", "LM", "LMO", "XCC", "XCCL", "XCCM")


def agreed(values: list[str]) -> str:
    """The one value that all that say something agree on; unknown where nobody says or two differ."""
    said = {v for v in values if v != UNKNOWN}
    return said.pop() if len(said) == 1 else UNKNOWN


@lru_cache(WORDS_KEPT)
def view_word(text: str) -> str:
    """The view that a View Position names, such as "MLO", "medio-lateral oblique" or "RMLO"; else unknown."""
    word = "".join(_WORD.findall(text.upper()))
    if word in VIEW_WORDS:
        return VIEW_WORDS[word]
    return VIEW_WORDS.get(word[1:], UNKNOWN) if word[:1] in ("L", "R") else UNKNOWN


@lru_cache(WORDS_KEPT)
def side_word(text: str) -> str:
    """L or R for the value of a laterality element; B (both), U (unpaired) and the rest are unknown."""
    return SIDE_WORDS.get(text.strip().upper(), UNKNOWN)


@lru_cache(WORDS_KEPT)
def modifier_words(text: str) -> tuple[str, ...]:
    """The view modifiers that free text names, such as "R CC SPOT MAG"."""
    joined = _FLAT_FIELD.sub("FLATFIELD", text.upper())
    return tuple(MODIFIER_WORDS[word] for word in _WORD.findall(joined) if word in MODIFIER_WORDS)


@lru_cache(WORDS_KEPT)
def read_words(text: str) -> tuple[str, str]:
    """Laterality and view from free text such as "L CC", "RMLO", "Mammogram left MLO Tomo".

    Each is unknown where the text names none, or more than one ("Bilateral CC and MLO").
    """
    sides, views = [], []
    for word in _WORD.findall(text.upper()):
        if word in SIDE_WORDS:
            sides.append(SIDE_WORDS[word])
        elif word in TEXT_VIEWS:
            views.append(VIEW_WORDS[word])
        elif word[0] in ("L", "R") and word[1:] in TEXT_VIEWS:
            sides.append(word[0])
            views.append(VIEW_WORDS[word[1:]])
        elif word.startswith("BILAT"):
            sides += ["L", "R"]
    return agreed(sides), agreed(views)
