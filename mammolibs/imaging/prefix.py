"""The elements of a DICOM header that facts are made of, read from the first bytes of the file in one pass.

It knows little endian, explicit and implicit VR, in the form that nearly all files have, sequences among it. Whatever is odd in
any way (another encoding, a VR or a length that does not fit, a value that is not what it claims to be) it does not read, and
says so: pydicom then reads the file, with its own rules for broken ones. What it does read has the values that pydicom
would give; so all elements are passed over one by one, wanted or not, since pydicom may refuse a file for any of them.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import NamedTuple

from pydicom.datadict import DicomDictionary
from pydicom.valuerep import EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32

from mammolibs.imaging.guard import printable
from mammolibs.imaging.header import FLOAT_PIXEL_DATA, MAX_TEXT, PIXEL_DATA, Elements
from mammolibs.imaging.prefix_values import WANTED, Odd, Wanted, read_charset

# Nearly all headers are shorter than the first; those with large tables or private blobs fit into the second.
PREFIX_BYTES = (16 << 10, 1 << 20)


def _as_number(vr: str) -> int:
    """A Value Representation as its two bytes read as one number."""
    return int.from_bytes(vr.encode(), "little")


def _as_stored(tag: int) -> int:
    """A tag as its four bytes read as one number: the group's two come first."""
    return tag >> 16 | (tag & 0xFFFF) << 16


# Those whose length takes two bytes, and those whose length takes four (PS3.5 7.1.2).
_SHORT, _LONG = frozenset(map(_as_number, EXPLICIT_VR_LENGTH_16)), frozenset(map(_as_number, EXPLICIT_VR_LENGTH_32))
_SEQUENCE, _UNKNOWN = _as_number("SQ"), _as_number("UN")
_META_VRS = (b"UL", b"UI", b"SH", b"AE", b"OB")
_EXPLICIT, _IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
# Encapsulated syntaxes, all of them explicit VR little endian; those of JPIP (.94 and .95) hold no pixels, and one is deflated.
_ENCAPSULATED = re.compile(r"1\.2\.840\.10008\.1\.2\.(?:5|4\.(?!9[45]$)\d+)")
_TRANSFER_SYNTAX = 0x00020010
_UNDEFINED, _ENDLESS = 0xFFFFFFFF, 1 << 62
_MAX_DEPTH = 16
_meta_head = struct.Struct("<HH2sH").unpack_from
_explicit_head = struct.Struct("<IHH").unpack_from
_long = struct.Struct("<I").unpack_from
_tag_and_length = struct.Struct("<II").unpack_from
_PIXELS = tuple(map(_as_stored, (PIXEL_DATA, *FLOAT_PIXEL_DATA)))
_ITEM, _ITEM_END, _SEQUENCE_END = map(_as_stored, (0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD))
_ITEM_BYTES, _ITEM_GROUP = struct.pack("<I", _ITEM), 0xFFFE
# The delimiter of an item has no VR: with one it is odd.
_WANTED = {_as_stored(tag): wanted for tag, wanted in WANTED.items()} | {_ITEM_END: Wanted("", "\0\0", None)}
_VRS = {tag: _as_number(wanted.vr) for tag, wanted in _WANTED.items()}
# Where no VR is written, the dictionary says what is a sequence.
_SEQUENCES = frozenset(_as_stored(tag) for tag, (vr, *_) in DicomDictionary.items() if vr == "SQ")
# data, place, end, into, charset, depth -> where the data set ends
_ReadElements = Callable[[bytes, int, int, Elements | None, str, int], int]


class TooShort(Exception):
    """The header goes on behind these bytes, or says so."""


class Prefix(NamedTuple):
    """What a header says under `prefix_values.KEYWORDS`, its transfer syntax UID, and how many bytes it has."""

    elements: Elements
    syntax: str
    end: int


def read_prefix(data: bytes) -> Prefix | None:
    """The header that ends within these first bytes of a file, at its pixels.

    None where pydicom must read it. Raises TooShort where more bytes may tell.
    """
    try:
        syntax, place = _read_meta(data)
        if syntax == _IMPLICIT:
            # Here pydicom takes the first element for one with a VR.
            if data[place + 4 : place + 6].isalpha() and data[place + 4 : place + 6].isupper():
                return None
            read = _read_implicit
        elif syntax == _EXPLICIT or _ENCAPSULATED.fullmatch(syntax):
            read = _read_explicit
        else:
            return None
        elements = Elements()
        end = read(data, place, _ENDLESS, elements, "", 0)
    except (struct.error, IndexError) as error:
        raise TooShort from error
    # A value that is no number is odd as well.
    except (Odd, ValueError):
        return None
    return Prefix(elements, syntax, end)


