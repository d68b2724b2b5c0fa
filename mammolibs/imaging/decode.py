"""One compressed frame -> its samples. The table of transfer syntaxes and what decodes each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from pydicom import uid

from mammolibs.errors import BadFile
from mammolibs.imaging.codestream import Codestream, j2k_codestream, jpeg_codestream
from mammolibs.imaging.guard import reading
from mammolibs.imaging.swallowed import raise_swallowed
from mammolibs.records import ImageFacts

REMEDY = "export it again, uncompressed if the source can"


@dataclass(frozen=True, kw_only=True)
class Codec:
    """How a transfer syntax is read.

    masked: bits above Bits Stored are noise or overlay and are cut off; otherwise (a lossy
    decoder overshoots) larger values are the largest. sign_from_stream: the sign bit is
    the codestream's highest bit, not that of Bits Stored.
    """

    name: str
    inspect: Callable[[bytes], Codestream]
    decode: Callable[[bytes], np.ndarray]
    masked: bool = False
    sign_from_stream: bool = False


def _jpeg(data: bytes) -> np.ndarray:
    import imagecodecs

    # Not ljpeg_decode for the lossless ones: it ends the process where the Huffman tables are missing.
    return imagecodecs.jpeg8_decode(data)


def _jpeg_ls(data: bytes) -> np.ndarray:
    import imagecodecs

    return imagecodecs.jpegls_decode(data)


def _jpeg2000(data: bytes) -> np.ndarray:
    import imagecodecs

    return imagecodecs.jpeg2k_decode(data)


def _htj2k(data: bytes) -> np.ndarray:
    import imagecodecs

    with raise_swallowed():
        return imagecodecs.htj2k_decode(data)


_LOSSY = Codec(name="JPEG", inspect=jpeg_codestream, decode=_jpeg)
_LOSSLESS = Codec(name="JPEG Lossless", inspect=jpeg_codestream, decode=_jpeg, masked=True)
_LS = Codec(name="JPEG-LS", inspect=jpeg_codestream, decode=_jpeg_ls, sign_from_stream=True)
_J2K = Codec(name="JPEG 2000", inspect=j2k_codestream, decode=_jpeg2000, sign_from_stream=True)
_HTJ2K = Codec(name="HTJ2K", inspect=j2k_codestream, decode=_htj2k, sign_from_stream=True)

CODECS = {
    uid.JPEGBaseline8Bit: _LOSSY,
    uid.JPEGExtended12Bit: _LOSSY,
    uid.JPEGLossless: _LOSSLESS,
    uid.JPEGLosslessSV1: _LOSSLESS,
    uid.JPEGLSLossless: _LS,
    uid.JPEGLSNearLossless: _LS,
    uid.JPEG2000Lossless: _J2K,
    uid.JPEG2000: _J2K,
    uid.HTJ2KLossless: _HTJ2K,
    uid.HTJ2KLosslessRPCL: _HTJ2K,
    # OpenJPH wraps what a lossy frame overshoots from white to black (imagecodecs 2026.3.6); OpenJPEG limits it.
    uid.HTJ2K: _J2K,
}
NATIVE = (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.DeflatedExplicitVRLittleEndian)


def inspect_frame(facts: ImageFacts, data: bytes) -> Codestream | None:
    """What the frame says of itself, checked against the header; None where the syntax has no table entry.

    Raises BadFile where frame and header contradict each other.
    """
    codec = CODECS.get(facts.transfer_syntax)
    if codec is None:
        return None
    with reading(facts.source_file, f"cannot be decoded as {codec.name}", REMEDY):
        stream = codec.inspect(data)
    header = (facts.rows, facts.columns, facts.samples_per_pixel)
    if (stream.rows, stream.columns, stream.samples) != header or stream.precision > facts.bits_allocated:
        raise BadFile(
            facts.source_file,
            f"has a header that contradicts its pixels: {header[0]} x {header[1]} x {header[2]} in {facts.bits_allocated} bits there, "
            f"{stream.rows} x {stream.columns} x {stream.samples} of {stream.precision} bits in the {codec.name} data",
            REMEDY,
        )
    return stream


def decode_frame(facts: ImageFacts, data: bytes, stream: Codestream) -> np.ndarray:
    """The stored values of one frame: integers H W (or H W 3), signed where the header says so.

    Raises BadFile where the data cannot be decoded or comes out in another shape than the header's.
    """
    codec = CODECS[facts.transfer_syntax]
    with reading(facts.source_file, f"cannot be decoded as {codec.name}", REMEDY):
        raw = codec.decode(data)
    shape = (facts.rows, facts.columns) if facts.samples_per_pixel == 1 else (facts.rows, facts.columns, facts.samples_per_pixel)
    if raw.shape != shape or raw.dtype.kind not in "iu":
        raise BadFile(facts.source_file, f"decodes to {raw.dtype} {raw.shape}, its header says {shape}", REMEDY)
    if codec.masked:
        return as_stored(raw, facts, bits=facts.bits_stored)
    if codec.sign_from_stream:
        return clipped(as_stored(raw, facts, bits=stream.precision), facts)
    if raw.max() >> facts.bits_stored:
        raw = np.minimum(raw, (1 << facts.bits_stored) - 1)
    return as_stored(raw, facts, bits=facts.bits_stored)


def stored_dtype(facts: ImageFacts) -> np.dtype:
    """The integer type that holds the stored values: as wide as Bits Allocated, signed where the header says so."""
    bits = next(b for b in (8, 16, 32, 64) if facts.bits_allocated <= b)
    return np.dtype(f"{'int' if facts.signed else 'uint'}{bits}")


def as_stored(raw: np.ndarray, facts: ImageFacts, *, bits: int) -> np.ndarray:
    """The lowest `bits` bits of each value as an integer of the header's kind; the highest of them is the sign."""
    dtype = stored_dtype(facts)
    spare = 8 * dtype.itemsize - bits
    values = raw.astype(dtype, copy=False)
    if spare <= 0 or (not facts.signed and values.max() >> bits == 0):
        return values
    # Up and down again: the way down repeats the sign bit where the type is signed.
    return np.right_shift(np.left_shift(values, spare), spare)


def clipped(values: np.ndarray, facts: ImageFacts) -> np.ndarray:
    """The values limited to what Bits Stored can hold."""
    low, high = stored_range(facts)
    held = np.iinfo(values.dtype)
    return np.clip(values, max(low, held.min), min(high, held.max)) if low > held.min or high < held.max else values


def stored_range(facts: ImageFacts) -> tuple[int, int]:
    """Smallest and largest value that Bits Stored and Pixel Representation allow."""
    if facts.signed:
        return -(1 << (facts.bits_stored - 1)), (1 << (facts.bits_stored - 1)) - 1
    return 0, (1 << facts.bits_stored) - 1
