"""BMCD: two folders numbered alike, endings and misspelt names, the two rounds; counts of the real table and files."""

import lzma
from collections import Counter

import pytest

from mammolibs.catalog import SOURCES, headers
from mammolibs.errors import BadFile
from mammolibs.records import ImageFacts
from tests.catalog.trees import REAL
from tests.catalog.trees_biopsied import write_bmcd, write_workbook

TABLE = REAL / "bmcd" / "label.csv"
LISTING = REAL / "filelists" / "bmcd.txt.xz"
needs_table = pytest.mark.skipif(not (TABLE.exists() and LISTING.exists()), reason=f"{TABLE} is not there")


def read(root):
    return SOURCES["bmcd"](root)


def rows_of(root, cases):
    write_bmcd(root, cases)
    return {row.image_id.removeprefix("bmcd-"): row for row in read(root).rows}


def test_cases_of_one_number_in_two_folders_are_two_women(tmp_path):
    rows = rows_of(tmp_path, [("suspicious", 1, "Right", "4b", "DCIS"), ("normal", 1, "Left", "1", "")])
    assert len(rows) == 8 and {row.patient_id for row in rows.values()} == {"bmcd/suspicious_1", "bmcd/normal_1"}
    row = rows["suspicious_1_MLO_recent"]
    assert (row.laterality, row.view, row.pathology, row.truth, row.birads, row.density) == ("R", "MLO", "malignant", "biopsy", "4b", "B")
    assert (row.age_years, row.bits, row.exam_id, row.licence) == (57, 12, "bmcd/suspicious_1_recent", "BMCD: CC BY 4.0")
    [lesion] = row.lesions
    assert (lesion.kind, lesion.outline.shape) == ("calcification", "mask") and lesion.outline.path.endswith("MLO_recent_GT.jpg")


def test_what_lies_before_the_diagnosis_is_no_positive(tmp_path):
    write_bmcd(tmp_path, [("suspicious", 3, "Right", "5", "MALIGNANT")])
    result = read(tmp_path)
    prior = [row for row in result.rows if row.exam_id == "bmcd/suspicious_3_prior"]
    assert [(row.pathology, row.truth, row.birads, row.lesions) for row in prior] == [("unknown", "unknown", "", ())] * 2
    assert result.notes == ["images of suspicious cases from before the round that the table speaks of (their label is unknown): 2"]


@pytest.mark.parametrize("biopsy,label", [
    ("DCIS", ("malignant", "biopsy")), ("MALIGNANT", ("malignant", "biopsy")), ("BENIGN", ("benign", "biopsy")),
    ("NOT AVAILABLE", ("unknown", "unknown")),
])  # fmt: skip
def test_a_suspicious_case_is_what_its_biopsy_says(tmp_path, biopsy, label):
    row = rows_of(tmp_path, [("suspicious", 1, "Left", "4a", biopsy)])["suspicious_1_CC_recent"]
    assert (row.pathology, row.truth) == label and row.birads == "4a" and row.lesions[0].pathology == label[0]


@pytest.mark.parametrize("birads,label", [("1", "normal"), ("2", "benign")])
def test_a_normal_case_is_an_opinion_and_assumed_before_it(tmp_path, birads, label):
    rows = rows_of(tmp_path, [("normal", 7, "Left", birads, "")])
    recent, prior = rows["normal_7_CC_recent"], rows["normal_7_CC_prior"]
    assert [(row.pathology, row.truth) for row in (recent, prior)] == [(label, "birads"), (label, "assumed")]
    assert not recent.lesions and recent.patient_id == prior.patient_id and recent.exam_id != prior.exam_id


def test_the_misspelt_names_and_the_endings(tmp_path):
    write_bmcd(tmp_path, [("suspicious", 33, "Left", "4a", "BENIGN")])
    case = tmp_path / "Dataset" / "Suspicious_cases" / "33"
    renamed = {"CC_recent.dcm": "CC_recemt.dcm", "CC_recent_GT.jpg": "CC_reent_GT.jpg", "MLO_recent_GT.jpg": "MLO_recent_GT.Jpg"}
    for old, new in (renamed | {"CC_prior.dcm": "CC_prior.DCM", "MLO_prior.dcm": "MLO_prior.DCM"}).items():
        (case / old).rename(case / new)
    result = read(tmp_path)
    assert (len(result.rows), result.absent, result.skipped) == (4, 0, [])
    masks = {row.view: row.lesions[0].outline.path for row in result.rows if row.exam_id.endswith("recent")}
    assert masks == {"CC": str(case / "CC_reent_GT.jpg"), "MLO": str(case / "MLO_recent_GT.Jpg")}


