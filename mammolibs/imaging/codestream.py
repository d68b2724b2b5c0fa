"""What a compressed frame says of itself: its size before a decoder may allocate, and its segments one by one."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

# Start-of-frame markers of ITU-T T.81 and T.87; C4, C8 and CC in that range mean other things.
JPEG_FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
START_OF_SCAN, END = 0xDA, 0xD9
# T.800 Table A.2; END is its end of codestream too.
START_OF_TILE, START_OF_DATA = 0x90, 0x93
# Markers without a segment: T.81 B.1.1.3, T.800 A.1.
_ALONE = {0x01, *range(0x30, 0x40), *range(0xD0, 0xD9)}
JPEG_START, J2K_START = b"\xff\xd8", b"\xff\x4f\xff\x51"
END_OF_IMAGE = b"\xff\xd9"
MAX_HEADER_BYTES = 1 << 20
# In coded data FF is followed by 00 (T.81 F.1.2.3) or by a bit 0 (T.87 A.1), but for restart markers and the one that ends the data.
_AFTER_SCAN = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")


@dataclass(frozen=True, kw_only=True)
class Codestream:
    """Size and kind of one compressed frame; precision in bits per sample."""

    rows: int
    columns: int
    samples: int
    precision: int
    signed: bool = False


@dataclass(frozen=True)
class Segment:
    """A marker and where its parameters lie, behind their length; `end` is exclusive and may lie beyond what is there."""

    marker: int
    start: int
    end: int


def segments(data: bytes | bytearray) -> Iterator[Segment]:
    """The segments of JPEG, JPEG-LS or JPEG 2000 data in order, those between scans and in the headers of tile-parts too.

    END comes last, where it is there. Raises ValueError where something else stands in the place of a marker.
    """
    place, tile_end = 2, len(data)
    while place + 2 <= len(data):
        marker = data[place + 1]
        if data[place] != 0xFF:
            raise ValueError("a marker is missing in the compressed data")
        if marker == 0xFF:
            place += 1
        elif marker in _ALONE:
            place += 2
        elif marker == START_OF_DATA:
            place = max(tile_end, place + 2)
        elif marker == END:
            yield Segment(marker, place + 2, place + 2)
            return
        elif place + 4 > len(data):
            return
        else:
            (length,) = struct.unpack_from(">H", data, place + 2)
            segment = Segment(marker, place + 4, place + 2 + length)
            yield segment
            if marker == START_OF_TILE:
                tile_end = _tile_end(data, place)
            place = _after_scan(data, segment.end) if marker == START_OF_SCAN else segment.end


def _after_scan(data: bytes | bytearray, place: int) -> int:
    found = _AFTER_SCAN.search(data, place)
    return found.start() if found else len(data)


def _tile_end(data: bytes | bytearray, place: int) -> int:
    """Where the tile-part that begins here ends: by its length, and of length 0 with the codestream (T.800 A.4.2)."""
    size = int.from_bytes(data[place + 6 : place + 10], "big")
    return place + size if size else max(data.rfind(END_OF_IMAGE), 0)


def jpeg_codestream(data: bytes, *, whole: bool = True) -> Codestream:
    """The frame header of JPEG (T.81) or JPEG-LS (T.87).

    Raises ValueError where there is none, or, of a whole image, no end.
    """
    if data[:2] != JPEG_START:
        raise ValueError("no JPEG start of image")
    end, found = 2, None
    for segment in segments(data):
        if segment.start > MAX_HEADER_BYTES:
            break
        end = segment.end
        if segment.marker in JPEG_FRAMES and segment.start + 6 <= len(data):
            precision, rows, columns, samples = struct.unpack_from(">BHHB", data, segment.start)
            found = (rows, columns, samples, precision)
        elif segment.marker == START_OF_SCAN:
            break
    if found is None:
        raise ValueError("no JPEG frame header")
    # A JPEG decoder fills what is missing with grey and calls it success.
    if whole and data.find(END_OF_IMAGE, end) < 0:
        raise ValueError("the JPEG data has no end; it was cut short")
    rows, columns, samples, precision = found
    return Codestream(rows=rows, columns=columns, samples=samples, precision=precision)


def j2k_codestream(data: bytes) -> Codestream:
    """The SIZ segment of JPEG 2000 or HTJ2K (T.800 A.5.1), also inside a JP2 box. Raises ValueError where there is none."""
    place = data.find(J2K_START, 0, MAX_HEADER_BYTES)
    if place < 0 or place + 43 > len(data):
        raise ValueError("no JPEG 2000 codestream")
    width, height, left, top = struct.unpack_from(">IIII", data, place + 8)
    tile_width, tile_height = struct.unpack_from(">II", data, place + 24)
    (samples,) = struct.unpack_from(">H", data, place + 40)
    rows, columns = height - top, width - left
    if not (tile_width and tile_height) or rows * columns > 4096 * tile_width * tile_height + (rows + columns) * 65536:
        raise ValueError("the JPEG 2000 tiles are impossibly small")
    depth = data[place + 42]
    if data.rfind(END_OF_IMAGE) < 0:
        raise ValueError("the JPEG 2000 data has no end; it was cut short")
    return Codestream(rows=rows, columns=columns, samples=samples, precision=(depth & 0x7F) + 1, signed=bool(depth & 0x80))
