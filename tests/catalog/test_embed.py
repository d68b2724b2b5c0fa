"""EMBED: findings and sides, severities, biopsies of a later exam, boxes with y first, kinds of images, rows that cannot be read."""

import csv
from collections import defaultdict

import pytest

from mammolibs.catalog import SOURCES
from mammolibs.catalog.sources import embed
from mammolibs.catalog.sources.embed import parse_boxes
from mammolibs.errors import BadData
from tests.catalog.trees import REAL
from tests.catalog.trees_tables import write_embed

LEGEND = REAL / "embed" / "AWS_Open_Data_Clinical_Legend.csv"
needs_legend = pytest.mark.skipif(not LEGEND.exists(), reason=f"{LEGEND} is not there")


def read(root, **options):
    return SOURCES["embed"](root, options)


def image(number, side="L", accession="2001", **more):
    return {"uid": f"1.2.840.{number}", "acc_anon": accession, "ImageLateralityFinal": side} | more


def finding(side="", accession="2001", **more):
    return {"acc_anon": accession, "side": side} | more


def labels(root, images, findings, **options):
    write_embed(root, images, findings)
    return {row.laterality: (row.pathology, row.truth) for row in read(root, **options).rows}


def test_a_finding_labels_its_own_side_only(tmp_path):
    found = labels(tmp_path, [image(1, "L"), image(2, "R")], [finding("L", path_severity="0.0", asses="S"), finding("R", asses="N")])
    assert found == {"L": ("malignant", "biopsy"), "R": ("normal", "birads")}


@pytest.mark.parametrize("side", ["B", ""])
def test_a_finding_of_both_sides_or_none_labels_both(tmp_path, side):
    assert labels(tmp_path, [image(1, "L"), image(2, "R")], [finding(side)]) == {"L": ("normal", "birads"), "R": ("normal", "birads")}


def test_a_side_without_a_row_is_unknown_and_not_negative(tmp_path):
    found = labels(tmp_path, [image(1, "L"), image(2, "R")], [finding("L", path_severity="4", asses="S")])
    assert found == {"L": ("benign", "biopsy"), "R": ("unknown", "unknown")}


@pytest.mark.parametrize("severity,label", [
    ("0", "malignant"), ("0.0", "malignant"), ("1", "malignant"), ("2", "benign"), ("3", "benign"), ("4.0", "benign"), ("5", "benign"),
    ("6", "unknown"),
])  # fmt: skip
def test_severities(tmp_path, severity, label):
    truth = "unknown" if label == "unknown" else "biopsy"
    assert labels(tmp_path, [image(1)], [finding("L", path_severity=severity)]) == {"L": (label, truth)}


@pytest.mark.parametrize("code,birads,label", [
    ("N", "1", "normal"), ("B", "2", "benign"), ("P", "3", "benign"), ("A", "0", "unknown"), ("S", "4", "unknown"), ("M", "5", "unknown"),
    ("K", "6", "unknown"), ("X", "", "unknown"),
])  # fmt: skip
def test_an_opinion_labels_up_to_probably_benign(tmp_path, code, birads, label):
    write_embed(tmp_path, [image(1)], [finding("L", asses=code)])
    [row] = read(tmp_path).rows
    assert (row.birads, row.pathology, row.truth) == (birads, label, "unknown" if label == "unknown" else "birads")
    assert (row.density, row.age_years, row.spacing_mm, row.bits) == ("C", 61, 0.07, 16)


def test_the_worst_finding_of_a_side_counts(tmp_path):
    benign, open_ = finding("L", path_severity="4", asses="S"), finding("L", asses="S", numfind="2")
    assert labels(tmp_path / "a", [image(1)], [benign, open_]) == {"L": ("unknown", "unknown")}
    assert labels(tmp_path / "b", [image(1)], [benign, open_, finding("L", path_severity="1")]) == {"L": ("malignant", "biopsy")}


def test_a_specimen_of_the_other_side_labels_the_other_side(tmp_path):
    found = labels(tmp_path, [image(1, "L"), image(2, "R")], [finding("B", asses="S", path_severity="0", bside="R")])
    assert found == {"L": ("unknown", "unknown"), "R": ("malignant", "biopsy")}


