"""KAU-BCMD: names and folders of the copies, the case's category and whose it is, images in two folders, the density workbook."""

from pathlib import Path

import openpyxl
import pytest

from mammolibs.catalog import SOURCES
from mammolibs.catalog.sources.kau_bcmd import SHEET, WORKBOOK
from mammolibs.errors import BadFile
from tests.catalog.trees import write_dicom
from tests.catalog.trees_tables import write_kau


def read(root, **options):
    return SOURCES["kau_bcmd"](root, options)


def only(root, **options):
    [row] = read(root, **options).rows
    return row


@pytest.mark.parametrize("path,patient,exam,side,view,birads", [
    ("BIRAD1/b1/2013_BC000541_ MLO_L.jpg", "BC000541", "2013_BC000541", "L", "MLO", "1"),
    ("Birad3/b3/2019_BC0026061_ CC_R.jpg", "BC0026061", "2019_BC0026061", "R", "CC", "3"),
    ("Birad5/Birad5/2018_bc005421_cc_r.JPG", "BC005421", "2018_BC005421", "R", "CC", "5"),
    ("BIRAD 4/2018_BC0022482_MLO_R.jpg", "BC0022482", "2018_BC0022482", "R", "MLO", "4"),
    ("Birad4/case 7/d_left_cc.jpg", "case 7", "4/case 7", "L", "CC", "4"),
    ("bi-rads_5/12/x_Right_MLO (2).jpeg", "12", "5/12", "R", "MLO", "5"),
])  # fmt: skip
def test_names_and_folders_of_the_copies(tmp_path, path, patient, exam, side, view, birads):
    write_kau(tmp_path, path)
    row = only(tmp_path)
    assert (row.patient_id, row.exam_id) == (f"kau_bcmd/{patient}", f"kau_bcmd/{exam}")
    assert (row.laterality, row.view, row.birads, row.bits, row.lesions) == (side, view, birads, 8, ())
    assert "conflicting" in row.licence


def test_the_category_is_the_cases_and_labels_no_breast(tmp_path):
    write_kau(tmp_path, "Birad5/b5/2018_BC1_ CC_L.jpg", "Birad5/b5/2018_BC1_ CC_R.jpg", "BIRAD1/b1/2013_BC2_ CC_L.jpg")
    result = read(tmp_path)
    assert {(r.birads, r.pathology, r.truth) for r in result.rows} == {("5", "unknown", "unknown"), ("1", "normal", "birads")}
    assert any("labels=case" in note and note.endswith(": 2") for note in result.notes)
    taken = read(tmp_path, labels="case").rows
    assert {(r.birads, r.pathology, r.truth) for r in taken} == {("5", "malignant", "assumed"), ("1", "normal", "birads")}


def test_two_years_of_a_number_are_one_patient(tmp_path):
    write_kau(tmp_path, "Birad5/b5/2018_BC77_ CC_L.jpg", "BIRAD1/b1/2013_BC77_ CC_L.jpg")
    rows = read(tmp_path).rows
    assert len({r.patient_id for r in rows}) == 1 and len({r.exam_id for r in rows}) == 2


def test_an_image_in_two_folders_is_one_row_of_the_higher_category(tmp_path):
    write_kau(tmp_path, "Birad4/b4/2018_BC005421_ CC_R.jpg", "Birad5/Birad5/2018_BC005421_CC_R.jpg")
    result = read(tmp_path)
    assert [r.birads for r in result.rows] == ["5"]
    assert [(item.on_purpose, "whose category is 5" in item.reason) for item in result.skipped] == [(True, True)]


def test_what_is_no_mammogram_of_a_case_is_skipped(tmp_path):
    write_kau(
        tmp_path, "Birad4/b4/2018_BC1_CC_R.jpg", "Birad4/Tumor Masks/2018_BC1_CC_R.jpg", "ultrasound/7.jpg", "Birad4/b4/picture.jpg",
        "Birad4/b5/2018_BC2_CC_R.jpg",
    )  # fmt: skip
    result = read(tmp_path)
    assert len(result.rows) == 1
    reasons = {item.item.removeprefix(f"{tmp_path}/"): (item.on_purpose, item.reason) for item in result.skipped}
    assert reasons["Birad4/Tumor Masks/2018_BC1_CC_R.jpg"][0] and reasons["ultrasound/7.jpg"][0]
    assert not reasons["Birad4/b4/picture.jpg"][0] and "names the case" in reasons["Birad4/b4/picture.jpg"][1]
    assert not reasons["Birad4/b5/2018_BC2_CC_R.jpg"][0] and "(4, 5)" in reasons["Birad4/b5/2018_BC2_CC_R.jpg"][1]


def test_a_mask_or_a_report_beside_its_image_is_known_by_its_name(tmp_path):
    names = ("a_Left_CC.jpg", "a_Left_CC_mask.jpg", "a_Left_CC Masked.png", "Report_left_cc.jpg")
    write_kau(tmp_path, *(f"Birad4/7/{name}" for name in names), "Birad4/b4/2018_BC1_CC_R_Mask.jpg")
    result = read(tmp_path)
    assert [Path(row.path).name for row in result.rows] == [names[0]]
    assert [item.on_purpose and "is a mask or a report" in item.reason for item in result.skipped] == [True] * 4


def test_the_dicom_copy_says_more(tmp_path):
    folder = tmp_path / "BIRAD 3"
    write_dicom(folder / "2018_BC005421.dcm", ImageLaterality="L", ViewPosition="CC", Manufacturer="ACME", ImagerPixelSpacing=[0.05, 0.05])
    write_dicom(folder / "2018_BC005421_MLO_R.dcm", ImageLaterality="R", PatientAge="051Y")
    by_header, by_name = read(tmp_path).rows
    assert (by_header.laterality, by_header.view, by_header.maker, by_header.spacing_mm) == ("L", "CC", "ACME", 0.05)
    assert (by_name.laterality, by_name.view, by_name.bits, by_name.age_years) == ("R", "MLO", 16, 51)


def write_workbook(root, *columns):
    book = openpyxl.Workbook()
    book.active.title = SHEET
    book[SHEET].append(list(columns))
    book[SHEET].append(["D:\\all\\2018_BC1_ CC_R.jpg", "51% - 75%"])
    book.save(root / WORKBOOK)


def test_densities_come_from_the_workbook(tmp_path):
    write_kau(tmp_path, "Birad4/b4/2018_BC1_CC_R.jpg", "Birad4/b4/2018_BC1_CC_L.jpg")
    write_workbook(tmp_path, "Image path", "Percentage of\n grandular tissue(density)")
    assert {r.laterality: r.density for r in read(tmp_path).rows} == {"R": "C", "L": ""}


def test_a_workbook_of_another_kind_costs_the_densities_and_nothing_else(tmp_path):
    write_kau(tmp_path, "Birad4/b4/2018_BC1_CC_R.jpg")
    write_workbook(tmp_path, "Image path", "density")
    result = read(tmp_path)
    assert len(result.rows) == 1 and any(WORKBOOK in note and "unknown" in note for note in result.notes)


def test_a_folder_without_categories_is_named(tmp_path):
    write_kau(tmp_path, "images/2018_BC1_CC_R.jpg")
    with pytest.raises(BadFile, match="Birad1, Birad3"):
        read(tmp_path)