def test_a_finding_without_its_mask_has_no_place(tmp_path):
    write_bmcd(tmp_path, [("suspicious", 1, "Left", "4a", "BENIGN")])
    (tmp_path / "Dataset" / "Suspicious_cases" / "1" / "CC_recent_GT.jpg").unlink()
    result = read(tmp_path)
    assert Counter(lesion.outline.shape for row in result.rows for lesion in row.lesions) == {"none": 1, "mask": 1}
    assert "images of a finding without their mask: 1" in result.notes


def test_images_that_are_absent_and_cases_that_are_not_listed(tmp_path):
    write_bmcd(tmp_path, [("normal", 1, "Left", "1", ""), ("normal", 2, "Left", "1", "")])
    table = tmp_path / "label.csv"
    table.write_text("".join(line for line in table.read_text().splitlines(True) if not line.startswith("2,")))
    (tmp_path / "Dataset" / "Normal_cases" / "1" / "CC_prior.dcm").unlink()
    result = read(tmp_path)
    assert (len(result.rows), result.absent, len(result.skipped)) == (3, 1, 4)
    assert {item.reason for item in result.skipped} == {"label.csv does not list its case"}


def test_a_case_that_is_listed_twice_is_refused(tmp_path):
    write_bmcd(tmp_path, [("normal", 1, "Left", "1", ""), ("normal", 1, "Left", "2", "")])
    with pytest.raises(BadFile, match="label.csv: lists normal case 1 twice"):
        read(tmp_path)


def test_a_reading_that_no_normal_case_has_is_not_guessed(tmp_path):
    write_bmcd(tmp_path, [("normal", 1, "Left", "4a", ""), ("normal", 2, "Left", "1", "")])
    result = read(tmp_path)
    assert len(result.rows) == 4 and "'4a'" in result.skipped[0].reason


def test_the_workbook_alone_says_what_to_make_of_it(tmp_path):
    write_bmcd(tmp_path, [("normal", 1, "Left", "1", "")])
    (tmp_path / "label.csv").unlink()
    write_workbook(tmp_path / "Description.xlsx", "Sheet1", [("a", "b")])
    with pytest.raises(BadFile, match="holds no label.csv; save the rows of Description.xlsx as label.csv with the columns dir,"):
        read(tmp_path)


@needs_table
def test_every_file_of_the_real_listing_with_the_real_table(tmp_path, monkeypatch):
    for line in lzma.decompress(LISTING.read_bytes()).decode().split("\n"):
        if line.startswith("./Dataset/") and "." in line.split("/")[-1]:
            path = tmp_path / line
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    (tmp_path / "label.csv").write_bytes(TABLE.read_bytes())
    facts = ImageFacts(source_file="", transfer_syntax="", rows=4096, columns=3328, bits_stored=12)
    monkeypatch.setattr(headers, "read_facts", lambda path: facts)
    result = read(tmp_path)
    assert (len(result.rows), result.absent, result.skipped) == (400, 0, [])
    assert len({row.patient_id for row in result.rows}) == 100 and len({row.path for row in result.rows}) == 400
    assert Counter(row.path[-4:] for row in result.rows) == {".dcm": 288, ".DCM": 112}
    assert Counter((row.pathology, row.truth) for row in result.rows) == {
        ("malignant", "biopsy"): 22, ("benign", "biopsy"): 42, ("unknown", "unknown"): 36 + 100,
        ("normal", "birads"): 44, ("normal", "assumed"): 44, ("benign", "birads"): 56, ("benign", "assumed"): 56,
    }  # fmt: skip
    assert Counter(lesion.outline.shape for row in result.rows for lesion in row.lesions) == {"mask": 100}
    cases = {row.patient_id: row for row in result.rows}.values()
    assert Counter(row.laterality for row in cases) == {"L": 51, "R": 49}
    assert Counter(row.density for row in cases) == {"A": 10, "B": 57, "C": 28, "D": 5}
