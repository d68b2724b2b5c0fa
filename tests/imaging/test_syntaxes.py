"""Every transfer syntax gives the stored values: ours made here, pydicom's own files, real ones."""

import os
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from mammolibs.imaging import read_facts, read_mammogram, read_stored
from tests.imaging.make import COMPRESSED, NATIVE, dicom_bytes, texture

DATA = Path(os.environ.get("MAMMOLIBS_DATA", Path(__file__).parents[2].parent / "shared" / "data")) / "dicom"

PYDICOM_FILES = [
    "MR_small.dcm",
    "MR_small_implicit.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_expb.dcm",
    "MR_small_RLE.dcm",
    "MR_small_padded.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "image_dfl.dcm",
    "JPEGLSNearLossless_08.dcm",
    "JPEGLSNearLossless_16.dcm",
    "693_J2KI.dcm",
    "J2K_pixelrep_mismatch.dcm",
    "JPEG2000.dcm",
    "examples_overlay.dcm",
    "rtdose.dcm",
    "rtdose_expb.dcm",
    "rtdose_rle.dcm",
    "liver_1frame.dcm",
    "SC_rgb_rle_16bit_2frame.dcm",
    "SC_rgb_small_odd.dcm",
    "SC_rgb_small_odd_big_endian.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "SC_rgb_dcmtk_+eb+cr.dcm",
    "SC_rgb_jls_lossy_line.dcm",
    "GDCMJ2K_TextGBR.dcm",
    "examples_rgb_color.dcm",
    "ExplVR_BigEnd.dcm",
    "CT_small.dcm",
]
NO_IMAGE = [
    "rtplan.dcm",
    "rtstruct.dcm",
    "test-SR.dcm",
    "reportsi.dcm",
    "waveform_ecg.dcm",
    "priv_SQ.dcm",
    "nested_priv_SQ.dcm",
    "UN_sequence.dcm",
]


def write(tmp_path, data: bytes, name="a.dcm"):
    path = tmp_path / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("syntax", NATIVE)
@pytest.mark.parametrize("bits,signed", [(8, False), (10, False), (12, False), (12, True), (14, False), (16, False), (16, True), (8, True)])
def test_native_values_are_exact(tmp_path, syntax, bits, signed):
    pixels = texture(bits, signed=signed, shape=(41, 33))
    stored = read_stored(write(tmp_path, dicom_bytes(pixels, syntax, bits=bits)))
    assert stored.frames.dtype == pixels.dtype and np.array_equal(stored.frames[0], pixels)
    assert stored.facts.transfer_syntax == NATIVE[syntax]


CASES = [(name, bits, signed) for name, s in COMPRESSED.items() for bits in s.bits for signed in ((False, True) if s.exact else (False,))]


@pytest.mark.parametrize("syntax,bits,signed", CASES)
def test_compressed_values(tmp_path, syntax, bits, signed):
    pixels = texture(bits, signed=signed)
    # JPEG Lossless has no sign: its samples are the lowest bits of the two's complement (PS3.5 8.2.1).
    source = pixels if not signed else (pixels.astype(np.int64) & ((1 << bits) - 1)).astype(pixels.dtype)
    stored = read_stored(write(tmp_path, dicom_bytes(source, syntax, bits=bits)))
    assert stored.frames.dtype == pixels.dtype and stored.facts.transfer_syntax == COMPRESSED[syntax].uid
    difference = np.abs(stored.frames[0].astype(int) - pixels.astype(int)).max()
    assert difference == 0 if COMPRESSED[syntax].exact else difference <= 0.02 * (1 << bits)


@pytest.mark.parametrize("syntax", ["explicit", "big endian", "RLE", "JPEG lossless SV1", "JPEG-LS", "JPEG 2000", "HTJ2K"])
def test_frames_keep_their_order(tmp_path, syntax):
    bits = 16 if syntax != "JPEG lossless SV1" else 12
    frames = np.stack([texture(bits, seed=seed) for seed in range(5)])
    path = write(tmp_path, dicom_bytes(frames, syntax, bits=bits))
    assert np.array_equal(read_stored(path).frames, frames)
    low, high = frames[3].min(), frames[3].max()
    assert np.allclose(read_mammogram(path, frame=3).pixels, (frames[3].astype(float) - low) / (high - low), atol=1e-6)


