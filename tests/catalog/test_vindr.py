"""VinDr-Mammo: boxes cut to the image, categories, opinions of finding and breast, the study as patient; counts of the real excerpt."""

import csv
import shutil
from collections import Counter
from pathlib import Path

import pytest

from mammolibs.catalog import SOURCES, build_catalog, headers
from mammolibs.catalog.sources.vindr import parse_categories, read_table
from mammolibs.errors import BadData, BadFile
from mammolibs.prepare import rasterize
from mammolibs.records import ImageFacts
from tests.catalog.trees import REAL, write_plain
from tests.catalog.trees_digital import vindr_record, write_vindr

TABLE = REAL / "vindr-mammo" / "finding_annotations_excerpt.csv"
LISTING = REAL / "filelists" / "vindr_excerpt.txt"
needs_table = pytest.mark.skipif(not (TABLE.exists() and LISTING.exists()), reason=f"{TABLE} is not there")


def read(root, **options):
    return SOURCES["vindr"](root, options)


def only(root, *records, **options):
    write_vindr(root, records)
    result = read(root, **options)
    [row] = result.rows
    return row, result


def mass(birads="4", finding="4", edges=(0.5, 1, 2.5, 3), **more):
    return vindr_record("s1", "i1", "L", "CC", birads, ("Mass",), finding, edges, **more)


def test_a_row_of_the_table(tmp_path):
    row, result = only(tmp_path, mass())
    assert (row.image_id, row.patient_id, row.exam_id) == ("vindr-i1", "vindr/s1", "vindr/s1") and row.path.endswith("images/s1/i1.dicom")
    assert (row.laterality, row.view, row.density, row.age_years, row.official_split) == ("L", "CC", "C", 55, "train")
    assert (row.pathology, row.truth, row.birads) == ("malignant", "birads", "4") and row.licence.startswith("VinDr-Mammo: PhysioNet")
    [lesion] = row.lesions
    assert (lesion.kind, lesion.pathology, lesion.outline.shape) == ("mass", "malignant", "box")
    assert lesion.outline.points == ((0.5, 1.0), (2.5, 3.0))
    assert "patients are not released: each study counts as a patient" in result.notes


def test_several_boxes_of_an_image_are_one_row(tmp_path):
    row, _ = only(tmp_path, mass("5", "3"), mass("5", "5", edges=(1, 4, 3, 5)))
    assert [(lesion.lesion_id, lesion.pathology) for lesion in row.lesions] == [("vindr-i1-1", "benign"), ("vindr-i1-2", "malignant")]
    assert (row.pathology, row.birads) == ("malignant", "5")


@pytest.mark.parametrize("edges,cut", [
    ((-6.25, 1, 2, 3), (0, 1, 2, 3)), ((1, 2, 4.4, 3), (1, 2, 3, 3)), ((-3, -1, 40, 60), (0, 0, 3, 5)),
])  # fmt: skip
def test_a_box_is_cut_to_its_image(tmp_path, edges, cut):
    row, _ = only(tmp_path, mass(edges=edges))
    assert row.lesions[0].outline.points == (cut[:2], cut[2:])
    x0, y0, x1, y1 = (int(value) for value in cut)
    mask = rasterize(row.lesions, (6, 4)).mask
    assert mask.sum() == mask[y0 : y1 + 1, x0 : x1 + 1].sum() == (x1 - x0 + 1) * (y1 - y0 + 1)


@pytest.mark.parametrize("edges,says", [
    ((40, 1, 60, 3), "outside its image"), ((2, 1, 1, 3), "outside its image"), (("x", 1, 2, 3), "no number"),
])  # fmt: skip
def test_a_box_that_is_none_skips_its_image(tmp_path, edges, says):
    write_vindr(tmp_path, [mass(edges=edges), vindr_record("s1", "i2", "L", "MLO", "1")])
    result = read(tmp_path)
    assert [row.image_id for row in result.rows] == ["vindr-i2"] and says in result.skipped[0].reason


@pytest.mark.parametrize("categories,kind", [
    (("Suspicious Calcification", "Mass"), "other"), (("Nipple Retraction", "Mass"), "mass"), (("Focal Asymmetry",), "asymmetry"),
    (("Asymmetry", "Global Asymmetry"), "asymmetry"), (("Architectural Distortion",), "distortion"), (("Skin Thickening",), "other"),
])  # fmt: skip
def test_the_kind_is_what_all_categories_agree_on(tmp_path, categories, kind):
    row, _ = only(tmp_path, mass() | {"finding_categories": str(list(categories))})
    assert row.lesions[0].kind == kind


@pytest.mark.parametrize("cell", [
    "", "Mass", "[]", "['Lump']", "__import__('os').getcwd()", "['Mass'", "{'Mass': 1}", "(" * 500, "[['Mass']]", "{[]: 1}",
])  # fmt: skip
def test_categories_that_are_none_are_refused_and_nothing_is_executed(cell):
    with pytest.raises(BadData, match="finding_categories is"):
        parse_categories(cell)


def test_a_finding_without_bi_rads_is_unknown_and_one_without_a_box_keeps_its_lesion(tmp_path):
    row, result = only(tmp_path, mass("2", ""), mass("2", "3", edges=None))
    assert [(lesion.pathology, lesion.outline.shape) for lesion in row.lesions] == [("unknown", "box"), ("benign", "none")]
    assert row.pathology == "benign" and "lesions without a BI-RADS of their own (kept as unknown): 1" in result.notes


