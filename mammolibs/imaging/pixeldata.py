"""The pixel data element of an open DICOM file -> stored values, frame by frame."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from pydicom import uid
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import get_frame

from mammolibs.errors import BadFile
from mammolibs.imaging.decode import CODECS, NATIVE, as_stored, clipped, decode_frame, inspect_frame, stored_dtype
from mammolibs.imaging.guard import quiet, reading
from mammolibs.imaging.header import FLOAT_PIXEL_DATA, PIXEL_DATA, DicomHeader, value_of
from mammolibs.records import ImageFacts

UNDEFINED_LENGTH = 0xFFFFFFFF
MAX_TOTAL_BYTES = 4 << 30
# Two bytes of packed bits stand for 128 at most.
MAX_RLE_GROWTH = 64
CUT_SHORT = "copy it again from where it came from"


@dataclass(frozen=True, kw_only=True, eq=False)
class PixelElement:
    """Where the pixel data lies: offset and length of its value in the open file."""

    header: DicomHeader
    vr: str
    offset: int
    length: int


def find_pixels(header: DicomHeader) -> PixelElement:
    """The pixel data element, which the open file stands at. Raises BadFile where there is none."""
    file = header.file
    order = "<" if header.little_endian else ">"
    head = file.read(8)
    if len(head) < 8:
        raise BadFile(header.path, "has no pixel data", "it is a header only, or was cut short; export it again")
    group, element = struct.unpack(order + "HH", head[:4])
    tag = group << 16 | element
    if tag in FLOAT_PIXEL_DATA:
        raise BadFile(header.path, "holds floating point pixels, which no mammogram has", "leave it out")
    if tag != PIXEL_DATA:
        raise BadFile(header.path, "has no pixel data", "it is a header only; export the image itself")
    vr = head[4:6].decode("latin1")
    # A length that reads as "OB", "OW" or "UN" would be odd, and lengths are even.
    if vr in ("OB", "OW", "UN"):
        (length,) = struct.unpack(order + "I", file.read(4).ljust(4, b"\0"))
    else:
        vr = "OW"
        (length,) = struct.unpack(order + "I", head[4:8])
    return PixelElement(header=header, vr=vr, offset=file.tell(), length=length)


def read_frame(pixels: PixelElement, facts: ImageFacts, frame: int) -> np.ndarray:
    """Stored values of one frame: integers H W, or H W 3 as RGB.

    Raises BadFile where the frame is not there, cut short or contradicts the header.
    """
    if not 0 <= frame < facts.frames:
        raise BadFile(facts.source_file, f"has {facts.frames} frames, frame {frame} is asked for", f"ask for 0 to {facts.frames - 1}")
    gray = facts.samples_per_pixel == 1 and facts.photometric != "PALETTE COLOR"
    if facts.transfer_syntax in NATIVE:
        start, size = _native_place(pixels, facts, frame)
        if gray and facts.bits_allocated in (8, 16, 32):
            return _native(pixels, facts, start, size)
        return _by_pydicom(pixels, facts, frame)
    data = _encapsulated_bytes(pixels, facts, frame)
    stream = inspect_frame(facts, data)
    if gray and stream is not None:
        return decode_frame(facts, data, stream)
    if gray and facts.transfer_syntax == uid.RLELossless and facts.bits_allocated in (8, 16):
        return _rle(data, facts)
    if stream is not None and CODECS[facts.transfer_syntax].masked and facts.photometric == "RGB":
        return decode_frame(facts, data, stream)
    return _by_pydicom(pixels, facts, frame)


def read_frames(pixels: PixelElement, facts: ImageFacts) -> np.ndarray:
    """Stored values of all frames: integers N H W, or N H W 3. Raises BadFile as `read_frame` does."""
    first = read_frame(pixels, facts, 0)
    if first.nbytes * facts.frames > MAX_TOTAL_BYTES:
        raise BadFile(facts.source_file, f"unpacks to {first.nbytes * facts.frames >> 20} MB", "read its frames one by one")
    if facts.frames == 1:
        return first[None]
    # A header that lies about the number of frames is found before memory is asked for.
    last = read_frame(pixels, facts, facts.frames - 1)
    frames = np.empty((facts.frames, *first.shape), first.dtype)
    frames[0], frames[-1] = first, last
    for i in range(1, facts.frames - 1):
        frames[i] = read_frame(pixels, facts, i)
    return frames


def _native_place(pixels: PixelElement, facts: ImageFacts, frame: int) -> tuple[int, int]:
    """First byte and number of bytes of a frame, counted from the pixel data's start; all of them are in the file."""
    bits = facts.rows * facts.columns * facts.samples_per_pixel * facts.bits_allocated
    if facts.photometric == "YBR_FULL_422":
        bits = bits * 2 // 3
    size = (bits + 7) // 8
    start, end = bits * frame // 8, bits * frame // 8 + size
    if pixels.length == UNDEFINED_LENGTH or end > pixels.length:
        raise BadFile(
            facts.source_file,
            f"has a header that contradicts its pixels: frame {frame} needs {end} bytes of pixel data, {pixels.length} are declared",
            CUT_SHORT,
        )
    file = pixels.header.file
    available = file.seek(0, 2) - pixels.offset
    if available < end:
        raise BadFile(facts.source_file, f"is cut short: {end} bytes of pixel data needed, {available} there", CUT_SHORT)
    return start, size


