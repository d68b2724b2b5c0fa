"""The elements of a DICOM header that facts are made of, read from the first bytes of the file in one pass.

It knows explicit VR little endian in the form that nearly all files have, sequences among it. Whatever is odd in any
way (another encoding, a VR or a length that does not fit, a value that is not what it claims to be) it does not read, and
says so: pydicom then reads the file, with its own rules for broken ones. What it does read has the values that pydicom
would give; so all elements are passed over one by one, wanted or not, since pydicom may refuse a file for any of them.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from pydicom.charset import python_encoding
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.valuerep import EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32

from mammolibs.imaging.codes import WORDS_KEPT
from mammolibs.imaging.guard import printable
from mammolibs.imaging.header import FLOAT_PIXEL_DATA, MAX_TEXT, PIXEL_DATA, Elements

# Nearly all headers are shorter than the first; those with large tables or private blobs fit into the second.
PREFIX_BYTES = (16 << 10, 1 << 20)
KEYWORDS = (
    *("SOPClassUID", "SOPInstanceUID", "Modality", "PresentationIntentType", "Manufacturer", "CodeValue", "SeriesDescription"),
    *("PatientID", "IssuerOfPatientID", "PatientAge", "BodyPartExamined", "ProtocolName", "EstimatedRadiographicMagnificationFactor"),
    *("ImagerPixelSpacing", "AcquisitionDeviceProcessingDescription", "NominalScannedPixelSpacing", "ViewPosition"),
    *("StudyInstanceUID", "SeriesInstanceUID", "InstanceNumber", "PatientOrientation", "ImagePositionPatient"),
    *(
        "ImageOrientationPatient",
        "DetectorType",
        "ConversionType",
        "Laterality",
        "ImageLaterality",
        "FrameAnatomySequence",
        "FrameLaterality",
        "SamplesPerPixel",
    ),
    *("PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "PixelSpacing", "BitsAllocated", "BitsStored"),
    *("PixelRepresentation", "BurnedInAnnotation", "BreastImplantPresent", "LossyImageCompression", "PixelMeasuresSequence"),
    *("ViewCodeSequence", "ViewModifierCodeSequence", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)


def _as_number(vr: str) -> int:
    """A Value Representation as its two bytes read as one number."""
    return int.from_bytes(vr.encode(), "little")


# Those whose length takes two bytes, and those whose length takes four (PS3.5 7.1.2).
_SHORT, _LONG = frozenset(map(_as_number, EXPLICIT_VR_LENGTH_16)), frozenset(map(_as_number, EXPLICIT_VR_LENGTH_32))
_SEQUENCE, _UNKNOWN = _as_number("SQ"), _as_number("UN")
_META_VRS = (b"UL", b"UI", b"SH", b"AE", b"OB")
_EXPLICIT = "1.2.840.10008.1.2.1"
# Encapsulated syntaxes, all of them explicit VR little endian; those of JPIP (.94 and .95) hold no pixels, and one is deflated.
_ENCAPSULATED = re.compile(r"1\.2\.840\.10008\.1\.2\.(?:5|4\.(?!9[45]$)\d+)")
_TRANSFER_SYNTAX = 0x00020010
_UNDEFINED, _ENDLESS = 0xFFFFFFFF, 1 << 62
_MAX_DEPTH = 16
# Character sets whose names need no look at escape sequences; text in another one is read here where it is ASCII.
_PLAIN_SETS = {"": "latin-1", "ISO_IR 6": "latin-1", "ISO_IR 100": "latin-1", "ISO_IR 192": "utf-8"}
# Python reads more as a number than DICOM writes as one: underscores, words.
_DECIMAL_CHARACTERS, _INTEGER_CHARACTERS, _MAX_DIGITS = b"0123456789+-.eE \\", b"0123456789+- ", 12
_meta_head = struct.Struct("<HH2sH").unpack_from
_head = struct.Struct("<IHH").unpack_from
_long = struct.Struct("<I").unpack_from
_item = struct.Struct("<II").unpack_from


def _as_stored(tag: int) -> int:
    """A tag as its four bytes read as one number: the group's two come first."""
    return tag >> 16 | (tag & 0xFFFF) << 16


_PIXELS = tuple(map(_as_stored, (PIXEL_DATA, *FLOAT_PIXEL_DATA)))
_ITEM, _ITEM_END, _SEQUENCE_END = map(_as_stored, (0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD))
_ITEM_BYTES = struct.pack("<I", _ITEM)


class TooShort(Exception):
    """The header goes on behind these bytes, or says so."""


class _Odd(Exception):
    """Something that is not known here."""


class Prefix(NamedTuple):
    """What a header says under `KEYWORDS`, its transfer syntax UID, and how many bytes it has."""

    elements: Elements
    syntax: str
    end: int


def read_prefix(data: bytes) -> Prefix | None:
    """The header that ends within these first bytes of a file, at its pixels.

    None where pydicom must read it. Raises TooShort where more bytes may tell.
    """
    try:
        syntax, place = _read_meta(data)
        if syntax != _EXPLICIT and not _ENCAPSULATED.fullmatch(syntax):
            return None
        elements = Elements()
        end = _read_elements(data, place, _ENDLESS, elements, "", 0)
    except (struct.error, IndexError) as error:
        raise TooShort from error
    # A value that is no number is odd as well.
    except (_Odd, ValueError):
        return None
    return Prefix(elements, syntax, end)


