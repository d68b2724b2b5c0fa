"""TIFF: value by largest value, either byte order, a directory at the end, white as zero; what is damaged is an error."""

import struct

import numpy as np
import pytest
from PIL import Image

from mammolibs.errors import BadFile
from mammolibs.imaging import is_image_name, read_facts, read_mammogram, read_stored
from mammolibs.imaging.files import kind_of
from tests.imaging.make import texture


def save(path, pixels, **options):
    Image.fromarray(pixels).save(path, "TIFF", **options)
    return path


def by_hand(pixels, *, order="<", photometric=1, shift=0):
    """An uncompressed gray TIFF whose directory lies at the end of the file, as some writers leave it."""
    rows, columns = pixels.shape
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    entries = [
        (256, 4, columns), (257, 4, rows), (258, 3, 8 * pixels.itemsize), (259, 3, 1), (262, 3, photometric), (273, 4, 8),
        (277, 3, 1), (278, 4, rows), (279, 4, len(data)),
    ]  # fmt: skip
    body = b"".join(struct.pack(f"{order}HHI{'Hxx' if kind == 3 else 'I'}", tag, kind, 1, value) for tag, kind, value in entries)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(data) + shift)
    return head + data + struct.pack(f"{order}H", len(entries)) + body + bytes(4)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate"])
def test_gray_images(tmp_path, bits, compression):
    pixels = texture(bits, shape=(30, 20))
    path = save(tmp_path / "a.tif", pixels, compression=compression)
    facts, stored = read_facts(path), read_stored(path)
    assert np.array_equal(stored.frames[0], pixels) and (facts.rows, facts.columns, facts.bits_stored) == (30, 20, bits)
    assert np.allclose(read_mammogram(path).pixels, pixels / ((1 << bits) - 1), atol=1e-7) and is_image_name(path)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_directory_at_the_end_in_either_byte_order(tmp_path, order, bits):
    pixels = texture(bits, shape=(30, 20))
    path = tmp_path / "a.tif"
    path.write_bytes(by_hand(pixels, order=order))
    assert np.array_equal(read_stored(path).frames[0], pixels) and read_facts(path).bits_stored == bits


def test_white_as_zero_is_turned_round(tmp_path):
    pixels = texture(8, shape=(30, 20))
    (tmp_path / "a.tif").write_bytes(by_hand(pixels, photometric=0))
    assert np.array_equal(read_stored(tmp_path / "a.tif").frames[0], 255 - pixels)


def test_colour_is_rgb(tmp_path):
    pixels = np.dstack([texture(8, shape=(30, 20))] * 3)
    path = save(tmp_path / "a.tiff", pixels)
    assert read_facts(path).photometric == "RGB" and np.array_equal(read_stored(path).frames[0], pixels)


@pytest.mark.parametrize("data", [
    b"II*\0", b"II*\0\xff\xff\xff\x7f", by_hand(texture(8, shape=(30, 20)))[:-60], by_hand(texture(8, shape=(30, 20)), shift=4000),
    by_hand(texture(8, shape=(30, 20)), photometric=3),
])  # fmt: skip
def test_what_is_damaged_or_of_another_kind_is_named(tmp_path, data):
    path = tmp_path / "a.tif"
    path.write_bytes(data)
    for read in (read_facts, read_stored, read_mammogram):
        with pytest.raises(BadFile, match="a.tif: has no readable TIFF header"):
            read(path)


def test_pixels_that_are_cut_short_are_an_error(tmp_path):
    path = save(tmp_path / "a.tif", texture(16, shape=(300, 200)), compression="tiff_lzw")
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(BadFile, match="a.tif"):
        read_stored(path)


@pytest.mark.parametrize("mark", [b"II*\0", b"MM\0*"])
def test_a_dicom_file_with_the_preamble_of_a_tiff_is_dicom(mark):
    assert kind_of(mark + bytes(124) + b"DICM") == "dicom"
