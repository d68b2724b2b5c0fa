"""The elements of a header that facts are made of, and how their bytes become the values that pydicom would give."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from pydicom.charset import python_encoding
from pydicom.datadict import dictionary_VR, tag_for_keyword

from mammolibs.imaging.codes import WORDS_KEPT
from mammolibs.imaging.guard import printable
from mammolibs.imaging.header import MAX_TEXT

KEYWORDS = (
    *("SOPClassUID", "SOPInstanceUID", "Modality", "PresentationIntentType", "Manufacturer", "CodeValue", "SeriesDescription"),
    *("PatientID", "IssuerOfPatientID", "PatientAge", "BodyPartExamined", "ProtocolName", "EstimatedRadiographicMagnificationFactor"),
    *("ImagerPixelSpacing", "AcquisitionDeviceProcessingDescription", "NominalScannedPixelSpacing", "ViewPosition"),
    *("StudyInstanceUID", "SeriesInstanceUID", "InstanceNumber", "PatientOrientation", "ImagePositionPatient"),
    *("ImageOrientationPatient", "DetectorType", "ConversionType", "Laterality", "ImageLaterality", "FrameAnatomySequence"),
    *("FrameLaterality", "SamplesPerPixel"),
    *("PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "PixelSpacing", "BitsAllocated", "BitsStored"),
    *("PixelRepresentation", "BurnedInAnnotation", "BreastImplantPresent", "LossyImageCompression", "PixelMeasuresSequence"),
    *("ViewCodeSequence", "ViewModifierCodeSequence", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
# Character sets whose names need no look at escape sequences; text in another one is read here where it is ASCII.
_PLAIN_SETS = {"": "latin-1", "ISO_IR 6": "latin-1", "ISO_IR 100": "latin-1", "ISO_IR 192": "utf-8"}
# Python reads more as a number than DICOM writes as one: underscores, words.
_DECIMAL_CHARACTERS, _INTEGER_CHARACTERS, _MAX_DIGITS = b"0123456789+-.eE \\", b"0123456789+- ", 12


class Odd(Exception):
    """Something that is not known here."""


class Wanted(NamedTuple):
    """keyword of an element, its Value Representation, and what reads its value: None for the character set, sequences too."""

    keyword: str
    vr: str
    read: Callable[[bytes, str], Any] | None


def read_charset(raw: bytes) -> str:
    names = raw.decode("latin-1").rstrip(" \0").split("\\")
    if any(name not in python_encoding for name in names):
        raise Odd
    return "\\".join(names)


@lru_cache(WORDS_KEPT)
def _code(raw: bytes, charset: str) -> str | tuple[str, ...]:
    return _parts(raw.decode("latin-1"))


def _uid(raw: bytes, charset: str) -> str | tuple[str, ...]:
    return _parts(raw.decode("latin-1"))


def _text(raw: bytes, charset: str) -> str | tuple[str, ...]:
    if b"\x1b" in raw or not (raw.isascii() or charset in _PLAIN_SETS):
        raise Odd
    return _parts(raw.decode(_PLAIN_SETS.get(charset, "ascii")))


def _parts(text: str) -> str | tuple[str, ...]:
    text = text.rstrip(" \0")
    return tuple(text.split("\\")) if "\\" in text else printable(text, MAX_TEXT)


@lru_cache(WORDS_KEPT)
def _decimals(raw: bytes, charset: str) -> float | tuple[float, ...]:
    text = raw.rstrip(b" \0")
    if text.translate(None, _DECIMAL_CHARACTERS):
        raise Odd
    numbers = tuple(float(part) for part in text.split(b"\\"))
    return numbers if len(numbers) > 1 else numbers[0]


def _integer(raw: bytes, charset: str) -> int:
    text = raw.rstrip(b" \0")
    if len(text) > _MAX_DIGITS or text.translate(None, _INTEGER_CHARACTERS):
        raise Odd
    return int(text)


def _shorts(raw: bytes, charset: str) -> int | tuple[int, ...]:
    if len(raw) == 2:
        return raw[0] | raw[1] << 8
    if len(raw) % 2:
        raise Odd
    return struct.unpack(f"<{len(raw) // 2}H", raw)


_READERS: dict[str, Callable[[bytes, str], Any]] = {
    "CS": _code, "AS": _code, "UI": _uid, "LO": _text, "SH": _text, "DS": _decimals, "IS": _integer, "US": _shorts,
}  # fmt: skip
# By tag.
WANTED = {
    tag_for_keyword(keyword): Wanted(keyword, vr, _READERS.get(vr))
    for keyword, vr in ((keyword, dictionary_VR(keyword)) for keyword in KEYWORDS)
} | {tag_for_keyword("SpecificCharacterSet"): Wanted("SpecificCharacterSet", "CS", None)}
