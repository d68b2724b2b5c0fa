"""BCDR: tables with blanks, sets that share images, views in two codes, traced outlines; the real table's columns."""

import csv
from collections import Counter

import pytest

from mammolibs.catalog import SOURCES
from mammolibs.errors import BadFile
from tests.catalog.trees import REAL
from tests.catalog.trees_biopsied import BCDR_OUTLINES, bcdr_name, bcdr_outline, write_bcdr

HEADER = REAL / "bcdr" / "bcdr_d02_outlines_header.csv"
needs_header = pytest.mark.skipif(not HEADER.exists(), reason=f"{HEADER} is not there")
RCC = bcdr_name(106, 144, "RCC")


def read(root):
    return SOURCES["bcdr"](root)


def only(root):
    [row] = read(root).rows
    return row


def test_cells_that_start_with_a_blank(tmp_path):
    write_bcdr(tmp_path, "d01", [(RCC, "RCC")], [bcdr_outline(RCC, label="Malign", density="NaN")])
    row = only(tmp_path)
    assert (row.image_id, row.patient_id, row.exam_id) == ("bcdr-D_img_106_144_1_RCC", "bcdr/106", "bcdr/106_144")
    assert (row.laterality, row.view, row.pathology, row.truth, row.age_years) == ("R", "CC", "malignant", "biopsy", 47)
    assert row.density == "" and "registration" in row.licence
    [lesion] = row.lesions
    assert (lesion.kind, lesion.pathology, lesion.outline.shape) == ("mass", "malignant", "polygon")
    assert set(lesion.outline.points) == {(2, 3), (8, 3), (8, 12), (2, 12)}


def test_the_tiffs_that_the_set_ships(tmp_path):
    write_bcdr(tmp_path, "d01", [(RCC, "RCC")], ending=".tif")
    row = only(tmp_path)
    assert row.path.endswith(RCC) and row.bits == 8


@pytest.mark.parametrize("code,word,said", [
    ("1", "RCC", ("R", "CC")), ("2", "LCC", ("L", "CC")), ("3", "RO", ("R", "MLO")), ("4", "LO", ("L", "MLO")),
    ("7", "PRO", ("unknown", "unknown")),
])  # fmt: skip
def test_views_are_numbers_in_one_table_and_words_in_the_other(tmp_path, code, word, said):
    name = bcdr_name(9, 10, word)
    write_bcdr(tmp_path / "film", "f03", outlines=[bcdr_outline(name, view=code)])
    write_bcdr(tmp_path / "digital", "d02", [(name, word)])
    for part in ("film", "digital"):
        row = only(tmp_path / part)
        assert (row.laterality, row.view) == said and row.technology == part
    assert [part for part in ("film", "digital") if any("view is none of" in note for note in read(tmp_path / part).notes)] == (
        ["film", "digital"] if said[0] == "unknown" else []
    )


def test_an_image_without_an_outline_is_unknown_and_of_the_normal_set_normal(tmp_path):
    write_bcdr(tmp_path, "d01", [(RCC, "RCC"), (bcdr_name(106, 144, "LCC"), "LCC")], [bcdr_outline(RCC)])
    write_bcdr(tmp_path, "dn01", [(bcdr_name(23, 33, "LCC"), "LCC")])
    result = read(tmp_path)
    assert Counter((row.patient_id, row.laterality, row.pathology, row.truth) for row in result.rows) == {
        ("bcdr/106", "R", "benign", "biopsy"): 1, ("bcdr/106", "L", "unknown", "unknown"): 1, ("bcdr/23", "L", "normal", "read"): 1,
    }  # fmt: skip
    assert result.notes == ["images without an outline (their label is unknown): 1"]


def test_one_film_in_two_sets_is_one_row_with_each_outline_once(tmp_path):
    write_bcdr(tmp_path, "f01", [(RCC, "RCC")], [bcdr_outline(RCC, 1), bcdr_outline(RCC, 2, label="Malign", mammography_nodule="0")])
    write_bcdr(tmp_path, "f03", outlines=[bcdr_outline(RCC, 1), bcdr_outline(RCC, 3)])
    row = only(tmp_path)
    assert [lesion.lesion_id.split("-")[2] for lesion in row.lesions] == ["1", "2", "3"] and row.pathology == "malignant"
    assert row.path.startswith(str(tmp_path / "BCDR-F01_dataset"))


def test_film_and_digital_images_of_one_name_stay_apart_and_their_patient_together(tmp_path):
    write_bcdr(tmp_path, "f01", outlines=[bcdr_outline(RCC)])
    write_bcdr(tmp_path, "d02", outlines=[bcdr_outline(RCC, label="Malign")])
    rows = {row.image_id: row for row in read(tmp_path).rows}
    assert {image: (row.pathology, "D02" in row.path) for image, row in rows.items()} == {
        "bcdr-F_img_106_144_1_RCC": ("benign", False), "bcdr-D_img_106_144_1_RCC": ("malignant", True),
    }  # fmt: skip
    assert len({row.patient_id for row in rows.values()}) == 1


