"""What a compressed frame says of itself, read from its first bytes before a decoder may allocate."""

from __future__ import annotations

import struct
from dataclasses import dataclass

# Start-of-frame markers of ITU-T T.81 and T.87; C4, C8 and CC in that range mean other things.
JPEG_FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
NO_LENGTH = {0x01, *range(0xD0, 0xD9)}
START_OF_SCAN = 0xDA
J2K_START = b"\xff\x4f\xff\x51"
END_OF_IMAGE = b"\xff\xd9"
MAX_HEADER_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Codestream:
    """Size and kind of one compressed frame; precision in bits per sample."""

    rows: int
    columns: int
    samples: int
    precision: int
    signed: bool = False


def jpeg_codestream(data: bytes, *, whole: bool = True) -> Codestream:
    """The frame header of JPEG (T.81) or JPEG-LS (T.87).

    Raises ValueError where there is none, or, of a whole image, no end.
    """
    if data[:2] != b"\xff\xd8":
        raise ValueError("no JPEG start of image")
    place, found = 2, None
    while place + 4 <= min(len(data), MAX_HEADER_BYTES):
        if data[place] != 0xFF:
            raise ValueError("a JPEG marker is missing")
        marker = data[place + 1]
        if marker == 0xFF:
            place += 1
            continue
        if marker in NO_LENGTH:
            place += 2
            continue
        (length,) = struct.unpack_from(">H", data, place + 2)
        if marker in JPEG_FRAMES and place + 10 <= len(data):
            precision, rows, columns, samples = struct.unpack_from(">BHHB", data, place + 4)
            found = (rows, columns, samples, precision)
        elif marker == START_OF_SCAN:
            break
        place += 2 + length
    if found is None:
        raise ValueError("no JPEG frame header")
    # A JPEG decoder fills what is missing with grey and calls it success.
    if whole and data.find(END_OF_IMAGE, place) < 0:
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