def test_a_positive_image_without_a_box_has_unknown_lesions(tmp_path):
    records = [vindr_record("s1", f"i{birads}", "L", "CC", birads) for birads in "12345"]
    write_vindr(tmp_path, records)
    result = read(tmp_path)
    assert [row.pathology for row in result.rows] == ["normal", "benign", "benign", "malignant", "malignant"]
    assert not any(row.lesions for row in result.rows)
    assert "images of BI-RADS 3 and above without a box (their lesions are unknown): 3" in result.notes
    assert [row.pathology for row in read(tmp_path, malignant_from="5").rows][2:] == ["benign", "benign", "malignant"]


def test_a_word_that_nobody_knows_skips_its_image(tmp_path):
    changes = ({"breast_birads": "high"}, {"split": "dev"}, {"breast_density": "DENSITY E"}, {"view_position": "XX"})
    records = [vindr_record("s1", f"i{i}", "L", "CC", "1") | change for i, change in enumerate(({}, *changes))]
    write_vindr(tmp_path, records)
    result = read(tmp_path)
    assert [row.image_id for row in result.rows] == ["vindr-i0"]
    assert [" is '" in item.reason for item in result.skipped] == [True] * 4


def test_boxes_follow_a_resized_copy_and_a_distorted_one_is_skipped(tmp_path):
    write_vindr(tmp_path, [mass(height=3518, width=2800, edges=(700, 1759, 1400, 2638.5))])
    Path(tmp_path / "images/s1/i1.dicom").unlink()
    copy = write_plain(tmp_path / "png" / "i1.png", 1759, 1400)
    [row] = read(tmp_path).rows
    assert (row.path, row.spacing_mm, row.lesions[0].outline.points) == (str(copy), None, ((350.0, 879.5), (700.0, 1319.25)))
    write_plain(copy, 512, 512)
    result = read(tmp_path)
    assert not result.rows and "512 x 512 pixels and 2800 x 3518 in the table" in result.skipped[0].reason


def test_the_dicom_file_is_taken_before_its_copy(tmp_path):
    write_vindr(tmp_path, [mass()])
    write_plain(tmp_path / "i1.png")
    assert read(tmp_path).rows[0].path.endswith(".dicom")


def test_images_that_are_not_there_are_absent(tmp_path):
    write_vindr(tmp_path, [mass(), vindr_record("s2", "i2", "L", "CC", "1", split="test")])
    (tmp_path / "images/s1/i1.dicom").unlink()
    result = read(tmp_path)
    assert ([row.official_split for row in result.rows], result.absent, result.skipped) == (["test"], 1, [])


def test_a_table_without_its_columns_is_named(tmp_path):
    write_vindr(tmp_path, [mass()])
    (tmp_path / "finding_annotations.csv").write_text("study_id,image_id\ns1,i1\n")
    with pytest.raises(BadFile, match="has no column laterality"):
        read(tmp_path)


@pytest.fixture
def real(tmp_path, monkeypatch):
    """The real listing as empty files, beside the real excerpt; sizes stand in for headers."""
    shutil.copy(TABLE, tmp_path / "finding_annotations.csv")
    for line in LISTING.read_text().splitlines():
        if line.endswith(".dicom"):
            path = tmp_path / "1.0.0" / line
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    with open(TABLE, newline="") as file:
        sizes = {record["image_id"]: (int(record["height"]), int(record["width"])) for record in csv.DictReader(file)}

    def facts(path):
        rows, columns = sizes[path.stem]
        return ImageFacts(source_file=str(path), transfer_syntax="", rows=rows, columns=columns, bits_stored=12)

    monkeypatch.setattr(headers, "read_facts", facts)
    return tmp_path


@needs_table
def test_the_real_excerpt(real):
    listed = read_table(TABLE)
    assert (len(listed), sum(len(image.records) for image in listed), len({image.study for image in listed})) == (252, 299, 63)
    assert len({record["finding_categories"] for image in listed for record in image.records}) == 35
    result = read(real)
    assert (len(result.rows), result.absent, result.skipped) == (252, 0, [])
    assert len({row.patient_id for row in result.rows}) == 63
    lesions = [lesion for row in result.rows for lesion in row.lesions]
    assert Counter(lesion.outline.shape for lesion in lesions) == {"box": 161}
    assert Counter(lesion.pathology for lesion in lesions) == {"malignant": 96, "benign": 48, "unknown": 17}
    assert "images of BI-RADS 3 and above without a box (their lesions are unknown): 13" in result.notes
    by_split = {split: {row.patient_id for row in result.rows if row.official_split == split} for split in ("train", "test")}
    assert all(by_split.values()) and not by_split["train"] & by_split["test"]


@needs_table
def test_the_real_boxes_that_reach_beyond_their_image_are_cut(real):
    sizes = {image.image: image.records[0] for image in read_table(TABLE)}
    outside = at_edge = 0
    for row in read(real).rows:
        record = sizes[row.image_id.removeprefix("vindr-")]
        right, bottom = int(record["width"]) - 1, int(record["height"]) - 1
        for lesion in row.lesions:
            (x0, y0), (x1, y1) = lesion.outline.points
            outside += not (0 <= x0 < x1 <= right and 0 <= y0 < y1 <= bottom)
            at_edge += x0 == 0 or y0 == 0 or x1 == right or y1 == bottom
    assert (outside, at_edge) == (0, 9)


@needs_table
def test_studies_stay_together_in_the_split(real, tmp_path):
    rows = build_catalog([("vindr", real)], unpack_folder=tmp_path / "unpacked").rows
    places = {(row.patient_id, row.split) for row in rows}
    assert len(places) == len({patient for patient, _ in places}) == 63
