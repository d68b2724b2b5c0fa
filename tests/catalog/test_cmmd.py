"""CMMD: side and view by header, labels by breast, what the workbook does not list; counts of the real tables."""

import csv
import io
import lzma
from collections import Counter

import pytest

from mammolibs.catalog import SOURCES, headers
from mammolibs.catalog.sources.cmmd import read_breasts
from mammolibs.errors import BadFile
from mammolibs.records import ImageFacts
from tests.catalog.trees import REAL, write_dicom
from tests.catalog.trees_biopsied import CMMD_VIEWS, write_cmmd_image, write_cmmd_workbook

FOLDER = REAL / "cmmd"
WORKBOOK = FOLDER / "CMMD_clinicaldata_revision.xlsx"
HEADERS = FOLDER / "cmmd_labels_with_dicom_headers.csv.xz"
LISTING = REAL / "filelists" / "cmmd.txt.xz"
VIEW_CODES = {code: view for view, code in CMMD_VIEWS.items()}
needs_workbook = pytest.mark.skipif(not WORKBOOK.exists(), reason=f"{WORKBOOK} is not there")
needs_listing = pytest.mark.skipif(not LISTING.exists(), reason=f"{LISTING} is not there")


def read(root, **options):
    return SOURCES["cmmd"](root, options)


def by_name(result):
    return {row.image_id.removeprefix("cmmd-"): row for row in result.rows}


def test_side_and_view_are_the_headers_whatever_the_file_is_called(tmp_path):
    write_cmmd_workbook(tmp_path, [("D1-1506", "R", "mass", "Malignant")])
    write_cmmd_image(tmp_path, "D1-1506", 1, "R", "MLO")
    write_cmmd_image(tmp_path, "D1-1506", 2, "R", "CC")
    rows = by_name(read(tmp_path))
    assert [(row.laterality, row.view) for row in rows.values()] == [("R", "MLO"), ("R", "CC")]
    row = rows["D1-1506_1-1"]
    assert (row.patient_id, row.pathology, row.truth, row.age_years, row.bits) == ("cmmd/D1-1506", "malignant", "biopsy", 44, 8)
    assert row.spacing_mm == pytest.approx(0.09409, abs=1e-5) and row.licence == "CMMD: CC BY 4.0"
    assert [(lesion.kind, lesion.pathology, lesion.outline.shape) for lesion in row.lesions] == [("mass", "malignant", "none")]


def four_images(root, breasts):
    write_cmmd_workbook(root, [("D1-0010", side, "mass", label) for side, label in breasts])
    for number, (side, view) in enumerate((("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO")), start=1):
        write_cmmd_image(root, "D1-0010", number, side, view)


def test_a_breast_that_is_not_listed_is_unknown(tmp_path):
    four_images(tmp_path, [("L", "Malignant")])
    result = read(tmp_path)
    other = [row for row in result.rows if row.laterality == "R"]
    assert [(row.pathology, row.truth, row.lesions) for row in other] == [("unknown", "unknown", ())] * 2
    assert [row.pathology for row in result.rows if row.laterality == "L"] == ["malignant"] * 2
    assert result.notes == ["images of breasts that the workbook does not list (their label is unknown): 2"] and result.absent == 0
    assumed = [row for row in read(tmp_path, other_breast="normal").rows if row.laterality == "R"]
    assert [(row.pathology, row.truth) for row in assumed] == [("normal", "assumed")] * 2


def test_two_breasts_of_one_patient_keep_their_own_labels(tmp_path):
    four_images(tmp_path, [("L", "Benign"), ("R", "Malignant")])
    rows = read(tmp_path).rows
    assert Counter((row.laterality, row.pathology) for row in rows) == {("L", "benign"): 2, ("R", "malignant"): 2}
    assert len({row.patient_id for row in rows}) == 1


@pytest.mark.parametrize("label,said", [("Malignant", "unknown"), ("Benign", "benign")])
def test_where_a_breast_holds_both_kinds_nobody_guesses_which_is_malignant(tmp_path, label, said):
    write_cmmd_workbook(tmp_path, [("D2-0001", "L", "both", label)])
    write_cmmd_image(tmp_path, "D2-0001", 1, "L", "CC")
    [row] = read(tmp_path).rows
    assert [(lesion.kind, lesion.pathology) for lesion in row.lesions] == [("mass", said), ("calcification", said)]


def test_an_image_without_a_side_takes_no_label(tmp_path):
    write_cmmd_workbook(tmp_path, [("D1-0001", "", "mass", "Malignant"), ("D1-0001", "L", "mass", "Malignant")])
    write_cmmd_image(tmp_path, "D1-0001", 1, "L", "CC", ImageLaterality="")
    [row] = read(tmp_path).rows
    assert (row.laterality, row.pathology) == ("unknown", "unknown")


def test_the_command_line_downloaders_folders_and_16_bits(tmp_path):
    write_cmmd_workbook(tmp_path, [("D1-1343", "L", "calcification", "Benign")])
    path = tmp_path / "D1-1343" / "07-18-2010-06534" / "1.000000-38353" / "1-2.dcm"
    write_dicom(path, PatientID="D1-1343", ImageLaterality="L", ViewPosition="CC", WindowCenter="32768", WindowWidth="65536")
    result = read(tmp_path)
    assert [(row.image_id, row.bits, row.pathology) for row in result.rows] == [("cmmd-D1-1343_1-2", 16, "benign")]
    assert result.absent == 1


