"""What bad input gets: a BadFile that names the file, says what is wrong and what to do; in bounded time and memory."""

import struct
import time
import tracemalloc
import zlib

import numpy as np
import pytest

from mammolibs.errors import BadFile
from mammolibs.imaging import read_facts, read_mammogram, read_stored
from tests.imaging.make import COMPRESSED, NATIVE, dicom_bytes, texture

PIXELS = texture(12)
END_OF_IMAGE = ("JPEG baseline", "JPEG extended", "JPEG lossless 5", "JPEG lossless SV1", "JPEG-LS", "JPEG 2000", "HTJ2K", "HTJ2K lossy")


def refused(path, match=None, read=read_mammogram):
    with pytest.raises(BadFile, match=match) as error:
        read(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value) and error.value.remedy


def put(tmp_path, data: bytes):
    path = tmp_path / "bad.dcm"
    path.write_bytes(data)
    return path


def small(syntax: str, **elements) -> bytes:
    bits = 12 if syntax in NATIVE else COMPRESSED[syntax].bits[-1]
    return dicom_bytes(texture(bits), syntax, bits=bits, **elements)


def test_files_that_are_none(tmp_path):
    for read in (read_facts, read_stored, read_mammogram):
        refused(tmp_path / "gone.dcm", "is not there", read)
        refused(put(tmp_path, b""), "is empty", read)
        refused(put(tmp_path, b"a letter to the radiologist\n" * 50), "is no DICOM", read)
        refused(tmp_path, "Is a directory", read)


def test_a_header_without_pixels(tmp_path):
    data = dicom_bytes(PIXELS, bits=12)
    end = data.index(b"\xe0\x7f\x10\x00")
    refused(put(tmp_path, data[:end]), "has no pixel data")


@pytest.mark.parametrize("syntax", [*NATIVE, *COMPRESSED])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_truncated_pixels(tmp_path, syntax, share):
    data = small(syntax)
    start = len(data) // 2 if syntax == "deflated" else data.index(b"\x7f\xe0\x00\x10" if syntax == "big endian" else b"\xe0\x7f\x10\x00")
    path = put(tmp_path, data[: start + int(share * (len(data) - start))])
    refused(path)


@pytest.mark.parametrize("syntax", END_OF_IMAGE)
@pytest.mark.parametrize("share", [0.4, 0.8])
def test_a_frame_cut_short_inside_a_whole_file(tmp_path, syntax, share):
    encode = COMPRESSED[syntax].encode
    bits = COMPRESSED[syntax].bits[-1]
    data = dicom_bytes(texture(bits), syntax, bits=bits, encode=lambda a, b: encode(a, b)[: int(share * len(encode(a, b)))])
    refused(put(tmp_path, data))


@pytest.mark.parametrize("syntax", [*NATIVE, *COMPRESSED])
@pytest.mark.parametrize("elements", [{"Rows": 400}, {"Columns": 65535}, {"NumberOfFrames": 7}, {"NumberOfFrames": 60000}])
def test_a_header_that_contradicts_its_pixels(tmp_path, syntax, elements):
    path = put(tmp_path, small(syntax, **elements))
    tracemalloc.start()
    refused(path, read=read_stored)
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("elements,message", [
    ({"Rows": 65535, "Columns": 65535}, "more than any mammogram"),
    ({"Rows": 0}, "holds no image"),
    ({"BitsStored": 17}, "17 bits stored in 16"),
    ({"BitsAllocated": 8, "BitsStored": 12}, "12 bits stored in 8"),
    ({"SamplesPerPixel": 3}, "contradicts its pixels"),
])  # fmt: skip
def test_impossible_headers(tmp_path, elements, message):
    refused(put(tmp_path, dicom_bytes(PIXELS, bits=12, **elements)), message)


@pytest.mark.parametrize("syntax", ["JPEG lossless 5", "JPEG lossless SV1"])
def test_lossless_jpeg_without_huffman_tables(tmp_path, syntax):
    data = small(syntax)
    place = data.index(b"\xff\xc4", data.index(b"\xe0\x7f\x10\x00"))
    while data[place : place + 2] == b"\xff\xc4":
        data = data[:place] + b"\xff\xfe" + data[place + 2 :]
        place += 2 + struct.unpack_from(">H", data, place + 2)[0]
    refused(put(tmp_path, data))


def test_an_unknown_transfer_syntax(tmp_path):
    data = small("JPEG-LS").replace(COMPRESSED["JPEG-LS"].uid.encode(), b"1.2.840.10008.1.2.4.99")
    refused(put(tmp_path, data), "1.2.840.10008.1.2.4.99")


def nested(depth: int, defined_length: bool) -> bytes:
    """A private sequence `depth` deep, explicit VR, with or without declared lengths."""
    value = b""
    if not defined_length:
        opening = struct.pack("<HH2sHI", 0x0009, 0x1001, b"SQ", 0, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
        closing = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
        return opening * depth + closing * depth
    for _ in range(depth):
        value = struct.pack("<HHI", 0xFFFE, 0xE000, len(value)) + value
        value = struct.pack("<HH2sHI", 0x0009, 0x1001, b"SQ", 0, len(value)) + value
    return value


@pytest.mark.parametrize("defined_length", [True, False])
@pytest.mark.parametrize("depth", [100, 1000, 20000])
def test_sequences_nested_too_deep(tmp_path, depth, defined_length):
    data = dicom_bytes(PIXELS, bits=12)
    place = data.index(struct.pack("<HH", 0x0010, 0x0020))
    path = put(tmp_path, data[:place] + nested(depth, defined_length) + data[place:])
    began = time.monotonic()
    for read in (read_facts, read_mammogram):
        refused(path, "nested", read)
    assert time.monotonic() - began < 20


def test_sequences_of_an_ordinary_depth_are_read(tmp_path):
    data = dicom_bytes(PIXELS, bits=12)
    place = data.index(struct.pack("<HH", 0x0010, 0x0020))
    for defined_length in (True, False):
        path = put(tmp_path, data[:place] + nested(12, defined_length) + data[place:])
        assert np.array_equal(read_stored(path).frames[0], PIXELS)


def test_a_deflated_file_that_unpacks_to_a_gigabyte(tmp_path):
    data = dicom_bytes(PIXELS, "deflated", bits=12)
    head = data[: 144 + struct.unpack_from("<I", data, 140)[0]]
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    start = packer.compress(struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 1 << 30)) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(1 << 24)) + packer.flush(zlib.Z_FULL_FLUSH)
    path = put(tmp_path, head + start + 64 * block + packer.flush())
    assert path.stat().st_size < 2 << 20
    refused(path, "unpacks to more than 256 MB")


def test_an_rle_segment_that_is_too_short(tmp_path):
    data = bytearray(small("RLE"))
    place = data.index(struct.pack("<III", 2, 64, 64)[:8])
    struct.pack_into("<I", data, place + 8, 66)
    refused(put(tmp_path, bytes(data)), "decoded as RLE")