def _read_meta(data: bytes) -> tuple[str, int]:
    """Transfer syntax UID, and where the data set begins."""
    if data[128:132] != b"DICM":
        raise Odd
    place, last, syntax = 132, 0, b""
    while True:
        group, number, vr, length = _meta_head(data, place)
        # A group 0 is of a message between programs, and has an encoding of its own.
        if group == 0:
            raise Odd
        if group != 2:
            break
        tag = group << 16 | number
        if tag <= last or vr not in _META_VRS:
            raise Odd
        last, place = tag, place + 8
        if vr == b"OB":
            (length,) = _long(data, place)
            place += 4
        if tag == _TRANSFER_SYNTAX:
            syntax = data[place : place + length]
        place += length
    return printable(syntax.decode("ascii", "replace"), MAX_TEXT), place


def _read_explicit(data: bytes, place: int, end: int, into: Elements | None, charset: str, depth: int) -> int:
    """Read a data set into `into`, or only pass over it; where it ends. Of an element that is there twice the second holds.

    end: of an item with a length; an item without lasts to its delimiter, and the whole (depth 0) to the pixels.
    """
    while place < end:
        tag, vr, length = _explicit_head(data, place)
        place += 8
        if vr in _SHORT:
            wanted = _WANTED.get(tag)
            if wanted:
                if vr != _VRS[tag]:
                    raise Odd
                charset = _take(data, place, length, wanted, into, charset)
            place += length
        elif vr in _LONG:
            (length,) = _long(data, place)
            place += 4
            if tag in _PIXELS and depth == 0:
                return place
            if vr == _SEQUENCE:
                if _VRS.get(tag, _SEQUENCE) != _SEQUENCE:
                    raise Odd
                place = _read_sequence(data, place, length, into, tag, charset, depth + 1, _read_explicit)
            elif length == _UNDEFINED or tag in _WANTED or (vr == _UNKNOWN and (not tag & 1 or data[place : place + 4] == _ITEM_BYTES)):
                raise Odd
            else:
                place += length
        elif tag == _ITEM_END and end == _ENDLESS and depth and vr == length == 0:
            return place
        else:
            raise Odd
    if place > end:
        raise Odd
    return place


def _read_implicit(data: bytes, place: int, end: int, into: Elements | None, charset: str, depth: int) -> int:
    """As `_read_explicit`, where elements have no VR."""
    while place < end:
        tag, length = _tag_and_length(data, place)
        place += 8
        if tag in _SEQUENCES:
            place = _read_sequence(data, place, length, into, tag, charset, depth + 1, _read_implicit)
        elif tag in _PIXELS and depth == 0 or tag == _ITEM_END and end == _ENDLESS and depth and length == 0:
            return place
        # What is no sequence by the dictionary may be a maker's own.
        elif tag & 0xFFFF == _ITEM_GROUP or length == _UNDEFINED or data[place : place + 4] == _ITEM_BYTES:
            raise Odd
        else:
            if wanted := _WANTED.get(tag):
                charset = _take(data, place, length, wanted, into, charset)
            place += length
    if place > end:
        raise Odd
    return place


def _take(data: bytes, place: int, length: int, wanted: Wanted, into: Elements | None, charset: str) -> str:
    """Read the value of a wanted element that is no sequence into `into`; the character set of what follows.

    A character set that follows a wanted element is odd: text before it would not have been read in it.
    """
    keyword, _, read = wanted
    if read is None and into:
        raise Odd
    raw = data[place : place + length]
    if len(raw) != length:
        raise TooShort
    if read is None:
        return read_charset(raw)
    if raw and into is not None:
        into[keyword] = read(raw, charset)
    elif into:
        into.pop(keyword, None)
    return charset


def _read_sequence(
    data: bytes, place: int, length: int, into: Elements | None, tag: int, charset: str, depth: int, read: _ReadElements
) -> int:
    """Read a sequence where it is wanted, or only pass over it; where it ends."""
    if depth > _MAX_DEPTH:
        raise Odd
    end = _ENDLESS if length == _UNDEFINED else place + length
    items: list[Elements] | None = [] if tag in _WANTED and into is not None else None
    while place < end:
        name, size = _tag_and_length(data, place)
        place += 8
        if name == _SEQUENCE_END and end == _ENDLESS and size == 0:
            end = place
            break
        if name != _ITEM:
            raise Odd
        item = None if items is None else Elements()
        place = read(data, place, _ENDLESS if size == _UNDEFINED else place + size, item, charset, depth)
        if items is not None:
            items.append(item)
    if place > end:
        raise Odd
    if items is not None:
        into[_WANTED[tag].keyword] = items
    return place
