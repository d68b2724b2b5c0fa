"""Duke Breast Cancer MRI: slices in order, boxes from 1, slices without tumour; altered tables; the real tables."""

from collections import Counter

import openpyxl
import pytest

from mammolibs.catalog import SOURCES, build_catalog
from mammolibs.catalog.sources.duke_mri import BOXES, CLINICAL, has_one_tumour, read_boxes, read_clinical
from mammolibs.errors import BadFile
from mammolibs.imaging import read_facts
from tests.catalog.trees import REAL
from tests.catalog.trees_volumes import duke_path, write_duke

TABLES = REAL / "duke-breast-mri"
needs_tables = pytest.mark.skipif(not TABLES.exists(), reason=f"{TABLES} is not there")
FIRST, SECOND = "Breast_MRI_001", "Breast_MRI_002"
# Rows 2 to 4, columns 1 to 3, slices 9 to 11 of 20, counted from 1
BOX = (2, 4, 1, 3, 9, 11)
PASSES = {FIRST: "ax dyn 1st pass", SECOND: "Ph1/ax 3d dyn"}


def read(root, **options):
    return SOURCES["duke_mri"](root, options)


def file_of(root, place, patient=FIRST, slices=20):
    """The file of a slice that counts from 0 along the instance numbers."""
    return root / duke_path(patient, PASSES[patient], slices - place)


def test_the_slice_at_the_centre_of_the_tumour_and_one_on_either_side(tmp_path):
    write_duke(tmp_path, {FIRST: BOX})
    ill, above, below = read(tmp_path).rows
    assert (ill.image_id, ill.patient_id, ill.view, ill.laterality) == (f"duke_mri-{FIRST}-s009", f"duke_mri/{FIRST}", "other", "unknown")
    assert (ill.pathology, ill.truth, ill.age_years, ill.spacing_mm) == ("malignant", "biopsy", 41, 0.7)
    [lesion] = ill.lesions
    assert lesion.outline.points == ((0, 1), (2, 3)) and lesion.slice == 9 and lesion.kind == "other"
    # Slices 8 to 10 from 0 hold the tumour, five more on either side are left out
    assert [r.path for r in (ill, above, below)] == [str(file_of(tmp_path, place)) for place in (9, 2, 16)]
    assert {(r.pathology, r.truth, r.lesions) for r in (above, below)} == {("normal", "read", ())}
    assert ill.licence.endswith("CC BY-NC 4.0")


@pytest.mark.parametrize("towards_head", [True, False])
def test_slices_count_along_instance_numbers_whatever_the_direction_and_the_files_names(tmp_path, towards_head):
    write_duke(tmp_path, {FIRST: BOX, SECOND: BOX}, slices=12, towards_head=towards_head)
    rows = {row.patient_id: row for row in read(tmp_path).rows if row.lesions}
    for patient in (FIRST, SECOND):
        row = rows[f"duke_mri/{patient}"]
        assert row.path == str(file_of(tmp_path, 9, patient, slices=12)) and read_facts(row.path).instance_number == 10


@pytest.mark.parametrize("prefix", ["", "MR_"])
def test_folders_named_by_uids(tmp_path, prefix):
    write_duke(tmp_path, {FIRST: (2, 4, 1, 3, 1, 1)}, slices=7)
    described = read(tmp_path).rows
    study = file_of(tmp_path, 0, slices=7).parents[1]
    for number, folder in enumerate(sorted(study.iterdir())):
        folder.rename(study / f"{prefix}1.3.6.1.4.1.14519.5.2.1.{number}")
    study.rename(study.with_name("1.3.6.1.4.1.14519.5.2.1.9"))
    assert [row.image_id for row in read(tmp_path).rows] == [row.image_id for row in described] != []


def test_where_another_tumour_may_be_no_slice_counts_as_free(tmp_path):
    write_duke(tmp_path, {FIRST: BOX, SECOND: BOX}, slices=12, one_tumour=(SECOND,))
    result = read(tmp_path)
    assert Counter(row.patient_id[-1] for row in result.rows) == {"1": 1, "2": 2}
    assert any("no slice counts as free of tumour" in note and note.endswith(": 1") for note in result.notes)
    (tmp_path / CLINICAL).unlink()
    result = read(tmp_path)
    assert [row.pathology for row in result.rows] == ["malignant"] * 2 and result.rows[0].age_years is None
    assert any(f"{CLINICAL} is not there" in note for note in result.notes)


def test_five_slices_of_each_kind(tmp_path):
    write_duke(tmp_path, {FIRST: (2, 4, 1, 3, 13, 21)}, slices=40)
    rows = read(tmp_path, slices="five").rows
    places = {pathology: [int(r.image_id[-3:]) for r in rows if r.pathology == pathology] for pathology in ("malignant", "normal")}
    # The middle half of slices 12 to 20, and steps of six away from them
    assert places == {"malignant": [14, 15, 16, 17, 18], "normal": [6, 0, 26, 32, 38]}
    assert {row.image_id for row in read(tmp_path).rows} <= {row.image_id for row in rows}


