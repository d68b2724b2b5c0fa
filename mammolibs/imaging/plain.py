"""PNG, PGM, JPEG and TIFF: images that come as they are displayed, after VOI."""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass

import numpy as np

from mammolibs.errors import BadFile
from mammolibs.imaging.codestream import jpeg_codestream
from mammolibs.imaging.facts import MAX_FRAME_PIXELS
from mammolibs.imaging.guard import printable, reading
from mammolibs.imaging.tiff import decode_tiff, tiff_directory
from mammolibs.records import ImageFacts

REMEDY = "save it again with another program"


@dataclass(frozen=True, kw_only=True)
class PlainHeader:
    """Size and depth of a plain image; white: the largest value that it can hold."""

    rows: int
    columns: int
    samples: int
    bits: int
    white: int


def plain_facts(path, kind: str, data: bytes) -> ImageFacts:
    """The facts of a PNG, PGM or JPEG from its first bytes, or of a TIFF, whose header may lie anywhere in it.

    Raises BadFile where the header is damaged or too large.
    """
    header = _header(path, kind, data)
    return ImageFacts(
        source_file=str(path),
        transfer_syntax=kind.upper(),
        rows=header.rows,
        columns=header.columns,
        samples_per_pixel=header.samples,
        bits_allocated=8 if header.bits <= 8 else 16,
        bits_stored=header.bits,
        photometric="MONOCHROME2" if header.samples == 1 else "RGB",
        lossy=True if kind == "jpeg" else None,
    )


def plain_pixels(path, kind: str, data: bytes) -> tuple[np.ndarray, int]:
    """The values as uint8 or uint16, H W or H W 3 as RGB, and the value that means white.

    Raises BadFile where the data are cut short or cannot be decoded.
    """
    header = _header(path, kind, data)
    with reading(path, f"cannot be decoded as {kind.upper()}", REMEDY):
        pixels = {"png": _decode_png, "jpeg": _decode_jpeg, "pgm": _decode_pgm, "tiff": decode_tiff}[kind](data)
    if pixels.ndim == 3 and pixels.shape[2] in (2, 4):
        pixels = pixels[..., :-1]
    pixels = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    if pixels.shape not in ((header.rows, header.columns), (header.rows, header.columns, 3)):
        raise BadFile(path, f"decodes to {pixels.shape}, its header says {header.rows} x {header.columns}", REMEDY)
    white = header.white if kind != "png" else int(np.iinfo(pixels.dtype).max)
    return pixels, white


def _header(path, kind: str, data: bytes) -> PlainHeader:
    with reading(path, f"has no readable {kind.upper()} header", REMEDY):
        header = {"png": _png, "jpeg": _jpeg, "pgm": _pgm, "tiff": _tiff}[kind](data)
    if not 0 < header.rows * header.columns <= MAX_FRAME_PIXELS:
        raise BadFile(path, f"says that it has {header.rows} x {header.columns} pixels", "give an image of a mammogram's size")
    return header


def _png(data: bytes) -> PlainHeader:
    columns, rows, bits, colour = struct.unpack_from(">IIBB", data, 16)
    return PlainHeader(rows=rows, columns=columns, samples=1 if colour in (0, 4) else 3, bits=max(bits, 8), white=(1 << max(bits, 8)) - 1)


def _jpeg(data: bytes) -> PlainHeader:
    stream = jpeg_codestream(data, whole=False)
    if stream.samples not in (1, 3):
        raise ValueError(f"{stream.samples} colour channels")
    white = (1 << stream.precision) - 1
    return PlainHeader(rows=stream.rows, columns=stream.columns, samples=stream.samples, bits=stream.precision, white=white)


def _tiff(data: bytes) -> PlainHeader:
    found = tiff_directory(data)
    return PlainHeader(rows=found.rows, columns=found.columns, samples=found.samples, bits=found.bits, white=(1 << found.bits) - 1)


def _pgm_parts(data: bytes) -> tuple[int, int, int, int]:
    # Width, height, largest value, then one white space; comments run from # to the end of the line.
    gap = rb"(?:\s|#[^\n]*\n)+"
    match = re.match(rb"P5" + gap + rb"(\d{1,6})" + gap + rb"(\d{1,6})" + gap + rb"(\d{1,5})\s", data[:4096])
    if match is None:
        raise ValueError("not a binary PGM")
    columns, rows, white = (int(n) for n in match.groups())
    if not 0 < white < 1 << 16:
        raise ValueError(f"largest value {white}")
    return columns, rows, white, match.end()


def _pgm(data: bytes) -> PlainHeader:
    columns, rows, white, _ = _pgm_parts(data)
    return PlainHeader(rows=rows, columns=columns, samples=1, bits=max(8, white.bit_length()), white=white)


def _decode_pgm(data: bytes) -> np.ndarray:
    columns, rows, white, start = _pgm_parts(data)
    dtype = np.dtype(np.uint8 if white < 256 else ">u2")
    if len(data) - start < rows * columns * dtype.itemsize:
        raise ValueError(f"cut short: {len(data) - start} bytes of pixels, {rows * columns * dtype.itemsize} expected")
    pixels = np.frombuffer(data, dtype, rows * columns, start).reshape(rows, columns)
    return np.minimum(pixels, white).astype(dtype.newbyteorder("="))


def _decode_png(data: bytes) -> np.ndarray:
    import imagecodecs

    _check_chunks(data)
    return imagecodecs.png_decode(data)


def _decode_jpeg(data: bytes) -> np.ndarray:
    import imagecodecs

    jpeg_codestream(data, whole=True)
    return imagecodecs.jpeg8_decode(data)


def _check_chunks(data: bytes) -> None:
    """Raise ValueError where a PNG chunk's checksum is wrong or the last one is missing: a decoder may only warn."""
    place, name = 8, b""
    while name != b"IEND":
        if place + 12 > len(data):
            raise ValueError("cut short")
        length, name = struct.unpack_from(">I4s", data, place)
        end = place + 8 + length
        if end + 4 > len(data):
            raise ValueError("cut short")
        if zlib.crc32(memoryview(data)[place + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            raise ValueError(f"damaged {printable(name.decode('latin1'), 4)} chunk")
        place = end + 4
