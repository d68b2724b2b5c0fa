"""What else than an image a pixel data element can carry: comments of encoders, bytes after the last frame."""

from __future__ import annotations

import struct

from mammolibs.imaging.codestream import NO_LENGTH, START_OF_SCAN
from mammolibs.records import ImageFacts

_ITEM = b"\xfe\xff\x00\xe0"
_SPACE = b" "
# T.81 B.2.4: comments and application data; APP0 (JFIF) and APP14 (Adobe) say how to decode, APP8 is JPEG-LS's (T.87, HP colour).
JPEG_NOTES = {0xFE, *range(0xE1, 0xF0)} - {0xE8, 0xEE}
# T.800 Table A.2.
J2K_COMMENT, J2K_START_OF_TILE = 0x64, 0x90


def without_notes(value: bytes) -> bytes:
    """Encapsulated pixel data (PS3.5 A.4) with the comments of JPEG, JPEG-LS and JPEG 2000 headers written over by spaces; same length."""
    data = bytearray(value)
    place = 0
    while place + 8 <= len(data) and data[place : place + 4] == _ITEM:
        (length,) = struct.unpack_from("<I", data, place + 4)
        start, place = place + 8, place + 8 + length
        if data[start : start + 2] == b"\xff\xd8":
            _blank(data, start + 2, min(place, len(data)), JPEG_NOTES, START_OF_SCAN)
        elif data[start : start + 2] == b"\xff\x4f":
            _blank(data, start + 2, min(place, len(data)), {J2K_COMMENT}, J2K_START_OF_TILE)
    return bytes(data)


def within_frames(value: bytes, facts: ImageFacts) -> bytes:
    """Native pixel data without what follows the last frame, of even length."""
    bits = facts.rows * facts.columns * facts.samples_per_pixel * facts.frames * facts.bits_allocated
    length = (bits + 7) // 8
    return value[: length + length % 2]


def _blank(data: bytearray, place: int, end: int, notes: set[int], last: int) -> None:
    while place + 4 <= end and data[place] == 0xFF and data[place + 1] != last:
        marker = data[place + 1]
        if marker == 0xFF:
            place += 1
            continue
        if marker in NO_LENGTH:
            place += 2
            continue
        (length,) = struct.unpack_from(">H", data, place + 2)
        if marker in notes:
            # A JPEG 2000 comment begins with two bytes that say whether it is text.
            start, stop = place + (6 if last == J2K_START_OF_TILE else 4), min(place + 2 + length, end)
            data[start:stop] = _SPACE * max(0, stop - start)
        place += 2 + length