def _read_meta(data: bytes) -> tuple[str, int]:
    """Transfer syntax UID, and where the data set begins."""
    if data[128:132] != b"DICM":
        raise _Odd
    place, last, syntax = 132, 0, b""
    while True:
        group, number, vr, length = _meta_head(data, place)
        # A group 0 is of a message between programs, and has an encoding of its own.
        if group == 0:
            raise _Odd
        if group != 2:
            break
        tag = group << 16 | number
        if tag <= last or vr not in _META_VRS:
            raise _Odd
        last, place = tag, place + 8
        if vr == b"OB":
            (length,) = _long(data, place)
            place += 4
        if tag == _TRANSFER_SYNTAX:
            syntax = data[place : place + length]
        place += length
    return printable(syntax.decode("ascii", "replace"), MAX_TEXT), place


def _read_elements(data: bytes, place: int, end: int, into: Elements | None, charset: str, depth: int) -> int:
    """Read a data set into `into`, or only pass over it; where it ends. Of an element that is there twice the second holds.

    end: of an item with a length; an item without lasts to its delimiter, and the whole (depth 0) to the pixels.
    A character set that follows a wanted element is odd: text before it would not have been read in it.
    """
    while place < end:
        tag, vr, length = _head(data, place)
        place += 8
        if vr in _SHORT:
            wanted = _WANTED.get(tag)
            if wanted:
                keyword, expected, read = wanted
                raw = data[place : place + length]
                if vr != expected or (read is None and into):
                    raise _Odd
                if len(raw) != length:
                    raise TooShort
                if read is None:
                    charset = _read_charset(raw)
                elif raw and into is not None:
                    into[keyword] = read(raw, charset)
                elif into:
                    into.pop(keyword, None)
            place += length
        elif vr in _LONG:
            (length,) = _long(data, place)
            place += 4
            if tag in _PIXELS and depth == 0:
                return place
            if vr == _SEQUENCE:
                place = _read_sequence(data, place, length, into, tag, charset, depth + 1)
            elif length == _UNDEFINED or tag in _WANTED or (vr == _UNKNOWN and (not tag & 1 or data[place : place + 4] == _ITEM_BYTES)):
                raise _Odd
            else:
                place += length
        elif tag == _ITEM_END and end == _ENDLESS and depth and vr == length == 0:
            return place
        else:
            raise _Odd
    if place > end:
        raise _Odd
    return place


def _read_sequence(data: bytes, place: int, length: int, into: Elements | None, tag: int, charset: str, depth: int) -> int:
    """Read a sequence where it is wanted, or only pass over it; where it ends."""
    keyword, expected, _ = _WANTED.get(tag, ("", _SEQUENCE, None))
    if depth > _MAX_DEPTH or expected != _SEQUENCE:
        raise _Odd
    end = _ENDLESS if length == _UNDEFINED else place + length
    items: list[Elements] | None = [] if keyword and into is not None else None
    while place < end:
        name, size = _item(data, place)
        place += 8
        if name == _SEQUENCE_END and end == _ENDLESS and size == 0:
            end = place
            break
        if name != _ITEM:
            raise _Odd
        item = None if items is None else Elements()
        place = _read_elements(data, place, _ENDLESS if size == _UNDEFINED else place + size, item, charset, depth)
        if items is not None:
            items.append(item)
    if place > end:
        raise _Odd
    if items is not None:
        into[keyword] = items
    return place


def _read_charset(raw: bytes) -> str:
    names = raw.decode("latin-1").rstrip(" \0").split("\\")
    if any(name not in python_encoding for name in names):
        raise _Odd
    return "\\".join(names)


@lru_cache(WORDS_KEPT)
def _code(raw: bytes, charset: str) -> str | tuple[str, ...]:
    return _parts(raw.decode("latin-1"))


def _uid(raw: bytes, charset: str) -> str | tuple[str, ...]:
    return _parts(raw.decode("latin-1"))


def _text(raw: bytes, charset: str) -> str | tuple[str, ...]:
    if b"\x1b" in raw or not (raw.isascii() or charset in _PLAIN_SETS):
        raise _Odd
    return _parts(raw.decode(_PLAIN_SETS.get(charset, "ascii")))


def _parts(text: str) -> str | tuple[str, ...]:
    text = text.rstrip(" \0")
    return tuple(text.split("\\")) if "\\" in text else printable(text, MAX_TEXT)


@lru_cache(WORDS_KEPT)
def _decimals(raw: bytes, charset: str) -> float | tuple[float, ...]:
    text = raw.rstrip(b" \0")
    if text.translate(None, _DECIMAL_CHARACTERS):
        raise _Odd
    numbers = tuple(float(part) for part in text.split(b"\\"))
    return numbers if len(numbers) > 1 else numbers[0]


def _integer(raw: bytes, charset: str) -> int:
    text = raw.rstrip(b" \0")
    if len(text) > _MAX_DIGITS or text.translate(None, _INTEGER_CHARACTERS):
        raise _Odd
    return int(text)


def _shorts(raw: bytes, charset: str) -> int | tuple[int, ...]:
    if len(raw) == 2:
        return raw[0] | raw[1] << 8
    if len(raw) % 2:
        raise _Odd
    return struct.unpack(f"<{len(raw) // 2}H", raw)


_READERS: dict[str, Callable[[bytes, str], Any]] = {
    "CS": _code, "AS": _code, "UI": _uid, "LO": _text, "SH": _text, "DS": _decimals, "IS": _integer, "US": _shorts,
}  # fmt: skip
# Tag -> keyword, the Value Representation that it must have, how to read its value; the delimiter of an item has none.
_WANTED = {
    _as_stored(tag_for_keyword(keyword)): (keyword, _as_number(vr), _READERS.get(vr))
    for keyword, vr in ((keyword, dictionary_VR(keyword)) for keyword in KEYWORDS)
} | {_as_stored(tag_for_keyword("SpecificCharacterSet")): ("SpecificCharacterSet", _as_number("CS"), None), _ITEM_END: ("", 0, None)}
