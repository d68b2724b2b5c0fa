"""The gate of training: what the policy refuses is skipped, counted and listed, and prediction says the same of it."""

from dataclasses import replace

import cv2
import numpy as np
import pydicom
import pytest

from mammolibs.errors import BadData, Refused
from mammolibs.imaging.dicom_write import MammographyHeader, write_mammogram
from mammolibs.ingest import admit, examine, ingest_images, ingest_patches, normal_requests, read_row
from mammolibs.ingest.gate import breast_place
from mammolibs.pipeline.source import read_source
from mammolibs.prepare import Contract, locate
from mammolibs.records import Policy
from mammolibs.shards import open_index, read_sample
from mammolibs.storage import open_store
from tests.ingest.test_images import CONTRACT, QUIET

PATCHES = Contract(canvas_height_px=96, canvas_width_px=64, patch_mm=16, patch_size_px=32)
HEADER = MammographyHeader(
    patient_id="p", patient_name="P", birth_date="19500101", age_years=60, study_uid="1.2.3", series_uid="1.2.4", instance_uid="1.2.5", study_id="1",
    accession="1", date="20200101", time="080000", series_number=1, instance_number=1, laterality="L", view="CC", manufacturer="M", model="M",
    station="S", software="1", serial="1", bits_stored=12, spacing_mm=0.5, windows=((2048, 4096, "NORMAL"),),
)  # fmt: skip


@pytest.fixture
def dicom(rows, tmp_path):
    """Writes the first film as DICOM with these changes; returns its row."""

    def write(name, header=None, **elements):
        path = tmp_path / f"{name}.dcm"
        film = cv2.imread(rows[0].path, cv2.IMREAD_UNCHANGED).astype(np.uint16) * 16
        write_mammogram(path, film, replace(HEADER, **(header or {})))
        if elements:
            data = pydicom.dcmread(path)
            data.update(elements)
            data.save_as(path)
        return replace(rows[0], image_id=f"s-{name}", path=str(path), lesions=(), pathology="normal", laterality="unknown", view="unknown")

    return write


def inverted(row):
    film = cv2.imread(row.path, cv2.IMREAD_UNCHANGED)
    cv2.imwrite(row.path, 255 - film)


def test_what_is_refused_is_skipped_counted_and_listed(rows, dicom, tmp_path):
    inverted(rows[1])
    spot = dicom("spot", SeriesDescription="L CC SPOT")
    report = ingest_images([spot, *rows[1:]], CONTRACT, tmp_path / "out", **QUIET)
    assert report.refused == {"spot_or_magnified": 1, "polarity_contradicts_pixels": 1} and report.written["train"] == 4
    told = dict(report.skipped)
    assert told[spot.path].startswith("refused, spot_or_magnified: ") and told[rows[1].path].startswith(
        "refused, polarity_contradicts_pixels: "
    )
    assert "1 spot_or_magnified" in str(report)
    assert ingest_images([spot, *rows[1:]], CONTRACT, tmp_path / "out", **QUIET) == replace(report, reused=True)


def test_a_warning_travels_with_its_sample(rows, dicom, tmp_path):
    report = ingest_images(
        [dicom("implant", {"implant": True, "laterality": "R"}, PatientOrientation="")], CONTRACT, tmp_path / "out", **QUIET
    )
    assert report.warned == {"implant": 1, "side_contradicts_pixels": 1} and report.refused == {} and report.skipped == ()
    store = open_store(tmp_path / "out" / "train")
    assert read_sample(store, open_index(store), 0).extra["acceptance"] == ["implant", "side_contradicts_pixels"]


def test_patches_of_a_refused_image_are_not_cut(rows, tmp_path):
    inverted(rows[1])
    report = ingest_patches(normal_requests([rows[1], *rows[4:6]], 2), PATCHES, tmp_path / "out", skip_share=0.5, **QUIET)
    assert report.refused == {"polarity_contradicts_pixels": 1} and report.written == {"train": 4}
    assert [file for file, _ in report.skipped] == [rows[1].path]


def test_the_policy_decides_and_other_policies_are_other_shards(rows, dicom, tmp_path):
    spot = dicom("spot", SeriesDescription="L CC SPOT")
    with pytest.raises(BadData, match="1 of 1 could not be used.*--accept spot_or_magnified"):
        ingest_images([spot], CONTRACT, tmp_path / "out", **QUIET)
    lenient = Policy().accepting("spot_or_magnified")
    report = ingest_images([spot], CONTRACT, tmp_path / "out", policy=lenient, **QUIET)
    assert report.written == {"train": 1} and report.warned["spot_or_magnified"] == 1
    strict = lenient.changed({"train": {"lossy": "refuse"}})
    assert not ingest_images([spot], CONTRACT, tmp_path / "out", policy=strict, **QUIET).reused


@pytest.mark.parametrize("header,elements", [
    ({}, {}), ({"implant": True}, {}), ({"laterality": "R"}, {"PatientOrientation": ""}), ({"burned_in": True}, {"SeriesDescription": "L CC MAG"}),
    ({}, {"Modality": "MR"}), ({"intent": "FOR PROCESSING"}, {}), ({"photometric": "MONOCHROME1"}, {}),
])  # fmt: skip
def test_training_and_prediction_find_the_same(dicom, header, elements):
    row = dicom("a", header, **elements)
    for_training, _ = examine(read_row(row), CONTRACT, Policy(), "train")
    source = read_source(row.path, CONTRACT, None)
    assert source.verdict.codes == for_training.codes
    assert (source.prepared is None) == source.verdict.refused


def test_an_image_without_a_breast_is_refused_for_what_else_it_is(dicom, tmp_path):
    row = dicom("slice", Modality="CT", PixelData=bytes(240 * 200 * 2))
    with pytest.raises(Refused, match="wrong_modality: not a mammogram.*--accept wrong_modality") as refused:
        admit(read_row(row), CONTRACT, Policy(), "train")
    assert refused.value.verdict.codes == ("wrong_modality",)
    with pytest.raises(Exception, match="no breast found"):
        admit(read_row(row), CONTRACT, Policy().accepting("wrong_modality"), "train")


def test_the_place_of_the_breast_is_that_of_the_stored_image(rows):
    for row, wall in ((rows[0], "left"), (rows[1], "right")):
        mammogram = read_row(row)
        place = breast_place(locate(mammogram, CONTRACT))
        assert place.chest_wall == wall
        tissue = cv2.resize(mammogram.pixels, place.mask.shape[::-1], interpolation=cv2.INTER_AREA) > 0.2
        assert (tissue == place.mask).mean() > 0.95