def test_there_is_no_benign_class_and_a_patient_stays_together(tmp_path):
    write_duke(tmp_path, {f"Breast_MRI_{n:03d}": (2, 4, 1, 3, 1, 1) for n in range(1, 5)}, slices=7)
    rows = build_catalog([("duke_mri", tmp_path)], unpack_folder=tmp_path / "unpacked").rows
    assert Counter(row.pathology for row in rows) == {"malignant": 4, "normal": 4}
    assert all(len({row.split for row in rows if row.patient_id == patient}) == 1 for patient in {row.patient_id for row in rows})


def spoil(root, what):
    path = file_of(root, 4, slices=12)
    if what == "unreadable":
        path.write_bytes(b"no image at all")
    if what == "missing":
        path.unlink()
    if what == "no position":
        path.write_bytes(path.read_bytes().replace(b"\x20\x00\x32\x00DS", b"\x20\x00\x33\x00DS"))
    if what == "twice":
        (path.parent / "2-001.dcm").write_bytes(path.read_bytes())
    if what == "numbers":
        path.write_bytes(path.read_bytes().replace(b"\x20\x00\x13\x00IS\x02\x005 ", b"\x20\x00\x13\x00IS\x02\x0077"))
    if what == "last":
        for place in range(9, 12):
            file_of(root, place, slices=12).unlink()
    if what == "name":
        for slice_file in path.parent.iterdir():
            slice_file.write_bytes(slice_file.read_bytes().replace(b"ax dyn 1st pass", b"ax dyn any pass"))
    if what == "repeated":
        folder = path.parents[1] / "7.000000-ax dyn 1st pass-43720"
        folder.mkdir()
        (folder / "1-001.dcm").write_bytes(path.read_bytes())


@pytest.mark.parametrize(
    "what,reason",
    [
        ("unreadable", "no DICOM"),
        ("missing", "lacks a slice between others"),
        ("no position", "does not say its position"),
        ("twice", "several slices of one place"),
        ("numbers", "instance numbers that contradict"),
        ("last", "has 9 slices and a box up to slice 11"),
        ("name", "0 of Breast_MRI_001's series are the first after contrast"),
        ("repeated", "2 of Breast_MRI_001's series are the first after contrast"),
    ],
)
def test_where_slices_cannot_be_counted_the_patient_is_skipped(tmp_path, what, reason):
    write_duke(tmp_path, {FIRST: BOX, SECOND: BOX}, slices=12)
    spoil(tmp_path, what)
    result = read(tmp_path)
    assert {row.patient_id for row in result.rows} == {f"duke_mri/{SECOND}"}
    [item] = result.skipped
    assert reason in item.reason and FIRST in item.item


def test_a_patient_who_is_not_there_is_absent(tmp_path):
    write_duke(tmp_path, {FIRST: (2, 4, 1, 3, 1, 1)}, slices=7)
    alter(tmp_path / BOXES, lambda sheet: sheet.append([SECOND, *BOX]))
    result = read(tmp_path)
    assert (len(result.rows), result.absent, result.skipped) == (2, 1, [])
    assert any("lists 2 of 922 patients" in note for note in result.notes)


def alter(path, change):
    book = openpyxl.load_workbook(path)
    change(book["Sheet1"])
    book.save(path)


@pytest.mark.parametrize(
    "change,problem",
    [
        (lambda s: s.append([FIRST, *BOX]), "lists 'Breast_MRI_001', which is there twice"),
        (lambda s: s.append(["Breast_MRI_923", *BOX]), "which is no patient of this data set"),
        (lambda s: s.append(["MRI_3", *BOX]), "which is no patient of this data set"),
        (lambda s: s.cell(row=2, column=8, value="x"), "more columns than it should (one without a name)"),
        (lambda s: s.cell(row=1, column=8, value="label"), "more columns than it should (label)"),
        (lambda s: s.append([SECOND, 4, 2, *BOX[2:]]), "a box of Breast_MRI_002 whose end lies before its start"),
        (lambda s: s.append([SECOND, 0, 2, *BOX[2:]]), "a box of Breast_MRI_002"),
        (lambda s: s.append([SECOND, "?", 2, *BOX[2:]]), "a cell that cannot be read (Breast_MRI_002"),
        (lambda s: s.delete_cols(6), "has no column Start Slice"),
    ],
)
def test_an_altered_box_table_is_refused(tmp_path, change, problem):
    write_duke(tmp_path, {FIRST: (2, 4, 1, 3, 1, 1)}, slices=1)
    alter(tmp_path / BOXES, change)
    with pytest.raises(BadFile) as error:
        read(tmp_path)
    assert problem in str(error.value) and BOXES in str(error.value)


@needs_tables
def test_the_real_tables_have_the_known_counts():
    tumours, clinical = read_boxes(TABLES / BOXES), read_clinical(TABLES / CLINICAL)
    assert len(tumours) == 922 and {t.patient for t in tumours} == set(clinical) == {f"Breast_MRI_{n:03d}" for n in range(1, 923)}
    assert tumours[0].rows == (233, 270) and tumours[0].columns == (307, 340) and tumours[0].slices == (88, 111)
    assert sum(has_one_tumour(record) for record in clinical.values()) == 481
    # A code for the size of the image; counted from 1, every box lies within it
    sizes = {"0": 320, "1": 448, "2": 512}
    for tumour in tumours:
        rows, columns = (sizes[clinical[tumour.patient][name]] for name in ("Rows", "Columns"))
        assert 0 <= tumour.rows[0] < tumour.rows[1] < rows and 0 <= tumour.columns[0] < tumour.columns[1] < columns
