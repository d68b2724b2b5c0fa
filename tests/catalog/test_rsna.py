"""RSNA Screening Mammography: cancer of the breast without a place, empty BIRADS, the rarer views, layouts."""

from pathlib import Path

import pytest

from mammolibs.catalog import SOURCES
from mammolibs.errors import BadFile
from tests.catalog.trees import write_dicom, write_plain
from tests.catalog.trees_digital import rsna_record, write_rsna


def read(root):
    return SOURCES["rsna"](root)


def rows_of(root, *changes):
    write_rsna(root, [rsna_record("10006", str(i), "L", "CC") | change for i, change in enumerate(changes)])
    return read(root).rows


def test_a_row_of_the_table(tmp_path):
    [row] = rows_of(tmp_path, {})
    assert (row.image_id, row.patient_id, row.exam_id) == ("rsna-0", "rsna/10006", "rsna/10006")
    assert row.path.endswith("train_images/10006/0.dcm") and (row.laterality, row.view) == ("L", "CC")
    assert (row.density, row.age_years, row.birads, row.maker) == ("B", 61, "1", "machine 29")
    assert row.licence.startswith("RSNA") and row.official_split == "" and row.spacing_mm is None


@pytest.mark.parametrize("change,pathology,truth,birads", [
    ({"cancer": "1", "biopsy": "1", "BIRADS": "0.0"}, "malignant", "biopsy", "0"),
    ({"cancer": "1", "biopsy": "1", "BIRADS": ""}, "malignant", "biopsy", ""),
    ({"biopsy": "1", "BIRADS": "0"}, "benign", "biopsy", "0"),
    ({"biopsy": "1", "BIRADS": "1"}, "benign", "biopsy", "1"),
    ({"BIRADS": "1"}, "normal", "read", "1"),
    ({"BIRADS": "2.0"}, "benign", "read", "2"),
    ({"BIRADS": ""}, "benign", "read", ""),
])  # fmt: skip
def test_biopsy_truth_and_readings(tmp_path, change, pathology, truth, birads):
    [row] = rows_of(tmp_path, change)
    assert (row.pathology, row.truth, row.birads, row.lesions) == (pathology, truth, birads, ())


def test_only_a_negative_reading_says_that_there_is_no_lesion(tmp_path):
    write_rsna(tmp_path, [rsna_record("10006", str(i), "L", "CC", BIRADS=word) for i, word in enumerate(("1", "2", ""))])
    notes = read(tmp_path).notes
    assert any("lesions are unknown" in note for note in notes)
    assert any(note.startswith("images without cancer and without a negative reading") and note.endswith(": 2") for note in notes)


def test_all_views_of_a_breast_carry_its_cancer_and_the_other_breast_does_not(tmp_path):
    ill = {"cancer": "1", "biopsy": "1"}
    rows = rows_of(tmp_path, ill, {"view": "MLO"} | ill, {"laterality": "R"})
    assert [(row.laterality, row.pathology) for row in rows] == [("L", "malignant"), ("L", "malignant"), ("R", "normal")]
    assert {row.patient_id for row in rows} == {"rsna/10006"}


def test_the_rarer_views(tmp_path):
    rows = rows_of(tmp_path, *({"view": view} for view in ("CC", "MLO", "ML", "LM", "LMO", "AT")))
    assert [row.view for row in rows] == ["CC", "MLO", "ML", "LM", "LMO", "other"]


def test_empty_cells_stay_empty_and_implants_are_counted(tmp_path):
    [row] = rows_of(tmp_path, {"age": "", "density": "", "implant": "1"})
    assert (row.age_years, row.density) == (None, "")
    assert "images with an implant: 1" in read(tmp_path).notes


@pytest.mark.parametrize("change,says", [
    ({"cancer": ""}, "cancer is ''"), ({"cancer": "maybe"}, "cancer is 'maybe'"), ({"biopsy": "2"}, "biopsy is '2'"),
    ({"BIRADS": "4"}, "BIRADS is '4'"), ({"BIRADS": "x"}, "no number"), ({"view": "XX"}, "view is 'XX'"),
    ({"density": "E"}, "density is 'E'"),
])  # fmt: skip
def test_a_word_that_nobody_knows_skips_its_image(tmp_path, change, says):
    write_rsna(tmp_path, [rsna_record("10006", "0", "L", "CC") | change, rsna_record("10006", "1", "L", "MLO")])
    result = read(tmp_path)
    assert [row.image_id for row in result.rows] == ["rsna-1"] and says in result.skipped[0].reason


@pytest.mark.parametrize("place", ["png/10006/0.png", "png/10006_0.png"])
def test_copies_in_another_format(tmp_path, place):
    write_rsna(tmp_path, [rsna_record("10006", "0", "L", "CC"), rsna_record("10007", "1", "L", "CC")])
    (tmp_path / "train_images/10006/0.dcm").unlink()
    copy = write_plain(tmp_path / place)
    assert {row.path for row in read(tmp_path).rows} == {str(copy), str(tmp_path / "train_images/10007/1.dcm")}


def test_images_without_a_label_are_not_rows_and_missing_ones_are_absent(tmp_path):
    write_rsna(tmp_path, [rsna_record("10006", "0", "L", "CC"), rsna_record("10006", "1", "L", "MLO")])
    write_dicom(tmp_path / "test_images" / "10008" / "736471439.dcm")
    (tmp_path / "test.csv").write_text("site_id,patient_id,image_id,laterality,view,age\n2,10008,736471439,L,MLO,81\n")
    Path(tmp_path / "train_images/10006/1.dcm").unlink()
    result = read(tmp_path)
    assert ([row.image_id for row in result.rows], result.absent, result.skipped) == (["rsna-0"], 1, [])


def test_the_test_table_alone_is_no_label_table(tmp_path):
    write_dicom(tmp_path / "test_images" / "10008" / "736471439.dcm")
    (tmp_path / "test.csv").write_text("site_id,patient_id,image_id,laterality,view,age\n2,10008,736471439,L,MLO,81\n")
    with pytest.raises(BadFile, match="holds no train.csv"):
        read(tmp_path)
