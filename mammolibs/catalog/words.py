"""The words of the data sets' tables, put into ours. A word that nobody knows raises BadData, never a default."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping

from mammolibs.errors import BadData
from mammolibs.records import LESION_KINDS, UNKNOWN

# What programs write where there is nothing.
_EMPTY = ("nan", "none", "null", "na", "n/a", "<na>")
PATHOLOGY_WORDS = {
    "malignant": "malignant",
    "m": "malignant",
    "cancer": "malignant",
    "benign": "benign",
    "b": "benign",
    "benign_without_callback": "benign",
    "normal": "normal",
    "norm": "normal",
    "unknown": UNKNOWN,
    "": UNKNOWN,
}
LATERALITY_WORDS = {"l": "L", "left": "L", "r": "R", "right": "R", "unknown": UNKNOWN, "": UNKNOWN}
VIEW_WORDS = {word.lower(): word for word in ("CC", "MLO", "ML", "LM", "LMO", "XCC", "other", UNKNOWN)} | {"": UNKNOWN}
KIND_WORDS = {kind: kind for kind in LESION_KINDS}
ACR_DENSITY = {"1": "A", "2": "B", "3": "C", "4": "D", "a": "A", "b": "B", "c": "C", "d": "D", "0": "", "_": "", "": ""}

# In the order of suspicion, which is also that of the characters.
BIRADS_WORDS = {category: category for category in ("", "0", "1", "2", "3", "4", "4a", "4b", "4c", "5", "6")}

# Sources of people's own data, whose patients stand under one name: one woman may be in several of them.
OWN = "own"
OWN_SOURCES = ("csv", "dicom_folder")

# An image whose worst lesion nobody judged may be malignant, so unknown outranks benign.
_LABEL_ORDER = ("malignant", UNKNOWN, "benign", "normal")


def filled(cell: str) -> str:
    """A table's cell; "" where a program wrote that there is nothing in it."""
    return "" if cell.lower() in _EMPTY else cell


def translate(word: object, words: Mapping[str, str], what: str) -> str:
    """Our word for a table's word, blanks and case aside. Raises BadData for a word that is not in `words`."""
    plain = "" if word is None else str(word).strip().lower()
    if plain not in words:
        raise BadData(f"{what} is {str(word).strip()!r}; known are {', '.join(repr(w) for w in words if w)}")
    return words[plain]


def number(word: object, what: str) -> float | None:
    """The finite number that a table's cell holds, None where it is empty. Raises BadData."""
    text = "" if word is None else str(word).strip()
    try:
        value = float(text) if text else None
    except ValueError:
        value = math.nan
    if value is not None and not math.isfinite(value):
        raise BadData(f"{what} is {text!r}, which is no number")
    return value


def whole(word: object, what: str) -> int | None:
    """As `number`, cut to a whole number."""
    value = number(word, what)
    return None if value is None else int(value)


def worst_pathology(pathologies: Iterable[str]) -> str:
    """The label of what holds several: the worst of them; unknown for none."""
    found = set(pathologies)
    return next((word for word in _LABEL_ORDER if word in found), UNKNOWN)


def worst_birads(values: Iterable[object]) -> str:
    """The highest BI-RADS category among values such as 3, "4a" or "5$2"; 0 (incomplete) only where nothing else is said."""
    found = {part.strip().lower() for value in values for part in str(value).split("$") if part.strip()[:1].isdigit()}
    return max(found, default="")


def birads_pathology(category: str, malignant_from: str) -> str:
    """The label that a BI-RADS category is taken for, which is an opinion and no proof: say truth "birads" beside it.

    1 is normal; what is below `malignant_from` is benign, the rest malignant. Unknown are 0
    (incomplete), none, and a plain 4 where malignant_from is 4b. Raises BadData for what is no category.
    """
    if translate(category, BIRADS_WORDS, "BI-RADS") in ("", "0"):
        return UNKNOWN
    if category >= malignant_from:
        return "malignant"
    if malignant_from.startswith(category):
        return UNKNOWN
    return "normal" if category == "1" else "benign"


def make_id(source: str, name: str) -> str:
    """An image id that is also a safe file name: source, a dash, the name.

    A name that has to be changed for that carries a hash of its full form, so that two
    names never become one.
    """
    safe = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    if safe != name and not re.fullmatch(r"[0-9.]+", name):
        safe = f"{safe[-80:]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return f"{source}-{safe}"


def make_person(source: str, name: object) -> str:
    """A patient or exam id: the source's name, a slash, the id as the source writes it."""
    return f"{source}/{name}"


def issued(patient_id: str, issuer: str) -> str:
    """Whom an id of a patient means: the same number of two issuers is two people."""
    return f"{issuer}/{patient_id}" if issuer else patient_id


def joined(person: str) -> str:
    """A patient or exam id as all sources of people's own data share it: under `OWN`, where it stands under one of these."""
    source, slash, name = person.partition("/")
    return make_person(OWN, name) if slash and source in OWN_SOURCES else person


def spellings(person: str) -> tuple[str, ...]:
    """Every way in which catalogs and cards may name this patient."""
    source, _, name = joined(person).partition("/")
    return tuple(make_person(prefix, name) for prefix in (OWN, *OWN_SOURCES)) if source == OWN else (person,)