FOLLOWED = [
    finding("L", asses="A", study_date_anon="2015-03-01"),
    finding("R", asses="N", study_date_anon="2015-03-01"),
    finding("L", "2002", asses="S", study_date_anon="2015-04-01 00:00:00", procdate_anon="2015-05-01", path_severity="0"),
    finding("L", "2003", asses="S", study_date_anon="2011-04-01", procdate_anon="2011-05-01", path_severity="4"),
]


@pytest.mark.parametrize("days,label", [("0", "unknown"), ("180", "malignant"), ("365", "malignant")])
def test_a_biopsy_of_a_later_exam_labels_the_screen_that_led_to_it(tmp_path, days, label):
    found = labels(tmp_path, [image(1, "L"), image(2, "R")], FOLLOWED, follow_up_days=days)
    assert found["L"][0] == label and found["R"] == ("normal", "birads")


def test_a_biopsy_of_the_other_breast_of_another_woman_or_of_earlier_labels_nothing(tmp_path):
    others = [
        finding("R", "2002", procdate_anon="2015-05-01", path_severity="0"),
        finding("L", "2003", empi_anon="10000002", procdate_anon="2015-05-01", path_severity="0"),
        finding("L", "2004", procdate_anon="2015-02-28", path_severity="0"),
        finding("L", "2005", procdate_anon="2015-08-29", path_severity="0"),
        finding("L", "2006", procdate_anon="unknown", path_severity="0"),
    ]
    write_embed(tmp_path, [image(1)], [FOLLOWED[0], *others])
    result = read(tmp_path, follow_up_days="180")
    assert [r.pathology for r in result.rows] == ["unknown"]
    write_embed(tmp_path, [image(1)], [FOLLOWED[0], *others, finding("L", "2007", procdate_anon="2015-08-28", path_severity="4")])
    assert [r.pathology for r in read(tmp_path, follow_up_days="180").rows] == ["benign"], "the last day counts"


def test_a_row_that_cannot_be_read_leaves_its_breast_unknown(tmp_path):
    write_embed(tmp_path, [image(1), image(2, "R")], [finding("B", asses="N"), finding("L", path_severity="9"), finding("Q")])
    result = read(tmp_path)
    assert [r.pathology for r in result.rows] == ["unknown", "unknown"]
    assert [(item.item, item.on_purpose) for item in result.skipped] == [
        ("EMBED_OpenData_clinical.csv row 3", False), ("EMBED_OpenData_clinical.csv row 4", False),
    ]  # fmt: skip
    assert "path_severity is 9" in result.skipped[0].reason and "'Q'" in result.skipped[1].reason


def test_an_accession_of_two_patients_is_refused(tmp_path):
    write_embed(tmp_path, [image(1), image(2, accession="2002")], [finding(empi_anon="10000009"), finding(accession="2002")])
    result = read(tmp_path)
    assert len(result.rows) == 1 and "patient 10000001 in the metadata and of 10000009" in result.skipped[0].reason


def test_boxes_have_y_first(tmp_path):
    write_embed(tmp_path, [image(1, ROI_coords="((10, 5, 30, 20),)")], [finding("L", asses="S", massshape="X", path_severity="0")])
    result = read(tmp_path)
    [lesion] = result.rows[0].lesions
    assert lesion.outline.points == ((5, 10), (20, 30)) and (lesion.kind, lesion.pathology) == ("mass", "malignant")
    assert any("mirrored" in note and note.endswith(": 1") for note in result.notes)


def test_of_several_boxes_or_findings_nobody_says_which_is_malignant(tmp_path):
    two = image(1, ROI_coords="((10, 5, 30, 20), (1, 2, 3, 4))")
    write_embed(tmp_path, [two], [finding("L", path_severity="0", massshape="R"), finding("L", asses="B", calcfind="A")])
    [row] = read(tmp_path).rows
    assert row.pathology == "malignant" and [(x.kind, x.pathology) for x in row.lesions] == [("other", "unknown")] * 2


