import os
import shutil
import subprocess
import sys
from dataclasses import replace

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.encaps import get_frame

from mammolibs.errors import BadConfig
from mammolibs.imaging.dicom_write import TRANSFER_SYNTAXES, MammographyHeader, mammogram_bytes, write_mammogram

HEADER = MammographyHeader(
    patient_id="P1", patient_name="TEST^ONE", birth_date="19600101", age_years=60, study_uid="2.25.1", series_uid="2.25.2",
    instance_uid="2.25.3", study_id="1", accession="A1", date="20200102", time="101010", series_number=1, instance_number=1,
    laterality="L", view="MLO", manufacturer="maker", model="model", station="S", software="1", serial="9", spacing_mm=0.07,
    detector_size_mm=(240, 290), windows=((2048, 4096, "NORMAL"),),
)  # fmt: skip
PIXELS = np.random.default_rng(0).integers(0, 4096, (63, 51)).astype(np.uint16)
_TOOL = shutil.which("dciodvfy", path=os.path.dirname(sys.executable) + os.pathsep + os.environ.get("PATH", ""))


def _errors(path):
    done = subprocess.run([_TOOL, str(path)], capture_output=True, text=True)
    return [line for line in (done.stdout + done.stderr).splitlines() if "Error" in line]


VALID = {
    "plain": {}, "cc": {"view": "CC"}, "old codes": {"old_codes": True}, "monochrome1": {"photometric": "MONOCHROME1"},
    "sigmoid": {"voi_function": "SIGMOID"}, "16 bits": {"bits_stored": 16}, "padding": {"padding": 0}, "implant": {"implant": True},
    "two windows": {"windows": ((2048, 4096, "NORMAL"), (2000, 3000, "HARDER"))}, "no view position": {"view_position": False},
    "lut": {"windows": (), "voi_lut": np.arange(4096) * 16}, "processing": {"intent": "FOR PROCESSING", "windows": ()},
    "derived": {"source_uid": "2.25.99"},
}  # fmt: skip


@pytest.mark.parametrize("change", VALID.values(), ids=VALID.keys())
def test_what_is_valid_is_valid(tmp_path, change):
    write_mammogram(tmp_path / "a.dcm", PIXELS, replace(HEADER, **change))
    assert _errors(tmp_path / "a.dcm") == []


def test_eight_bits(tmp_path):
    header = replace(HEADER, bits_stored=8, windows=((128, 256, "NORMAL"),))
    write_mammogram(tmp_path / "a.dcm", (PIXELS >> 4).astype(np.uint8), header)
    assert _errors(tmp_path / "a.dcm") == []
    assert (pydicom.dcmread(tmp_path / "a.dcm").pixel_array == PIXELS >> 4).all()


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
def test_every_syntax_gives_the_pixels_back(tmp_path, syntax):
    write_mammogram(tmp_path / "a.dcm", PIXELS, HEADER, syntax=syntax)
    data = pydicom.dcmread(tmp_path / "a.dcm")
    assert data.file_meta.TransferSyntaxUID == TRANSFER_SYNTAXES[syntax]
    pixels = imagecodecs.ljpeg_decode(get_frame(data.PixelData, 0)) if syntax == "jpeg-lossless" else data.pixel_array
    assert (pixels == PIXELS).all()
    if syntax != "deflated":
        assert _errors(tmp_path / "a.dcm") == []


def test_signed_values_survive_every_syntax_that_carries_them():
    signed = PIXELS.astype(np.int16) - 2048
    for syntax in ("implicit", "explicit", "big", "deflated", "jpeg2000"):
        raw = mammogram_bytes(signed, replace(HEADER, signed=True, windows=((0, 4096, "N"),)), syntax=syntax)
        data = pydicom.dcmread(pydicom.filebase.DicomBytesIO(raw))
        assert (data.pixel_array == signed).all(), syntax


def test_same_arguments_same_bytes():
    assert mammogram_bytes(PIXELS, HEADER) == mammogram_bytes(PIXELS.copy(), replace(HEADER))


def test_the_caller_keeps_his_array():
    before = PIXELS.copy()
    mammogram_bytes(PIXELS, HEADER, syntax="big")
    assert (before == PIXELS).all() and PIXELS.dtype == np.uint16


def test_an_unknown_syntax_is_refused():
    with pytest.raises(BadConfig, match="jpeg2000"):
        mammogram_bytes(PIXELS, HEADER, syntax="bmp")
