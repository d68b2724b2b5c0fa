"""CDD-CESM: which images, the four odd names, outlines of each shape, resized copies; counts of the real workbook."""

import lzma
from collections import Counter

import pytest

from mammolibs.catalog import SOURCES, headers
from mammolibs.catalog.sources import cdd_cesm
from mammolibs.catalog.sources.cdd_cesm import read_segmentations, read_workbook
from mammolibs.errors import BadFile
from mammolibs.records import ImageFacts
from tests.catalog.trees import REAL, write_cdd_workbook, write_plain, write_via

FOLDER = REAL / "cdd-cesm"
LISTING = REAL / "filelists" / "cddcesm.txt.xz"
needs_workbook = pytest.mark.skipif(not FOLDER.exists(), reason=f"{FOLDER} is not there")
needs_listing = pytest.mark.skipif(not LISTING.exists(), reason=f"{LISTING} is not there")


def make(root, names, *, files=None, size=(400, 300), **book):
    write_cdd_workbook(root / "Radiology-manual-annotations.xlsx", names, **book)
    for name in files or names:
        folder = "Low energy images of CDD-CESM" if "_DM_" in name else "Subtracted images of CDD-CESM"
        write_plain(root / folder / f"{name.strip()}.jpg", *size)


def read(root, images="low_energy"):
    return SOURCES["cdd_cesm"](root, {"images": images})


def test_low_energy_images_are_the_default(tmp_path):
    make(tmp_path, ["P1_L_DM_MLO", "P1_L_CM_MLO"], labels={"P1_L_CM_MLO": "Normal"})
    assert [r.image_id for r in SOURCES["cdd_cesm"](tmp_path).rows] == ["cdd_cesm-P1_L_DM_MLO"]
    assert [r.pathology for r in read(tmp_path, "subtracted").rows] == ["normal"]
    both = read(tmp_path, "both").rows
    assert len(both) == 2 and {r.patient_id for r in both} == {"cdd_cesm/P1"}


def test_only_images_of_the_other_kind_says_which_option(tmp_path):
    make(tmp_path, ["P1_L_DM_MLO", "P1_L_CM_MLO"], files=["P1_L_CM_MLO"])
    with pytest.raises(BadFile, match="1 of the other kind; set the option cdd_cesm.images=both"):
        read(tmp_path)


def test_names_listed_twice_are_the_files_with_a_2(tmp_path):
    names = ["P99_L_DM_MLO", "P99_L_DM_MLO", "P281_L_DM_MLO", "P281_L_DM_MLO", "P10_R_DM_CC "]
    make(tmp_path, names, files=["P99_L_DM_MLO", "P99_L_DM_MLO_2", "P281_L_DM_MLO", "P281_L_DM_MLO2", "P10_R_DM_CC"])
    result = read(tmp_path)
    assert {r.image_id.removeprefix("cdd_cesm-") for r in result.rows} == {
        "P99_L_DM_MLO", "P99_L_DM_MLO_2", "P281_L_DM_MLO", "P281_L_DM_MLO2", "P10_R_DM_CC",
    }  # fmt: skip
    assert result.absent == 0


def test_every_shape_becomes_an_outline(tmp_path):
    make(tmp_path, ["P1_L_DM_CC"])
    write_via(tmp_path, [("P1_L_DM_CC.jpg", shape) for shape in (
        {"name": "polygon", "all_points_x": [10, 20, 20], "all_points_y": [10, 10, 30]},
        {"name": "polyline", "all_points_x": [1, 2, 3], "all_points_y": [1, 2, 1]},
        {"name": "polyline", "all_points_x": [100, 160], "all_points_y": [50, 50]},
        {"name": "ellipse", "cx": 100, "cy": 200, "rx": 30, "ry": 10},
        {"name": "circle", "cx": 50, "cy": 60, "r": 8},
        {"name": "point", "cx": 5, "cy": 6},
    )])  # fmt: skip
    [row] = read(tmp_path).rows
    outlines = [lesion.outline for lesion in row.lesions]
    assert [o.shape for o in outlines] == ["polygon", "polygon", "circle", "polygon", "circle", "circle"]
    assert outlines[0].points == ((10, 10), (20, 10), (20, 30))
    assert outlines[2].points == ((130, 50),) and outlines[2].radius_px == 30
    xs, ys = zip(*outlines[3].points, strict=True)
    assert (max(xs), min(xs), max(ys), min(ys)) == pytest.approx((130, 70, 210, 190), abs=0.1)
    assert (outlines[4].radius_px, outlines[5].radius_px) == (8, cdd_cesm.POINT_RADIUS_PX)


def test_kind_comes_from_the_one_sheet_that_lists_the_image(tmp_path):
    names = ["P1_L_DM_CC", "P2_L_DM_CC", "P3_L_DM_CC"]
    make(tmp_path, names, sheets={"mass_description": ["P1_L_DM_CC", "P3_L_DM_CC "], "calcifications": ["P3_L_DM_CC"]})
    write_via(tmp_path, [(f"{name}.jpg", {"name": "point", "cx": 5, "cy": 6}) for name in names])
    assert [row.lesions[0].kind for row in read(tmp_path).rows] == ["mass", "other", "other"]


@pytest.mark.parametrize("said", [{"birads": "5$2"}, {"birads": "5", "findings": "Equal density mass with indistinct margin$IMLN"}])
def test_which_of_several_findings_is_malignant_is_not_guessed(tmp_path, said):
    make(tmp_path, ["P1_L_DM_CC"], **said)
    write_via(tmp_path, [("P1_L_DM_CC.jpg", {"name": "point", "cx": 5, "cy": 6})])
    [row] = read(tmp_path).rows
    assert (row.pathology, row.truth, row.birads, row.lesions[0].pathology) == ("malignant", "biopsy", "5", "unknown")


