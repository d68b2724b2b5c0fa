"""The words of the data sets' tables, put into ours. A word that nobody knows raises BadData, never a default."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping

from mammolibs.errors import BadData
from mammolibs.records import UNKNOWN

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
ACR_DENSITY = {"1": "A", "2": "B", "3": "C", "4": "D", "a": "A", "b": "B", "c": "C", "d": "D", "0": "", "_": "", "": ""}

# An image whose worst lesion nobody judged may be malignant, so unknown outranks benign.
_LABEL_ORDER = ("malignant", UNKNOWN, "benign", "normal")


def translate(word: object, words: Mapping[str, str], what: str) -> str:
    """Our word for a table's word, blanks and case aside. Raises BadData for a word that is not in `words`."""
    plain = "" if word is None else str(word).strip().lower()
    if plain not in words:
        raise BadData(f"{what} is {str(word).strip()!r}; known are {', '.join(repr(w) for w in words if w)}")
    return words[plain]


def worst_pathology(pathologies: Iterable[str]) -> str:
    """The label of what holds several: the worst of them; unknown for none."""
    found = set(pathologies)
    return next((word for word in _LABEL_ORDER if word in found), UNKNOWN)


def worst_birads(values: Iterable[object]) -> str:
    """The highest BI-RADS category among values such as 3, "4a" or "5$2"; 0 (incomplete) only where nothing else is said."""
    found = {part.strip().lower() for value in values for part in str(value).split("$") if part.strip()[:1].isdigit()}
    return max(found, default="")


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