@pytest.mark.parametrize("shape,calcification,kind", [
    ("O", "", "mass"), ("A", "", "distortion"), ("F", "", "asymmetry"), ("", "P", "calcification"), ("Y", "", "other"), ("", "", "other"),
])  # fmt: skip
def test_kinds(tmp_path, shape, calcification, kind):
    write_embed(tmp_path, [image(1, ROI_coords="((1, 1, 3, 3),)")], [finding("L", asses="B", massshape=shape, calcfind=calcification)])
    assert [lesion.kind for row in read(tmp_path).rows for lesion in row.lesions] == [kind]


def test_a_box_in_a_negative_breast_is_no_normal_image(tmp_path):
    write_embed(tmp_path, [image(1, ROI_coords="((1, 1, 3, 3),)")], [finding("L", asses="N")])
    result = read(tmp_path)
    assert [(r.pathology, r.truth, r.lesions[0].pathology) for r in result.rows] == [("unknown", "unknown", "unknown")]
    assert any("negative" in note for note in result.notes)


@pytest.mark.parametrize("cell", ["()", "", "[]"])
def test_no_boxes(cell):
    assert parse_boxes(cell) == []


@pytest.mark.parametrize("cell", ["((1, 2, 3),)", "(1, 2, 3, 4)", "((1, 2, 3, 'x'),)", "nan", "((1,2", "__import__('os')"])
def test_boxes_that_cannot_be_read_are_refused(cell):
    with pytest.raises(BadData, match="ROI_coords"):
        parse_boxes(cell)


def test_a_box_outside_its_image_is_refused(tmp_path):
    write_embed(tmp_path, [image(1, ROI_coords="((10, 500, 30, 520),)"), image(2, "R")], [finding("B", asses="B")])
    result = read(tmp_path)
    assert len(result.rows) == 1 and "outside its image" in result.skipped[0].reason


def test_c_views_and_spots_are_asked_for(tmp_path):
    types = {1: "2D", 2: "C-view", 4: "3D", 5: "cview"}
    kinds = [image(number, FinalImageType=word) for number, word in types.items()]
    write_embed(tmp_path, [*kinds, image(3, spot_mag="1.0")], [finding()])

    def numbers(**options):
        return sorted(row.image_id[-1] for row in read(tmp_path, **options).rows)

    assert (numbers(), numbers(spot="keep")) == (["1"], ["1", "3"])
    assert (numbers(images="c_view"), numbers(images="both")) == (["2", "5"], ["1", "2", "5"])
    notes = read(tmp_path).notes
    assert sum("left out" in note for note in notes) == 3 and any("type that is not read" in note for note in notes)


def test_views_of_the_table_come_before_the_headers(tmp_path):
    write_embed(tmp_path, [image(n, ViewPosition=view) for n, view in enumerate(("CC", "XCCL", "ML", ""))], [finding()])
    assert [row.view for row in read(tmp_path).rows] == ["CC", "XCC", "ML", "unknown"]


def test_the_reduced_tables_do_and_what_is_not_there_is_absent(tmp_path):
    write_embed(tmp_path, [image(1), image(2, "R")], [finding()])
    for table in (tmp_path / "tables").iterdir():
        table.rename(table.with_name(table.name.replace(".csv", "_reduced.csv")))
    next(tmp_path.rglob("1.2.840.2.dcm")).unlink()
    result = read(tmp_path)
    assert (len(result.rows), result.absent, result.skipped) == (1, 1, [])


def test_the_licence_says_that_weights_are_bound_too(tmp_path):
    write_embed(tmp_path, [image(1)], [finding()])
    assert "no weights or embeddings trained on it released" in read(tmp_path).rows[0].licence


@needs_legend
def test_every_code_of_the_owners_legend_is_known():
    codes = defaultdict(set)
    with open(LEGEND, newline="", encoding="utf-8-sig") as file:
        for record in csv.DictReader(file):
            codes[record["Header in export"]].add(record["Code"].strip().lower())
    assert codes["asses"] == set(embed._BIRADS) - {""} and codes["side"] == set(embed._SIDES) - {""}
    assert codes["tissueden"] == {"1", "2", "3", "4", "5"} <= set(embed._DENSITY)
    assert set(embed._SHAPES) < codes["massshape"] and codes["massshape"] - set(embed._SHAPES) == set("grox")
