"""BCS-DBT: layouts, slices, labels of views, boxes, the official split; the real crop."""

import shutil

import numpy as np
import pytest

from mammolibs.catalog import SOURCES
from mammolibs.errors import BadFile
from mammolibs.imaging import read_mammogram
from mammolibs.ingest import read_row
from tests.catalog.trees import REAL
from tests.catalog.trees_volumes import dbt_box, dbt_path, dbt_view, write_dbt

CROP = REAL / "dicom" / "jpeg2k_3d.dcm"
needs_crop = pytest.mark.skipif(not CROP.exists(), reason=f"{CROP} is not there")


def read(root, **options):
    return SOURCES["bcs_dbt"](root, options)


def view(name="lcc", patient="DBT-P00001", study="DBT-S00163", frames=40, **more):
    return dbt_view(patient, study, name, pixels=np.zeros((frames, 6, 4), np.uint16), **more)


def box(place, x=1, y=1, width=2, height=3, **more):
    return dbt_box(place, x, y, width, height, **{"slices": 40} | more)


@pytest.mark.parametrize("layout", ["classic", "descriptive", "idc"])
def test_every_layout(tmp_path, layout):
    write_dbt(tmp_path, [view("lcc"), view("rmlo2")], layout=layout)
    result = read(tmp_path)
    assert (len(result.rows), result.absent, result.skipped) == (2, 0, [])
    assert [(r.image_id, r.laterality, r.view, r.chest_wall) for r in result.rows] == [
        ("bcs_dbt-DBT-P00001-DBT-S00163-lcc-s020", "L", "CC", "left"), ("bcs_dbt-DBT-P00001-DBT-S00163-rmlo2-s020", "R", "MLO", "right"),
    ]  # fmt: skip
    row = result.rows[0]
    assert (row.patient_id, row.exam_id, row.frame, row.bits) == ("bcs_dbt/DBT-P00001", "bcs_dbt/DBT-S00163", 20, 10)
    assert (row.pathology, row.truth, row.spacing_mm, row.official_split) == ("normal", "read", None, "train")
    assert row.licence.endswith("CC BY-NC 4.0")


def test_the_folder_of_the_patients_may_be_given_too(tmp_path):
    views = [view("lcc"), view("rcc", patient="DBT-P00002")]
    write_dbt(tmp_path / "deep", views, layout="descriptive")
    for table in (tmp_path / "deep").glob("*.csv"):
        shutil.move(table, tmp_path / "deep" / "manifest-1617905855234" / "Breast-Cancer-Screening-DBT")
    assert len(read(tmp_path / "deep" / "manifest-1617905855234" / "Breast-Cancer-Screening-DBT").rows) == 2


def test_a_box_gives_the_slice_at_its_centre(tmp_path):
    write_dbt(tmp_path, [view(label="Cancer", boxes=[box(7)])])
    [row] = read(tmp_path).rows
    [lesion] = row.lesions
    assert (row.frame, row.pathology, row.truth) == (7, "malignant", "biopsy")
    assert (lesion.slice, lesion.kind, lesion.pathology) == (7, "mass", "malignant")
    # Two pixels wide and three high, from the top left corner on
    assert lesion.outline.points == ((1, 1), (2, 3))


def test_two_boxes_share_a_slice_within_reach_of_each_other_and_not_beyond(tmp_path):
    boxes = [box(5, kind="benign", distortion=1), box(15), box(30, x=0)]
    write_dbt(tmp_path, [view(label="Cancer", boxes=boxes)])
    rows = read(tmp_path).rows
    assert [(r.frame, [lesion.slice for lesion in r.lesions]) for r in rows] == [(5, [5, 15]), (15, [5, 15]), (30, [30])]
    assert [r.pathology for r in rows] == ["malignant"] * 3
    assert rows[0].lesions[0].kind == "distortion" and rows[0].lesions[0].pathology == "benign"
    assert len({lesion.lesion_id for row in rows for lesion in row.lesions}) == 3


def test_five_slices_lie_beside_a_box_and_spread_over_a_volume_without(tmp_path):
    write_dbt(tmp_path, [view("lcc", label="Cancer", boxes=[box(2)]), view("rcc")])
    one, five = read(tmp_path).rows, read(tmp_path, slices="five").rows
    # Slice -2 is none
    assert [r.frame for r in five if r.laterality == "L"] == [0, 2, 4, 6]
    assert all(r.pathology == "malignant" and len(r.lesions) == 1 for r in five if r.laterality == "L")
    assert [r.frame for r in five if r.laterality == "R"] == [10, 15, 20, 24, 29]
    assert {r.image_id for r in one} <= {r.image_id for r in five} and len({r.image_id for r in five}) == 9