def test_lossy_htj2k_does_not_turn_white_into_black(tmp_path):
    pixels = np.full((64, 64), 65535, np.uint16)
    pixels[16:48, 16:48] = np.random.default_rng(0).integers(0, 2000, (32, 32))
    stored = read_stored(write(tmp_path, dicom_bytes(pixels, "HTJ2K lossy")))
    assert np.abs(stored.frames[0].astype(int) - pixels.astype(int)).max() < 200


def test_bits_above_bits_stored_are_cut_off(tmp_path):
    pixels = texture(12)
    stored = read_stored(write(tmp_path, dicom_bytes(pixels | np.uint16(0xA000), bits=12)))
    assert np.array_equal(stored.frames[0], pixels)


def test_lossy_overshoot_is_limited_to_bits_stored(tmp_path):
    pixels = texture(12)
    stored = read_stored(write(tmp_path, dicom_bytes(pixels, "JPEG extended", bits=12, BitsStored=11, HighBit=10)))
    assert stored.frames.max() == 2047
    assert stored.frames[0][pixels > 2200].min() == 2047


@pytest.mark.filterwarnings("ignore:The pixel data is")
@pytest.mark.parametrize("name", PYDICOM_FILES)
def test_pydicoms_own_files_agree_with_pydicom(name):
    path = get_testdata_file(name, download=False)
    reference = pydicom.dcmread(path).pixel_array
    stored = read_stored(path)
    assert np.array_equal(stored.frames.reshape(reference.shape), reference)
    assert read_mammogram(path).pixels.shape == (stored.facts.rows, stored.facts.columns)


def test_palette_becomes_rgb():
    path = get_testdata_file("examples_palette.dcm", download=False)
    ds = pydicom.dcmread(path)
    assert np.array_equal(read_stored(path).frames[0], pydicom.pixels.apply_color_lut(ds.pixel_array, ds))


def test_twelve_bit_jpeg_that_pydicom_cannot_decode():
    stored = read_stored(get_testdata_file("JPGExtended.dcm", download=False))
    assert stored.frames.shape == (1, 1024, 256) and stored.frames.max() == 264


@pytest.mark.parametrize("name", NO_IMAGE)
def test_objects_without_an_image_say_so(name):
    from mammolibs.errors import BadFile

    path = get_testdata_file(name, download=False)
    for read in (read_facts, read_stored, read_mammogram):
        with pytest.raises(BadFile, match="holds no image"):
            read(path)


needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real DICOM files in {DATA}; set MAMMOLIBS_DATA")


@needs_data
@pytest.mark.parametrize("name", ["NM1_J2KR", "NM1_JLSL", "NM1_JPLL", "NM1_RLE"])
def test_one_real_image_is_the_same_in_four_lossless_syntaxes(name):
    stored = read_stored(DATA / name).frames
    reference = pydicom.dcmread(DATA / "NM1_RLE").pixel_array
    assert stored.dtype == np.int16 and np.array_equal(stored[0], reference)


@needs_data
def test_near_lossless_and_lossy_stay_close_to_the_lossless_image():
    exact = read_stored(DATA / "NM1_J2KR").frames.astype(int)
    for name in ("NM1_JLSN", "NM1_JPLY"):
        differences = np.abs(read_stored(DATA / name).frames.astype(int) - exact)
        assert differences.mean() < 3 and differences.max() < 40


@needs_data
@pytest.mark.parametrize("name", ["MG_Explicit_Little.dcm", "RG3_JLSN", "jpeg2k_3d.dcm", "vlut_04.dcm"])
def test_real_files_agree_with_pydicom(name):
    reference = pydicom.dcmread(DATA / name).pixel_array
    stored = read_stored(DATA / name)
    assert np.array_equal(stored.frames.reshape(reference.shape), np.minimum(reference, (1 << stored.facts.bits_stored) - 1))


@needs_data
def test_facts_of_real_files():
    mammogram, tomo = read_facts(DATA / "MG1_J2KI"), read_facts(DATA / "jpeg2k_3d.dcm")
    assert (mammogram.laterality, mammogram.view, mammogram.modality, mammogram.bits_stored) == ("L", "MLO", "RG", 12)
    assert (tomo.laterality, tomo.view, tomo.frames) == ("L", "CC", 4)
    spaced = read_facts(DATA / "MG_Explicit_Little.dcm")
    assert (spaced.laterality, spaced.spacing_mm, spaced.magnification) == ("R", 0.5, 1.5)


@needs_data
def test_the_breast_is_brighter_than_the_air_beside_it():
    pixels = read_mammogram(DATA / "MG1_J2KI").pixels
    assert pixels[1500:2500, 600:1200].mean() > pixels[1500:2500, 2300:2700].mean() + 0.2