def test_what_contradicts_itself_is_skipped_and_the_rest_is_read(tmp_path):
    breasts = [("D1-0001", "L", "mass", "Perhaps"), ("D1-0002", "L", "lump", "Benign"), ("D1-0003", "L", "mass", "Benign")]
    write_cmmd_workbook(tmp_path, breasts)
    write_cmmd_image(tmp_path, "D1-0001", 1, "L", "CC")
    write_cmmd_image(tmp_path, "D1-0002", 1, "L", "CC")
    write_cmmd_image(tmp_path, "D1-0003", 1, "L", "CC", PatientID="D1-0004")
    write_cmmd_image(tmp_path, "D1-0003", 2, "L", "MLO")
    result = read(tmp_path)
    assert set(by_name(result)) == {"D1-0003_1-2"}
    for item, says in zip(result.skipped, ("'Perhaps'", "'lump'", "of patient D1-0004 by its header"), strict=True):
        assert says in item.reason


def test_a_breast_that_is_listed_twice_is_refused(tmp_path):
    four_images(tmp_path, [("L", "Benign"), ("L", "Malignant")])
    with pytest.raises(BadFile, match="lists breast L of D1-0010 twice"):
        read(tmp_path)


@needs_workbook
def test_the_real_workbook_has_the_known_counts():
    breasts = read_breasts(WORKBOOK)
    assert len(breasts) == 1872 and len({patient for patient, _ in breasts}) == 1775
    assert Counter(side for _, side in breasts) == {"L": 988, "R": 884}
    assert Counter(record["classification"] for record in breasts.values()) == {"Malignant": 1316, "Benign": 556}
    assert Counter(record["abnormality"] for record in breasts.values()) == {"mass": 1149, "both": 461, "calcification": 262}
    labels = {}
    for (patient, _), record in breasts.items():
        labels.setdefault(patient, []).append(record["classification"])
    assert sum(len(found) == 2 for found in labels.values()) == 97 and sum(len(set(found)) == 2 for found in labels.values()) == 30


@pytest.fixture(scope="module")
def real_headers():
    """Image, such as D1-0830_1-1, -> the values of its real header."""
    return {r["image_id"]: r for r in csv.DictReader(io.StringIO(lzma.decompress(HEADERS.read_bytes()).decode()))}


@needs_workbook
def test_the_real_headers_and_the_real_workbook_fit_together(real_headers):
    breasts = read_breasts(WORKBOOK)
    labels = Counter(breasts.get((r["patient_id"], r["laterality"]), {}).get("classification") for r in real_headers.values())
    assert labels == {"Malignant": 2632, "Benign": 1112, None: 1458} and labels.total() == 5202
    assert Counter(VIEW_CODES[r["__CodeValue"]] for r in real_headers.values()) == {"CC": 2601, "MLO": 2601}
    assert Counter(r["laterality"] for r in real_headers.values()) == {"L": 2682, "R": 2520}


@needs_workbook
@needs_listing
def test_every_image_of_a_real_listing_is_found(real_headers, tmp_path, monkeypatch):
    """The paths of every twentieth patient as empty files; the real header values stand in for headers."""
    there = [line for line in lzma.decompress(LISTING.read_bytes()).decode().split("\n") if line.endswith(".dcm")]
    assert len(there) == 5202
    there = [line for line in there if int(line.split("/")[2][3:]) % 20 == 0 or "D1-1343" in line or "D1-1506" in line]
    for line in there:
        (tmp_path / line).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / line).touch()
    (tmp_path / WORKBOOK.name).write_bytes(WORKBOOK.read_bytes())

    def facts(path):
        r = real_headers[f"{path.parts[-4]}_{path.stem}"]
        return ImageFacts(
            source_file=str(path), transfer_syntax="", rows=int(r["__Rows"]), columns=int(r["__Columns"]),
            bits_stored=int(r["__BitsStored"]), patient_id=r["__PatientID"], laterality=r["laterality"], view=VIEW_CODES[r["__CodeValue"]],
        )  # fmt: skip

    monkeypatch.setattr(headers, "read_facts", facts)
    result = read(tmp_path)
    assert (len(result.rows), result.skipped) == (len(there), []) and len(there) > 250
    breasts = read_breasts(WORKBOOK)
    for row in result.rows:
        record = breasts.get((row.patient_id.removeprefix("cmmd/"), row.laterality))
        assert row.pathology == (record["classification"].lower() if record else "unknown")
    assert {row.patient_id for row in result.rows if row.bits == 16} == {"cmmd/D1-1343"}
    assert [row.view for row in result.rows if row.patient_id == "cmmd/D1-1506"] == ["MLO", "CC"]
    present = {row.patient_id.removeprefix("cmmd/") for row in result.rows}
    assert result.absent == 2 * sum(patient not in present for patient, _ in breasts)
