"""MIAS: the y axis, the pairs, several rows of a film, rows without a place; counts of the real table."""

from collections import Counter

import pytest

from mammolibs.catalog import SOURCES, build_catalog
from mammolibs.catalog.layout import Layout
from mammolibs.catalog.sources.mias import parse_info
from mammolibs.errors import BadFile
from tests.catalog.trees import REAL, write_mias

INFO = REAL / "mias" / "Info.txt"
ARCHIVE = REAL / "mias" / "images.tar.xz"
needs_table = pytest.mark.skipif(not INFO.exists(), reason=f"{INFO} is not there")
needs_images = pytest.mark.skipif(not ARCHIVE.exists(), reason=f"{ARCHIVE} is not there")


def rows_of(tmp_path, lines, films):
    write_mias(tmp_path, lines, films)
    return {row.image_id: row for row in SOURCES["mias"](tmp_path).rows}


def test_y_points_up_and_the_circle_comes_down(tmp_path):
    [row] = rows_of(tmp_path, ["mdb001 G CIRC B 535 425 197"], ("mdb001",)).values()
    assert row.technology == "film"
    [lesion] = row.lesions
    assert lesion.outline.shape == "circle" and lesion.outline.points == ((535.0, 598.0),) and lesion.outline.radius_px == 197
    assert (row.spacing_mm, row.bits, row.view, row.truth, row.density) == (0.2, 8, "MLO", "read", "fatty-glandular")


def test_neighbours_are_one_patient_and_odd_is_right(tmp_path):
    rows = rows_of(tmp_path, [f"mdb{n:03d} F NORM " for n in (1, 2, 3, 4)], ("mdb001", "mdb002", "mdb003", "mdb004"))
    assert [r.laterality for r in rows.values()] == ["R", "L", "R", "L"]
    assert [r.patient_id for r in rows.values()] == ["mias/001", "mias/001", "mias/002", "mias/002"]
    assert {r.pathology for r in rows.values()} == {"normal"}


def test_a_film_with_a_benign_and_a_malignant_row_is_malignant(tmp_path):
    for order in (1, -1):
        lines = ["mdb144 F MISC B 233 994 29", "mdb144 F MISC M 313 540 27"][::order]
        [row] = rows_of(tmp_path / str(order), lines, ("mdb144",)).values()
        assert row.pathology == "malignant" and sorted(lesion.pathology for lesion in row.lesions) == ["benign", "malignant"]


@pytest.mark.parametrize("line,kind", [("mdb059 F CIRC B", "mass"), ("mdb216 D CALC M *NOTE 3*", "calcification")])
def test_a_row_without_a_place_keeps_its_lesion(tmp_path, line, kind):
    write_mias(tmp_path, [line], (line[:6],))
    result = SOURCES["mias"](tmp_path)
    [lesion] = result.rows[0].lesions
    assert (lesion.kind, lesion.outline.shape) == (kind, "none") and result.rows[0].pathology != "normal"
    assert any("place" in note for note in result.notes)


def test_films_that_are_not_there_are_absent_and_not_skipped(tmp_path):
    write_mias(tmp_path, ["mdb001 F NORM ", "mdb002 F NORM "], ("mdb002",))
    result = SOURCES["mias"](tmp_path)
    assert (len(result.rows), result.absent, result.skipped) == (1, 1, [])


def test_a_film_of_another_size_is_skipped(tmp_path):
    write_mias(tmp_path, ["mdb001 F NORM ", "mdb002 F NORM "], ("mdb001",), side=512, ending=".png")
    result = SOURCES["mias"](tmp_path)
    assert not result.rows and "512 x 512" in result.skipped[0].reason


def test_a_lesion_outside_its_film_is_skipped(tmp_path):
    write_mias(tmp_path, ["mdb001 G CIRC B 5035 425 19", "mdb002 F NORM "], ("mdb001", "mdb002"))
    result = SOURCES["mias"](tmp_path)
    assert len(result.rows) == 1 and "outside its image" in result.skipped[0].reason


@pytest.mark.parametrize("line", ["mdb001 X NORM", "mdb001 G WHAT B 1 2 3", "mdb001 G CIRC B 535 425", "mdb001 G"])
def test_a_row_that_cannot_be_read_names_itself(tmp_path, line):
    write_mias(tmp_path, [line], ("mdb001",))
    with pytest.raises(BadFile, match=line):
        SOURCES["mias"](tmp_path)


def test_a_folder_with_the_archive_in_it_says_so(tmp_path):
    write_mias(tmp_path, ["mdb001 F NORM "], ())
    (tmp_path / "images.tar.xz").write_bytes(b"")
    with pytest.raises(BadFile, match="images.tar.xz lies in it"):
        SOURCES["mias"](tmp_path)


def test_a_second_copy_of_a_film_is_not_a_second_row(tmp_path):
    write_mias(tmp_path, ["mdb001 F NORM "], ("mdb001",))
    write_mias(tmp_path / "all-mias" / "again", ["mdb001 F NORM "], ("mdb001",))
    assert len(SOURCES["mias"](tmp_path).rows) == 1
    assert Layout(tmp_path).table("info.TXT") == tmp_path / "Info.txt"


@needs_table
def test_the_real_table_has_the_known_counts():
    films = parse_info(INFO)
    lesions = [lesion for film in films for lesion in film.lesions]
    assert len(films) == 322 and len(lesions) == 330 - 207
    assert Counter(lesion.kind for lesion in lesions) == {"calcification": 30, "mass": 25 + 19 + 15, "distortion": 19, "asymmetry": 15}
    assert Counter(lesion.outline.shape for lesion in lesions) == {"circle": 119, "none": 4}
    assert Counter(lesion.pathology for lesion in lesions) == {"benign": 69, "malignant": 54}
    assert {film.name for film in films if len(film.lesions) > 1} == {f"mdb{n}" for n in ("005", 132, 144, 223, 226, 239, 249)}
    assert Counter(film.density for film in films) == {"fatty": 106, "fatty-glandular": 104, "dense-glandular": 112}
    assert len({(film.number + 1) // 2 for film in films if film.lesions}) == 108


@needs_images
def test_the_real_archive_as_it_lies(tmp_path):
    catalog = build_catalog([("mias", ARCHIVE)], unpack_folder=tmp_path)
    assert (len(catalog.rows), catalog.absent["mias"], catalog.skipped) == (100, 222, [])
    assert len({row.patient_id for row in catalog.rows}) == 50
    assert Counter(row.laterality for row in catalog.rows) == {"L": 50, "R": 50}
    assert Counter(row.pathology for row in catalog.rows) == {"normal": 60, "benign": 20, "malignant": 20}
    cancers = {row.patient_id for row in catalog.rows if row.pathology == "malignant"}
    held = {row.patient_id for row in catalog.rows if row.split == "test"}
    assert len(cancers & held) == 5 and len(held) in (12, 13)