def test_a_slice_has_a_label_only_where_the_tables_give_it_one(tmp_path):
    views = [view("lcc", label="Actionable"), view("lmlo", label="Cancer"), view("rcc", label=None), view("rmlo", label="Benign")]
    write_dbt(tmp_path, views)
    result = read(tmp_path)
    assert [(r.pathology, r.truth, r.lesions) for r in result.rows] == [
        ("unknown", "read", ()), ("unknown", "unknown", ()), ("unknown", "unknown", ()), ("unknown", "unknown", ()),
    ]  # fmt: skip
    assert [note.rpartition(": ")[2] for note in result.notes] == ["1", "2", "1"]
    assert any("Benign or Cancer without a box" in note for note in result.notes)


@pytest.mark.parametrize(
    "fault,reason",
    [
        (dict(label="Cancer+Benign"), "says Benign and Cancer"),
        (dict(label=""), "says nothing"),
        (dict(label="Normal", boxes=[box(7)]), "is labelled Normal and has a box"),
        (dict(label="Cancer", boxes=[box(7, slices=41)]), "has 40 frames; the box table says slice 7 of 41"),
        (dict(label="Cancer", boxes=[box(40)]), "slice 40 of 40"),
        (dict(label="Cancer", boxes=[box(7, x=500)]), "lies outside its image"),
        (dict(label="Cancer", boxes=[box(7, width="")]), "box 1 has an empty cell"),
        (dict(label="Cancer", boxes=[box(7, kind="mass")]), "Class is 'mass'"),
        (dict(name="lxccl"), "view 'lxccl' is not known"),
    ],
)
def test_what_contradicts_itself_is_skipped_with_its_reason(tmp_path, fault, reason):
    write_dbt(tmp_path, [view(**fault), view("rcc", patient="DBT-P00002")])
    result = read(tmp_path)
    assert [row.patient_id for row in result.rows] == ["bcs_dbt/DBT-P00002"]
    [item] = result.skipped
    assert reason in item.reason and item.item.endswith(".dcm")


def test_a_volume_of_another_patient_is_skipped(tmp_path):
    views = [view("lcc"), view("rcc", patient="DBT-P00002")]
    write_dbt(tmp_path, views)
    shutil.copy(tmp_path / dbt_path(views[1], "classic"), tmp_path / dbt_path(views[0], "classic"))
    result = read(tmp_path)
    assert len(result.rows) == 1 and "says patient DBT-P00002, the table DBT-P00001" in result.skipped[0].reason


def test_the_split_is_that_of_the_tables_and_what_the_disk_lacks_is_absent(tmp_path):
    views = [view(patient=f"DBT-P0000{n}", split=split) for n, split in enumerate(("train", "validation", "test", "test"))]
    write_dbt(tmp_path, views)
    (tmp_path / dbt_path(views[0], "classic")).unlink()
    result = read(tmp_path)
    assert [row.official_split for row in result.rows] == ["validation", "test", "test"]
    assert (result.absent, result.skipped) == (1, [])


def test_the_newest_edition_of_a_table_counts(tmp_path):
    old, new = view(label="Cancer", boxes=[box(7)]), view(label="Cancer", boxes=[box(9)])
    write_dbt(tmp_path, [old], boxes="-v2")
    write_dbt(tmp_path, [new], boxes="-v2-PHASE-2-Jan-2024")
    assert [row.frame for row in read(tmp_path).rows] == [9]


def test_tables_that_are_not_there_are_noted_and_give_no_label(tmp_path):
    write_dbt(tmp_path, [view(label="Normal")])
    for table in (*tmp_path.glob("*labels*"), *tmp_path.glob("*boxes*")):
        table.unlink()
    result = read(tmp_path)
    assert [row.pathology for row in result.rows] == ["unknown"]
    assert {"BCS-DBT-labels-train is not there", "BCS-DBT-boxes-train is not there"} <= set(result.notes)


def test_a_table_without_its_columns_is_named(tmp_path):
    write_dbt(tmp_path, [view()])
    (tmp_path / "BCS-DBT-labels-train-v2.csv").write_text("PatientID,View,Normal\nDBT-P00001,lcc,1\n")
    with pytest.raises(BadFile, match="has no column StudyUID"):
        read(tmp_path)


@needs_crop
def test_a_real_volume(tmp_path):
    """Found by its paths, as neither UID of the tables is in the file; its window lies in the functional groups."""
    crop = dbt_view("DBT-P00853", "DBT-S03835", "lcc", label="Benign", boxes=[dbt_box(3, 10, 20, 30, 40, kind="benign", slices=4)])
    write_dbt(tmp_path, [crop], layout="descriptive")
    shutil.copy(CROP, tmp_path / dbt_path(crop, "descriptive"))
    [row] = read(tmp_path).rows
    assert (row.frame, row.pathology, row.bits, row.maker, row.spacing_mm) == (3, "benign", 10, "HOLOGIC, Inc.", None)
    shown, stored = read_row(row), read_mammogram(CROP, frame=3)
    assert any("512" in step and "window" in step for step in stored.display_chain)
    assert shown.pixels.shape == (128, 128) and np.isin(shown.pixels, stored.pixels).all()
