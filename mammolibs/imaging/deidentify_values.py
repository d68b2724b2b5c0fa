"""What of a value names nobody: how numbers, codes and UIDs look, ages, and the words of a description that are ours."""

from __future__ import annotations

import re

from pydicom.dataelem import DataElement
from pydicom.multival import MultiValue

from mammolibs.imaging.codes import modifier_words, read_words, view_word
from mammolibs.records import UNKNOWN

OLDEST = 89
STANDARD_UID = re.compile(r"1\.2\.840\.10008\.[0-9.]+")
# DS and IS are written as text, and pydicom passes on what is no number.
NUMBER = re.compile(r"[0-9+\-.eE ]*")
CODE = re.compile(r"[A-Z0-9_ ]{0,16}")
# Codes in which people write what they like: of these the known ones stay.
KNOWN_CODES = {
    "ImageType": re.compile(
        "ORIGINAL|DERIVED|PRIMARY|SECONDARY|NONE|LEFT|RIGHT|AXIAL|VOLUME|MIXED|MIP|SUBTRACTION|TOMO|TOMO_2D|TOMO_PROJ|TOMOSYNTHESIS"
        "|GENERATED_2D|POST_CONTRAST|POST_PROCESSED"
    ),
    "PatientOrientation": re.compile("[APRLHF]{1,3}"),
}
BODY_PARTS = {"BREAST", "MAMMA", "CHEST", "THORAX", "AXILLA"}


def values_of(element: DataElement) -> list[str]:
    """An element's values as they are written."""
    values = element.value if isinstance(element.value, (list, MultiValue)) else [element.value]
    return ["" if value is None else str(value) for value in values]


def known_codes(keyword: str, values: list[str]) -> list[str]:
    """The values of an element with those emptied that are not known to be codes; all of another element than `KNOWN_CODES` names."""
    known = KNOWN_CODES.get(keyword)
    return [value if known.fullmatch(value) else "" for value in values] if known else values


def body_part(text: str) -> str:
    return text if text.upper() in BODY_PARTS else ""


def view_position(text: str) -> str:
    return text if view_word(text) != UNKNOWN else words(text)


def words(text: str) -> str:
    """Side, view and modifiers that a description names, in our words; nothing else of it."""
    side, view = read_words(text)
    written = {"magnification": "MAG", "spot": "SPOT", "implant displaced": f"{view}ID", "flat field": "FLATFIELD"}
    return " ".join([word for word in (side, view) if word != UNKNOWN] + [written[word] for word in dict.fromkeys(modifier_words(text))])


def age(text: str) -> str:
    """An Age String, 90Y at most; "" for what is none."""
    match = re.fullmatch(r"(\d{3})([DWMY])", text.strip().upper())
    if match is None:
        return ""
    return f"{OLDEST + 1:03d}Y" if match[2] == "Y" and int(match[1]) > OLDEST else match[0]


def age_between(birth: str, study: str) -> str:
    """The age in years from two dates YYYYMMDD, as `age`; "" where one is no date."""
    if not (re.fullmatch(r"\d{8}", birth) and re.fullmatch(r"\d{8}", study) and birth <= study):
        return ""
    return age(f"{int(study[:4]) - int(birth[:4]) - (study[4:] < birth[4:]):03d}Y")