def _native(pixels: PixelElement, facts: ImageFacts, start: int, size: int) -> np.ndarray:
    data = np.empty(size, np.uint8)
    pixels.header.file.seek(pixels.offset + start)
    pixels.header.file.readinto(data)
    little, width = pixels.header.little_endian, facts.bits_allocated // 8
    if not little and width == 1 and pixels.vr == "OW":
        # Single bytes in 16-bit words of a big endian file lie swapped in pairs (PS3.5 8.1.1).
        data = np.resize(data, size + size % 2).view(np.uint16).byteswap().view(np.uint8)[:size]
    raw = data.view(f"{'<' if little else '>'}u{width}").astype(f"u{width}", copy=False).view(stored_dtype(facts))
    return as_stored(raw, facts, bits=facts.bits_stored).reshape(facts.rows, facts.columns)


def _encapsulated_bytes(pixels: PixelElement, facts: ImageFacts, frame: int) -> bytes:
    if pixels.length != UNDEFINED_LENGTH:
        raise BadFile(facts.source_file, "says that it is compressed, and its pixel data is not", "export it again from where it came from")
    dataset, file = pixels.header.dataset, pixels.header.file
    file.seek(pixels.offset)
    table, lengths = value_of(dataset, "ExtendedOffsetTable"), value_of(dataset, "ExtendedOffsetTableLengths")
    with reading(facts.source_file, f"has no readable frame {frame}", CUT_SHORT), quiet():
        offsets = (table, lengths) if isinstance(table, bytes) and isinstance(lengths, bytes) else None
        return get_frame(file, frame, number_of_frames=facts.frames, extended_offsets=offsets)


def _rle(data: bytes, facts: ImageFacts) -> np.ndarray:
    import imagecodecs

    width = facts.bits_allocated // 8
    count = facts.rows * facts.columns
    with reading(facts.source_file, "cannot be decoded as RLE", CUT_SHORT):
        offsets = struct.unpack_from("<16I", data)
        if offsets[0] != width:
            raise BadFile(facts.source_file, f"has {offsets[0]} RLE segments, {width} expected", "export it again from where it came from")
        if count * width > MAX_RLE_GROWTH * len(data):
            raise BadFile(facts.source_file, f"has too little RLE data ({len(data)} bytes) for its size", CUT_SHORT)
        ends = (*offsets[2 : 1 + width], len(data))
        # One segment per byte of a sample, the highest first (PS3.5 G.2).
        planes = np.empty((count, width), np.uint8)
        for i in range(width):
            segment = imagecodecs.packbits_decode(data[offsets[1 + i] : ends[i]])
            if len(segment) < count:
                raise BadFile(facts.source_file, f"has an RLE segment of {len(segment)} bytes, {count} expected", CUT_SHORT)
            planes[:, width - 1 - i] = np.frombuffer(segment, np.uint8, count)
    raw = planes.reshape(-1).view(f"<u{width}").reshape(facts.rows, facts.columns)
    return as_stored(raw, facts, bits=facts.bits_stored)


def _by_pydicom(pixels: PixelElement, facts: ImageFacts, frame: int) -> np.ndarray:
    """Colour, palettes and odd bit depths, through pydicom and its plug-ins; colour comes as RGB."""
    from pydicom.pixels import apply_color_lut, pixel_array

    dataset, file = pixels.header.dataset, pixels.header.file
    file.seek(pixels.offset)
    value = file.read() if pixels.length == UNDEFINED_LENGTH else file.read(min(pixels.length, MAX_TOTAL_BYTES))
    remedy = "convert it to an uncompressed transfer syntax"
    with reading(facts.source_file, f"cannot be decoded (transfer syntax {facts.transfer_syntax})", remedy), quiet():
        dataset.add_new(PIXEL_DATA, pixels.vr, value)
        dataset["PixelData"].is_undefined_length = pixels.length == UNDEFINED_LENGTH
        dataset.file_meta = FileMetaDataset()
        # What was deflated has been inflated by now.
        inflated = facts.transfer_syntax == uid.DeflatedExplicitVRLittleEndian
        dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian if inflated else uid.UID(facts.transfer_syntax)
        array = pixel_array(dataset, index=frame)
        if facts.photometric == "PALETTE COLOR":
            array = apply_color_lut(array, dataset)
    wanted = (facts.rows, facts.columns)
    if array.shape not in (wanted, (*wanted, 3)) or array.dtype.kind not in "iu":
        raise BadFile(facts.source_file, f"decodes to {array.dtype} {array.shape}, its header says {wanted}", remedy)
    return array if facts.photometric == "PALETTE COLOR" else clipped(array, facts)
