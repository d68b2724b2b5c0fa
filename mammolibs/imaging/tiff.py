"""TIFF of 8 or 16 bits, gray or RGB: size and depth from its first directory (TIFF 6.0, Adobe 1992), pixels by imagecodecs."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

_WIDTH, _LENGTH, _BITS, _PHOTOMETRIC, _SAMPLES = 256, 257, 258, 262, 277
# Types of a value: format, bytes. Sizes and depths are written as SHORT or LONG.
_TYPES = {3: ("H", 2), 4: ("I", 4)}
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class TiffDirectory:
    """What the first directory says of its image."""

    rows: int
    columns: int
    samples: int
    bits: int
    inverted: bool


def tiff_directory(data) -> TiffDirectory:
    """The first directory, which may lie anywhere in the file. Raises ValueError or struct.error for what is not read."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(data[:4]))
    if order is None:
        raise ValueError("no TIFF, or one of more than 4 GB")
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, start)
    values = {_SAMPLES: 1, _BITS: 1}
    for i in range(count):
        place = start + 2 + 12 * i
        tag, kind, length = struct.unpack_from(f"{order}HHI", data, place)
        if kind in _TYPES and length:
            form, size = _TYPES[kind]
            at = place + 8 if length * size <= 4 else struct.unpack_from(f"{order}I", data, place + 8)[0]
            (values[tag],) = struct.unpack_from(f"{order}{form}", data, at)
    samples, bits, photometric = values[_SAMPLES], values[_BITS], values[_PHOTOMETRIC]
    if bits not in (8, 16) or (samples, photometric) not in ((1, _WHITE_IS_ZERO), (1, _BLACK_IS_ZERO), (3, _RGB), (4, _RGB)):
        raise ValueError(f"{samples} x {bits} bits, photometric interpretation {photometric}")
    return TiffDirectory(
        rows=values[_LENGTH], columns=values[_WIDTH], samples=min(samples, 3), bits=bits, inverted=photometric == _WHITE_IS_ZERO
    )


def decode_tiff(data) -> np.ndarray:
    """The first image, white as the largest value: uint8 or uint16, H W or H W 3 or H W 4."""
    import imagecodecs

    pixels = imagecodecs.tiff_decode(data, index=0)
    return np.iinfo(pixels.dtype).max - pixels if tiff_directory(data).inverted else pixels
