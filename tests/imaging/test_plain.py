"""PNG, PGM and JPEG: value by largest value, and what is cut short is an error."""

import cv2
import imagecodecs
import numpy as np
import pytest

from mammolibs.errors import BadFile
from mammolibs.imaging import is_image_name, iter_image_files, read_facts, read_mammogram, read_stored
from mammolibs.imaging.write import write_png16
from tests.imaging.make import dicom_bytes, texture


def encoded(kind: str, pixels: np.ndarray) -> bytes:
    if kind == "png":
        return imagecodecs.png_encode(pixels)
    if kind == "jpeg":
        return imagecodecs.jpeg8_encode(pixels, level=100)
    head = f"P5\n# a comment\n{pixels.shape[1]} {pixels.shape[0]}\n{np.iinfo(pixels.dtype).max}\n".encode()
    return head + pixels.astype(pixels.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("kind,bits", [("png", 8), ("png", 16), ("pgm", 8), ("pgm", 16), ("jpeg", 8)])
def test_gray_images(tmp_path, kind, bits):
    pixels = texture(bits, shape=(30, 20))
    path = tmp_path / f"a.{kind}"
    path.write_bytes(encoded(kind, pixels))
    shown, facts, stored = read_mammogram(path), read_facts(path), read_stored(path)
    tolerance = 0.02 if kind == "jpeg" else 1e-7
    assert shown.pixels.dtype == np.float32 and np.allclose(shown.pixels, pixels / ((1 << bits) - 1), atol=tolerance)
    assert (facts.rows, facts.columns, facts.bits_stored, facts.transfer_syntax) == (30, 20, bits, kind.upper())
    assert (facts.laterality, facts.view, facts.spacing_mm) == ("unknown", "unknown", None)
    assert stored.frames.shape == (1, 30, 20) and (kind == "jpeg" or np.array_equal(stored.frames[0], pixels))
    assert shown.display_chain == (f"{kind.upper()} as displayed, value / {(1 << bits) - 1}",)


def test_pgm_with_an_odd_largest_value(tmp_path):
    path = tmp_path / "a.pgm"
    path.write_bytes(b"P5 2 2 1000\n" + np.asarray([0, 250, 500, 1000], ">u2").tobytes())
    assert read_mammogram(path).pixels.tolist() == [[0.0, 0.25], [0.5, 1.0]]


def test_colour_images(tmp_path):
    gray = texture(8)
    path = tmp_path / "a.png"
    path.write_bytes(imagecodecs.png_encode(np.dstack([gray] * 3)))
    equal = read_mammogram(path)
    assert np.allclose(equal.pixels, gray / 255) and equal.display_chain[-1] == "three equal channels taken as one"
    rgb = np.dstack([gray, gray[::-1], gray[:, ::-1]])
    path.write_bytes(imagecodecs.png_encode(rgb))
    mixed = read_mammogram(path)
    assert (
        np.allclose(mixed.pixels, rgb @ [0.299, 0.587, 0.114] / 255, atol=1e-6) and mixed.display_chain[-1] == "luminance of a colour image"
    )
    assert np.array_equal(read_stored(path).frames[0], rgb)
    path.write_bytes(imagecodecs.png_encode(np.dstack([rgb, np.full_like(gray, 255)])))
    assert np.array_equal(read_stored(path).frames[0], rgb)


@pytest.mark.parametrize("kind", ["png", "pgm", "jpeg"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_what_is_cut_short_is_an_error(tmp_path, kind, share):
    data = encoded(kind, texture(8, shape=(64, 64)))
    path = tmp_path / f"a.{kind}"
    path.write_bytes(data[: max(3, int(share * len(data)))])
    with pytest.raises(BadFile) as error:
        read_mammogram(path)
    assert str(path) in str(error.value) and error.value.remedy


def test_a_png_that_claims_to_be_enormous(tmp_path):
    data = bytearray(encoded("png", texture(8)))
    data[16:24] = (1 << 20).to_bytes(4, "big") * 2
    path = tmp_path / "a.png"
    path.write_bytes(data)
    with pytest.raises(BadFile, match="1048576 x 1048576"):
        read_mammogram(path)


def test_a_png_with_a_flipped_byte(tmp_path):
    data = bytearray(encoded("png", texture(16)))
    data[len(data) // 2] ^= 1
    path = tmp_path / "a.png"
    path.write_bytes(data)
    with pytest.raises(BadFile, match="damaged IDAT chunk"):
        read_mammogram(path)


def test_the_content_decides_not_the_name(tmp_path):
    pixels = texture(12)
    path = tmp_path / "a.png"
    path.write_bytes(dicom_bytes(pixels, bits=12))
    assert read_facts(path).bits_stored == 12


def test_image_files_of_a_folder(tmp_path):
    wanted = ["a.dcm", "b/c.PNG", "b/d.jpg", "e/1.2.3.45", "e/IM0001", "f.pgm", "g.jpeg"]
    for name in [*wanted, "notes.txt", ".hidden/x.dcm", "b/.y.png", "DICOMDIR", "e/readme"]:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"\0" * 128 + b"DICM" if "e/" in name and name != "e/readme" or name == "DICOMDIR" else b"x")
    assert [p.relative_to(tmp_path).as_posix() for p in iter_image_files(tmp_path)] == sorted(wanted, key=lambda n: ("/" in n, n))
    assert is_image_name("x/y.DCM") and not is_image_name("x/y.txt")


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_written_pngs_are_what_was_given(tmp_path, shape):
    pixels = np.random.default_rng(0).integers(0, 65536, shape).astype(np.uint16)
    write_png16(tmp_path / "a.png", pixels)
    read = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(read if read.ndim == 2 else read[..., ::-1], pixels)
    assert np.array_equal(read_stored(tmp_path / "a.png").frames[0], pixels)
    with pytest.raises(ValueError, match="uint16"):
        write_png16(tmp_path / "a.png", pixels.astype(float))