def test_an_image_never_stands_in_for_one_of_its_name_in_the_other_family(tmp_path):
    film = write_bcdr(tmp_path, "f01", outlines=[bcdr_outline(RCC)])
    digital = write_bcdr(tmp_path, "d02", outlines=[bcdr_outline(RCC, label="Malign")])
    (digital / RCC).with_suffix(".jpg").unlink()
    result = read(tmp_path)
    assert [row.image_id for row in result.rows] == ["bcdr-F_img_106_144_1_RCC"] and (result.absent, result.skipped) == (1, [])
    (digital / "bcdr_d02_outlines.csv").rename(film / "bcdr_d02_outlines.csv")
    result = read(tmp_path)
    assert not result.rows and [item.reason for item in result.skipped] == [
        "has the name of a film and of a digital image; keep each set in a folder of its own, with its tables"
    ]


def test_a_copy_in_one_folder_with_the_path_in_its_name(tmp_path):
    folder = write_bcdr(tmp_path, "d02", outlines=[bcdr_outline(RCC)], ending=".png")
    flat = tmp_path / "BCDR-Images-Original" / f"{RCC.replace('/', '_').removesuffix('.tif')}.png"
    flat.parent.mkdir()
    (folder / RCC).with_suffix(".png").rename(flat)
    assert only(tmp_path).path == str(flat)


@pytest.mark.parametrize("flags,kind", [
    ({"mammography_microcalcification": "1", "mammography_nodule": "0"}, "calcification"), ({"mammography_calcification": "1"}, "mass"),
    ({"mammography_nodule": "0", "mammography_stroma_distortion": "1"}, "distortion"),
    ({"mammography_nodule": "0", "mammography_axillary_adenopathy": "1"}, "other"),
])  # fmt: skip
def test_kinds(tmp_path, flags, kind):
    write_bcdr(tmp_path, "f01", outlines=[bcdr_outline(RCC, **flags)])
    assert only(tmp_path).lesions[0].kind == kind


def test_a_traced_outline_keeps_its_form_in_few_points(tmp_path):
    """A rectangle of 20 x 12 pixels, traced pixel by pixel."""
    xs = [*range(5, 25), *[25] * 12, *range(25, 5, -1), *[5] * 12]
    ys = [*[6] * 20, *range(6, 18), *[18] * 20, *range(18, 6, -1)]
    write_bcdr(tmp_path, "f01", outlines=[bcdr_outline(RCC, xs=" ".join(map(str, xs)), ys=" ".join(map(str, ys)))])
    assert sorted(only(tmp_path).lesions[0].outline.points) == [(5, 6), (5, 18), (25, 6), (25, 18)]


@pytest.mark.parametrize("change,says", [
    ({"xs": "2 8 8"}, "3 x and 4 y values"), ({"xs": "2 8 x 2"}, "x of an outline is 'x'"), ({"label": "Doubtful"}, "'Doubtful'"),
    ({"xs": "200 208 208 202"}, "outside its image"), ({"density": "9"}, "'9'"),
])  # fmt: skip
def test_a_row_that_cannot_be_used_is_skipped_and_the_rest_is_read(tmp_path, change, says):
    write_bcdr(tmp_path, "f01", outlines=[bcdr_outline(RCC, **change), bcdr_outline(bcdr_name(1, 2, "LO"), view="4")])
    result = read(tmp_path)
    assert [row.patient_id for row in result.rows] == ["bcdr/1"] and says in result.skipped[0].reason


def test_images_that_are_not_there_are_absent(tmp_path):
    folder = write_bcdr(tmp_path, "d01", [(RCC, "RCC"), (bcdr_name(1, 2, "LO"), "LO")])
    (folder / RCC).with_suffix(".jpg").unlink()
    result = read(tmp_path)
    assert (len(result.rows), result.absent, result.skipped) == (1, 1, [])


def test_the_digital_detectors_spacing_is_known_for_its_whole_plates(tmp_path):
    write_bcdr(tmp_path / "whole", "d01", [(RCC, "RCC")], size=(3328, 2560))
    write_bcdr(tmp_path / "small", "d01", [(RCC, "RCC")], size=(1664, 1280))
    write_bcdr(tmp_path / "film", "f01", [(RCC, "RCC")], size=(3328, 2560))
    assert [only(tmp_path / part).spacing_mm for part in ("whole", "small", "film")] == [0.07, None, None]


def test_a_folder_without_tables_and_a_table_of_something_else_are_named(tmp_path):
    folder = write_bcdr(tmp_path, "f01", outlines=[bcdr_outline(RCC)])
    table = folder / "bcdr_f01_outlines.csv"
    table.write_text("patient_id,study_id\n1,2\n")
    with pytest.raises(BadFile, match="bcdr_f01_outlines.csv: has no column image_filename"):
        read(tmp_path)
    table.unlink()
    with pytest.raises(BadFile, match="holds no table bcdr_<set>_img.csv"):
        read(tmp_path)


@needs_header
def test_the_real_table_has_the_columns_that_the_trees_have():
    with open(HEADER, newline="") as file:
        assert tuple(next(csv.reader(file))) == BCDR_OUTLINES