CIRCLE = ("P1_L_DM_CC.jpg", {"name": "circle", "cx": 100, "cy": 170, "r": 30})


def drawn_on(root, size):
    """Shapes of the outlines, and notes, where this size lies in place of what was drawn on."""
    make(root, ["P1_L_DM_CC"], size=(2400, 1300))
    write_via(root, [CIRCLE])
    make(root, ["P1_L_DM_CC"], size=size)
    result = read(root)
    return [lesion.outline.shape for lesion in result.rows[0].lesions], result.notes


@pytest.mark.parametrize("size", [(512, 512), (1024, 1024), (2048, 2048), (224, 224), (1200, 650), (1664, 700)])
def test_resized_copies_keep_their_lesions_without_a_place(tmp_path, size):
    shapes, notes = drawn_on(tmp_path, size)
    assert shapes == ["none"] and any("another size" in note and note.endswith(": 1") for note in notes)


def test_a_copy_of_other_bytes_that_may_be_the_original_is_counted(tmp_path):
    shapes, notes = drawn_on(tmp_path, (2300, 1300))
    assert shapes == ["circle"] and any("bytes" in note and note.endswith(": 1") for note in notes)


@pytest.mark.parametrize("size", [(512, 512), (700, 500)])
def test_an_original_is_known_by_its_bytes_whatever_its_size(tmp_path, size):
    make(tmp_path, ["P1_L_DM_CC"], size=size)
    write_via(tmp_path, [CIRCLE])
    result = read(tmp_path)
    assert result.rows[0].lesions[0].outline.shape == "circle" and result.notes == []


def test_an_outline_beyond_its_image_is_skipped_with_it(tmp_path):
    make(tmp_path, ["P1_L_DM_CC", "P2_L_DM_CC"])
    write_via(tmp_path, [("P1_L_DM_CC.jpg", {"name": "circle", "cx": 1800, "cy": 1700, "r": 30})])
    result = read(tmp_path)
    assert len(result.rows) == 1 and "outside its image" in result.skipped[0].reason


def test_a_shape_nobody_knows_names_its_file(tmp_path):
    make(tmp_path, ["P1_L_DM_CC"])
    write_via(tmp_path, [("P1_L_DM_CC.jpg", {"name": "star", "cx": 1})])
    with pytest.raises(BadFile, match="P1_L_DM_CC.jpg.*'star'"):
        read(tmp_path)


@needs_workbook
def test_the_real_workbook_has_the_known_counts():
    listed = read_workbook(FOLDER / "Radiology-manual-annotations.xlsx")
    assert len(listed) == 2006 and Counter(entry.images for entry in listed) == {"low_energy": 1003, "subtracted": 1003}
    assert Counter(entry.record["Pathology Classification/ Follow up"] for entry in listed) == {
        "Normal": 757,
        "Malignant": 662,
        "Benign": 587,
    }
    assert len({entry.record["Patient_ID"] for entry in listed}) == 326
    assert sum(len(entry.names) == 2 for entry in listed) == 4
    for entry in listed:
        patient, side, kind, view = entry.record["Image_name"].split("_")
        assert (patient, side, view) == (f"P{entry.record['Patient_ID']}", entry.record["Side"], entry.record["View"])


@needs_workbook
def test_the_real_segmentations_are_read():
    outlines = read_segmentations(FOLDER / "Radiology_hand_drawn_segmentations_v2_excerpt.csv")
    assert {name: [o.shape for o in found] for name, found in outlines.items()} == {
        "p2_l_cm_cc": ["polygon"], "p2_r_cm_cc": ["polygon", "circle"], "p6_l_cm_mlo": ["polygon"], "p6_r_dm_cc": ["circle"],
        "p8_l_dm_mlo": ["polygon"],
    }  # fmt: skip


@needs_workbook
def test_the_real_class_folders_of_subtracted_copies():
    result = read(FOLDER, "subtracted")
    assert (len(result.rows), result.absent) == (10, 993)
    assert Counter(row.pathology for row in result.rows) == {"malignant": 4, "benign": 4, "normal": 2}


@needs_workbook
def test_real_rows_with_several_findings_and_one_category():
    records = [entry.record for entry in read_workbook(FOLDER / "Radiology-manual-annotations.xlsx")]
    malignant = [record for record in records if record[cdd_cesm._LABEL] == "Malignant"]
    assert sum("$" in record["BIRADS"] for record in malignant) == 38
    assert sum("$" in record["Findings"] and "$" not in record["BIRADS"] for record in malignant) == 15


@needs_listing
@needs_workbook
def test_every_file_of_a_real_listing_is_found(tmp_path, monkeypatch):
    for line in lzma.decompress(LISTING.read_bytes()).decode().split("\n"):
        path = tmp_path / line.strip()
        if path.suffix in (".jpg", ".csv"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    write_via(tmp_path, [])
    (tmp_path / "Radiology manual annotations.xlsx").write_bytes((FOLDER / "Radiology-manual-annotations.xlsx").read_bytes())
    facts = ImageFacts(source_file="", transfer_syntax="", rows=2355, columns=1315)
    monkeypatch.setattr(headers, "read_facts", lambda path: facts)
    monkeypatch.setattr(headers, "POOL_FROM_FILES", 10**9)
    result = read(tmp_path, "both")
    assert (len(result.rows), result.absent, len(result.skipped)) == (2006, 0, 0)
    assert len({row.image_id for row in result.rows}) == len({row.path for row in result.rows}) == 2006
