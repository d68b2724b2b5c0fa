"""The elements of a DICOM header that facts are made of, read from the first bytes of the file in one pass.

It knows explicit VR little endian in the form that nearly all files have, sequences among it. Whatever is odd in any
way (another encoding, tags out of order, a VR or a length that does not fit) it does not read, and says so: pydicom then
reads the file, with its own rules for broken ones. What it does read has the values that pydicom would give.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from pydicom.charset import python_encoding
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.valuerep import EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32

from mammolibs.imaging.guard import printable
from mammolibs.imaging.header import FLOAT_PIXEL_DATA, MAX_TEXT, PIXEL_DATA, Elements

# Nearly all headers are shorter than the first; those with large tables or private blobs fit into the second.
PREFIX_BYTES = (16 << 10, 1 << 20)
KEYWORDS = (
    *("SOPClassUID", "SOPInstanceUID", "Modality", "PresentationIntentType", "Manufacturer", "CodeValue", "SeriesDescription"),
    *("PatientID", "IssuerOfPatientID", "PatientAge", "BodyPartExamined", "ProtocolName", "EstimatedRadiographicMagnificationFactor"),
    *("ImagerPixelSpacing", "AcquisitionDeviceProcessingDescription", "NominalScannedPixelSpacing", "ViewPosition"),
    *("StudyInstanceUID", "SeriesInstanceUID", "InstanceNumber", "PatientOrientation", "ImagePositionPatient"),
    *("ImageOrientationPatient", "Laterality", "ImageLaterality", "FrameAnatomySequence", "FrameLaterality", "SamplesPerPixel"),
    *("PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "PixelSpacing", "BitsAllocated", "BitsStored"),
    *("PixelRepresentation", "BurnedInAnnotation", "BreastImplantPresent", "LossyImageCompression", "PixelMeasuresSequence"),
    *("ViewCodeSequence", "ViewModifierCodeSequence", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
_WANTED = {tag_for_keyword(keyword): (keyword, dictionary_VR(keyword).encode()) for keyword in KEYWORDS}
# Value Representation -> whether its length takes four bytes (PS3.5 7.1.2).
_IS_LONG = {vr.encode(): False for vr in EXPLICIT_VR_LENGTH_16} | {vr.encode(): True for vr in EXPLICIT_VR_LENGTH_32}
_META_VRS = (b"UL", b"UI", b"SH", b"AE", b"OB")
_EXPLICIT = "1.2.840.10008.1.2.1"
# Encapsulated syntaxes, all of them explicit VR little endian; those of JPIP (.94 and .95) hold no pixels, and one is deflated.
_ENCAPSULATED = re.compile(r"1\.2\.840\.10008\.1\.2\.(?:5|4\.(?!9[45]$)\d+)")
_PIXELS = (PIXEL_DATA, *FLOAT_PIXEL_DATA)
_CHARACTER_SET, _TRANSFER_SYNTAX = 0x00080005, 0x00020010
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_ITEM_BYTES = b"\xfe\xff\x00\xe0"
_UNDEFINED = 0xFFFFFFFF
_MAX_DEPTH = 16
# Character sets whose names need no look at escape sequences; text in another one is read here where it is ASCII.
_PLAIN_SETS = {"": "latin-1", "ISO_IR 6": "latin-1", "ISO_IR 100": "latin-1", "ISO_IR 192": "utf-8"}
_NUMBER = rb" *[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)? *"
_DECIMALS = re.compile(rb"%b(?:\\%b)*[ \0]*" % (_NUMBER, _NUMBER))
_INTEGER = re.compile(rb" *[+-]?\d{1,12}[ \0]*")
_head = struct.Struct("<HH2sH").unpack_from
_long = struct.Struct("<I").unpack_from
_item = struct.Struct("<HHI").unpack_from


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
        end = _read_elements(data, place, None, elements, "", 0)
    except (struct.error, IndexError) as error:
        raise TooShort from error
    except _Odd:
        return None
    return Prefix(elements, syntax, end)


def _read_meta(data: bytes) -> tuple[str, int]:
    """Transfer syntax UID, and where the data set begins."""
    if data[128:132] != b"DICM":
        raise _Odd
    place, last, syntax = 132, 0, b""
    while True:
        group, number, vr, length = _head(data, place)
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


def _read_elements(data: bytes, place: int, end: int | None, into: Elements | None, charset: str, depth: int) -> int:
    """Read a data set into `into`, or only pass over it; where it ends.

    end: of an item with a length; without it an item lasts to its delimiter, and the whole (depth 0) to the pixels.
    """
    last = 0
    while place != end:
        group, number, vr, length = _head(data, place)
        tag = group << 16 | number
        is_long = _IS_LONG.get(vr)
        if is_long is None or tag <= last or group < 8:
            if tag == _ITEM_END and end is None and depth and data[place + 4 : place + 8] == b"\0\0\0\0":
                return place + 8
            raise _Odd
        last, place = tag, place + 8
        if is_long:
            (length,) = _long(data, place)
            place += 4
        if depth == 0 and tag in _PIXELS:
            return place
        if vr == b"SQ":
            place = _read_sequence(data, place, length, into, tag, charset, depth + 1)
        elif length == _UNDEFINED:
            raise _Odd
        else:
            if tag in _WANTED or tag == _CHARACTER_SET:
                charset = _read_value(data[place : place + length], length, vr, tag, into, charset)
            elif vr == b"UN" and (group % 2 == 0 or data[place : place + 4] == _ITEM_BYTES):
                raise _Odd
            place += length
        if end is not None and place > end:
            raise _Odd
    return place


def _read_sequence(data: bytes, place: int, length: int, into: Elements | None, tag: int, charset: str, depth: int) -> int:
    """Read a sequence where it is wanted, or only pass over it; where it ends."""
    if depth > _MAX_DEPTH:
        raise _Odd
    keyword, vr = _WANTED.get(tag, ("", b""))
    if keyword and vr != b"SQ":
        raise _Odd
    end = None if length == _UNDEFINED else place + length
    items: list[Elements] | None = [] if keyword and into is not None else None
    while place != end:
        group, number, size = _item(data, place)
        place += 8
        name = group << 16 | number
        if name == _SEQUENCE_END and end is None and size == 0:
            break
        if name != _ITEM:
            raise _Odd
        item = None if items is None else Elements()
        place = _read_elements(data, place, None if size == _UNDEFINED else place + size, item, charset, depth)
        if items is not None:
            items.append(item)
        if end is not None and place > end:
            raise _Odd
    if items:
        into[keyword] = items
    return place


def _read_value(raw: bytes, length: int, vr: bytes, tag: int, into: Elements | None, charset: str) -> str:
    """Put a value into `into`, where that is asked for; the character set that holds from here on."""
    if len(raw) < length:
        raise TooShort
    if tag == _CHARACTER_SET:
        return _read_charset(raw, vr)
    keyword, expected = _WANTED[tag]
    if vr != expected:
        raise _Odd
    if into is not None and length:
        into[keyword] = _text(raw, charset) if vr in (b"LO", b"SH") else _READERS[vr](raw)
    return charset


def _read_charset(raw: bytes, vr: bytes) -> str:
    names = raw.decode("latin-1").rstrip(" \0").split("\\")
    if vr != b"CS" or any(name not in python_encoding for name in names):
        raise _Odd
    return "\\".join(names)


def _parts(text: str) -> str | list[str]:
    parts = text.rstrip(" \0").split("\\")
    return parts if len(parts) > 1 else parts[0]


def _plain_text(raw: bytes) -> str | list[str]:
    return _parts(raw.decode("latin-1"))


def _text(raw: bytes, charset: str) -> str | list[str]:
    if raw.isascii() and b"\x1b" not in raw:
        return _parts(raw.decode("ascii"))
    if charset not in _PLAIN_SETS or b"\x1b" in raw:
        raise _Odd
    try:
        return _parts(raw.decode(_PLAIN_SETS[charset]))
    except UnicodeDecodeError as error:
        raise _Odd from error


def _decimals(raw: bytes) -> float | list[float]:
    if not _DECIMALS.fullmatch(raw):
        raise _Odd
    numbers = [float(part) for part in raw.rstrip(b" \0").split(b"\\")]
    return numbers if len(numbers) > 1 else numbers[0]


def _integer(raw: bytes) -> int:
    if not _INTEGER.fullmatch(raw):
        raise _Odd
    return int(raw.rstrip(b" \0"))


def _shorts(raw: bytes) -> int | list[int]:
    if len(raw) % 2:
        raise _Odd
    numbers = struct.unpack(f"<{len(raw) // 2}H", raw)
    return list(numbers) if len(numbers) > 1 else numbers[0]


_READERS: dict[bytes, Callable[[bytes], Any]] = {
    b"CS": _plain_text, b"AS": _plain_text, b"UI": _plain_text, b"DS": _decimals, b"IS": _integer, b"US": _shorts,
}  # fmt: skip
