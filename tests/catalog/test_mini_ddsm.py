"""Mini-DDSM: labels by breast and not by case, chain codes at half size, damaged overlays; the real cases, table and files."""

import lzma
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from mammolibs.catalog import SOURCES, headers
from mammolibs.catalog.sources import mini_ddsm
from mammolibs.catalog.sources.mini_ddsm import read_films
from mammolibs.errors import BadFile
from mammolibs.imaging import read_stored
from mammolibs.prepare import rasterize
from mammolibs.records import ImageFacts
from tests.catalog.trees import REAL, write_plain
from tests.catalog.trees_biopsied import overlay, square, write_mini_ddsm

FOLDER = REAL / "mini-ddsm"
LISTING = REAL / "filelists" / "miniddsm.txt.xz"
needs_cases = pytest.mark.skipif(not FOLDER.exists(), reason=f"{FOLDER} is not there")
needs_listing = pytest.mark.skipif(not LISTING.exists(), reason=f"{LISTING} is not there")
MASS = "MASS SHAPE OVAL MARGINS SPICULATED"
CALC = "CALCIFICATION TYPE PLEOMORPHIC DISTRIBUTION CLUSTERED"


def read(root, **options):
    return SOURCES["mini_ddsm"](root, options)


def one_case(root, marked, *, status="Cancer", **more):
    """view -> row, of one case."""
    write_mini_ddsm(root, [(status, "C_0029_1", marked)], **more)
    return by_view(read(root))


def by_view(result):
    return {row.image_id.removeprefix("mini_ddsm-C_0029_1_"): row for row in result.rows}


def test_the_status_is_the_cases_and_the_label_the_breasts(tmp_path):
    rows = one_case(tmp_path, {"LEFT_CC": overlay((MASS, "MALIGNANT", square(10, 20, 30)), assessment="5")})
    assert {view: (row.pathology, row.truth) for view, row in rows.items()} == {
        "LEFT_CC": ("malignant", "biopsy"), "LEFT_MLO": ("malignant", "biopsy"),
        "RIGHT_CC": ("unknown", "unknown"), "RIGHT_MLO": ("unknown", "unknown"),
    }  # fmt: skip
    assert len(rows["LEFT_CC"].lesions) == 1 and not rows["LEFT_MLO"].lesions
    row = rows["LEFT_CC"]
    assert (row.patient_id, row.exam_id, row.laterality, row.view) == ("mini_ddsm/C_0029", "mini_ddsm/C_0029_1", "L", "CC")
    assert (row.birads, row.density, row.age_years, row.spacing_mm, row.maker) == ("5", "C", 66, 0.1, "LUMISYS LASER")
    result = read(tmp_path, other_breast="normal")
    assert [(row.pathology, row.truth) for row in result.rows if row.laterality == "R"] == [("normal", "assumed")] * 2
    assert "films of breasts in which nothing is marked, in cases with a finding (their label is normal): 2" in result.notes
    assert any("as CBIS-DDSM's are, under other patient ids" in note for note in result.notes)


def test_a_normal_case_is_normal(tmp_path):
    rows = one_case(tmp_path, {}, status="Normal")
    assert {(row.pathology, row.truth, row.lesions) for row in rows.values()} == {("normal", "read", ())}


def test_a_benign_finding_in_a_cancer_case_stays_benign(tmp_path):
    left = overlay((MASS, "MALIGNANT", square(10, 20, 30)), (CALC, "BENIGN", square(40, 60, 10)))
    rows = one_case(tmp_path, {"LEFT_CC": left, "RIGHT_MLO": overlay((CALC, "BENIGN_WITHOUT_CALLBACK", square(20, 20, 10)))})
    assert [(x.kind, x.pathology) for x in rows["LEFT_CC"].lesions] == [("mass", "malignant"), ("calcification", "benign")]
    assert (rows["RIGHT_CC"].pathology, rows["RIGHT_CC"].truth) == ("benign", "read")


@pytest.mark.parametrize("words,label", [
    (("BENIGN", "BENIGN_WITHOUT_CALLBACK"), ("benign", "biopsy")), (("UNPROVEN",), ("unknown", "unknown")),
    (("BENIGN", "UNPROVEN"), ("unknown", "unknown")), (("UNPROVEN", "MALIGNANT"), ("malignant", "biopsy")),
])  # fmt: skip
def test_what_an_overlay_says_was_proved(tmp_path, words, label):
    rows = one_case(tmp_path, {"LEFT_CC": overlay(*((MASS, word, square(10, 20, 30)) for word in words))})
    assert (rows["LEFT_CC"].pathology, rows["LEFT_CC"].truth) == label


@pytest.mark.parametrize("kind,said", [
    (MASS, "mass"), (CALC, "calcification"), ("MASS SHAPE ARCHITECTURAL_DISTORTION MARGINS N/A", "distortion"),
    ("MASS SHAPE FOCAL_ASYMMETRIC_DENSITY MARGINS N/A", "asymmetry"), (f"{CALC}\nLESION_TYPE {MASS}", "mass"), ("OTHER", "other"),
])  # fmt: skip
def test_kinds(tmp_path, kind, said):
    rows = one_case(tmp_path, {"LEFT_CC": overlay((kind, "BENIGN", square(10, 20, 30)))})
    assert [lesion.kind for lesion in rows["LEFT_CC"].lesions] == [said]


@pytest.mark.parametrize("size", [(60, 40), (30, 20), (120, 80)])
def test_outlines_come_to_the_scale_of_the_copy(tmp_path, size):
    """The scan has 120 x 80 pixels whatever the copy has."""
    root = write_mini_ddsm(tmp_path, [("Cancer", "C_0029_1", {"LEFT_CC": overlay((MASS, "MALIGNANT", square(10, 20, 30)))})])
    write_plain(root / "Cancer" / "0029" / "C_0029_1.LEFT_CC.jpg", *size)
    row = by_view(read(tmp_path))["LEFT_CC"]
    scale = size[1] / 80
    corners = [((x + 0.5) * scale - 0.5, (y + 0.5) * scale - 0.5) for x, y in ((10, 20), (40, 20), (40, 50), (10, 50))]
    assert sorted(row.lesions[0].outline.points) == sorted(corners) and row.spacing_mm == pytest.approx(0.05 / scale)


def test_a_chain_goes_round_by_its_codes(tmp_path):
    """A diamond from its top: each code of the four slanting steps once a side."""
    chain = "40 10 " + "3 " * 20 + "5 " * 20 + "7 " * 20 + "1 " * 20
    rows = one_case(tmp_path, {"LEFT_CC": overlay((MASS, "BENIGN", chain.strip()))})
    full = {(40, 10), (60, 30), (40, 50), (20, 30)}
    assert set(rows["LEFT_CC"].lesions[0].outline.points) == {(x / 2 - 0.25, y / 2 - 0.25) for x, y in full}


def test_the_core_of_an_abnormality_is_not_its_boundary(tmp_path):
    text = overlay((MASS, "BENIGN", square(10, 20, 30))) + f"\tCORE\n{square(20, 30, 4)} #\n"
    [lesion] = one_case(tmp_path, {"LEFT_CC": text})["LEFT_CC"].lesions
    assert max(lesion.outline.points) == (19.75, 24.75)


@pytest.mark.parametrize("change,says", [
    (lambda t: t.replace(" #", ""), "boundary that cannot be read"),
    (lambda t: t.replace("2 2", "2 9"), "boundary that cannot be read"),
    (lambda t: t.replace("2 2", "2 -1"), "boundary that cannot be read"),
    (lambda t: t.replace("2 2", "2 x"), "boundary that cannot be read"),
    (lambda t: t.replace("MALITIES 1", "MALITIES 2"), "says that it has 2 abnormalities and has 1"),
    (lambda t: "", "no number of abnormalities"),
    (lambda t: t.replace("PATHOLOGY MALIGNANT\n", ""), "without PATHOLOGY"),
    (lambda t: t[: t.index("BOUNDARY")], "without BOUNDARY"),
    (lambda t: t.replace("MALIGNANT", "PERHAPS"), "'PERHAPS'"),
    (lambda t: t.replace("10 20", "1000 2000"), "outside its image"),
])  # fmt: skip
def test_a_damaged_overlay_costs_its_films_their_rows_and_no_label_is_guessed(tmp_path, change, says):
    write_mini_ddsm(tmp_path, [("Cancer", "C_0029_1", {"LEFT_CC": change(overlay((MASS, "MALIGNANT", square(10, 20, 30))))})])
    result = read(tmp_path)
    skipped = {Path(item.item).name: item.reason for item in result.skipped}
    assert says in skipped["C_0029_1.LEFT_CC.jpg"] and len(result.rows) + len(skipped) == 4
    assert {row.pathology for row in result.rows if row.laterality == "R"} == {"unknown"}
    assert all(row.pathology == "malignant" for row in result.rows if row.laterality == "L") and len(skipped) <= 2


def test_a_contour_without_its_overlay_is_a_finding_of_unknown_kind(tmp_path):
    root = write_mini_ddsm(tmp_path, [("Cancer", "C_0029_1", {"LEFT_CC": overlay((MASS, "MALIGNANT", square(10, 20, 30)))})])
    (root / "Cancer" / "0029" / "C_0029_1.LEFT_CC.OVERLAY").unlink()
    result = read(tmp_path)
    left = [row for row in result.rows if row.laterality == "L"]
    assert {(row.pathology, row.truth) for row in left} == {("unknown", "unknown")}
    assert [(x.kind, x.pathology, x.outline.shape) for x in by_view(result)["LEFT_CC"].lesions] == [("other", "unknown", "none")]
    assert "films whose contour has no .OVERLAY (a finding without a kind, a label or a place): 1" in result.notes


@pytest.mark.parametrize("word,label", [("BENIGN", ("unknown", "unknown")), ("MALIGNANT", ("malignant", "biopsy"))])
def test_a_breast_with_a_view_whose_overlay_is_gone_is_no_more_than_malignant_for_sure(tmp_path, word, label):
    text = overlay((MASS, word, square(10, 20, 30)))
    root = write_mini_ddsm(tmp_path, [("Cancer", "C_0029_1", {"LEFT_CC": text, "LEFT_MLO": text})])
    (root / "Cancer" / "0029" / "C_0029_1.LEFT_MLO.OVERLAY").unlink()
    rows = by_view(read(tmp_path))
    assert {(rows[view].pathology, rows[view].truth) for view in ("LEFT_CC", "LEFT_MLO")} == {label}


def test_without_the_ics_there_is_no_scale(tmp_path):
    root = write_mini_ddsm(tmp_path, [("Cancer", "C_0029_1", {"LEFT_CC": overlay((MASS, "MALIGNANT", square(10, 20, 30)))})])
    (root / "Cancer" / "0029" / "C-0029-1.ics").unlink()
    result = read(tmp_path)
    row = by_view(result)["LEFT_CC"]
    assert (row.pathology, row.spacing_mm, row.lesions[0].outline.shape) == ("malignant", None, "none")
    assert any("does not tell the scale" in note and note.endswith(": 1") for note in result.notes)


def test_a_copy_of_another_shape_is_skipped(tmp_path):
    root = write_mini_ddsm(tmp_path, [("Cancer", "C_0029_1", {})])
    write_plain(root / "Cancer" / "0029" / "C_0029_1.LEFT_CC.jpg", 50, 50)
    result = read(tmp_path)
    assert len(result.rows) == 3 and "is 50 x 50 pixels, and its film was scanned with 80 x 120" in result.skipped[0].reason


def test_the_16_bit_tree_goes_first_and_strays_are_no_films(tmp_path):
    root = write_mini_ddsm(tmp_path, [("Cancer", "C_0029_1", {})])
    png = write_mini_ddsm(tmp_path, [("Cancer", "C_0029_1", {})], tree="MINI-DDSM-Complete-PNG-16", ending=".png")
    (root / "Cancer" / "0029" / "D_4009_1.RIGHT_MLO.OVERLAYu").write_text("stray")
    write_plain(root / "Cancer" / "0029" / "Mask_C_0029_1.LEFT_MLO.jpg")
    result = read(tmp_path)
    assert len(result.rows) == 4 and all(row.path.startswith(str(png)) for row in result.rows) and not result.skipped


def test_a_table_word_that_nobody_knows_is_no_label(tmp_path):
    write_mini_ddsm(tmp_path, [("Cancer", "C_0029_1", {}), ("Doubtful", "A_0002_1", {})])
    result = read(tmp_path)
    assert len(result.rows) == 4 and {"'Doubtful'" in item.reason for item in result.skipped} == {True}


def test_a_damaged_table_is_named(tmp_path):
    root = write_mini_ddsm(tmp_path, [("Cancer", "C_0029_1", {})])
    (root / "DataWMask.xlsx").write_bytes(b"no workbook")
    with pytest.raises(BadFile, match="DataWMask.xlsx: is no workbook"):
        read(tmp_path)


@pytest.fixture(scope="module")
def real_films():
    return read_films(FOLDER / "DataWMask.xlsx")


@needs_cases
def test_the_real_table_has_the_known_counts(real_films):
    films = real_films
    assert len(films) == 7808 and len({film.case for film in films}) == 1952
    assert Counter(film.record["Status"] for film in films) == {"Cancer": 2716, "Benign": 2684, "Normal": 2408}
    assert Counter(film.record["Status"] for film in films if film.marked) == {"Benign": 1402, "Cancer": 1428}
    assert len({film.breast for film in films if film.marked and film.record["Status"] == "Cancer"}) * 2 == 1480
    assert Counter(film.name[0] for film in films) == {"A": 3836, "B": 1140, "C": 1652, "D": 1180}
    assert sum(film.record["Age"] == "NaN" for film in films) == 12


def real_mask(path):
    """A mask file's region: its line, as drawn, with what it encloses. bool H W."""
    line = (read_stored(path).frames[0] > 127).astype(np.uint8)
    contours, _ = cv2.findContours(line, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros_like(line), contours, -1, 1, cv2.FILLED) > 0, line > 0


@needs_cases
def test_the_four_real_cases_and_their_masks(real_films, monkeypatch):
    monkeypatch.setattr(mini_ddsm, "read_films", lambda path: real_films)
    result = read(FOLDER)
    assert (len(result.rows), result.absent, result.skipped) == (16, 7792, [])
    assert Counter((row.pathology, row.truth) for row in result.rows) == {("benign", "biopsy"): 8, ("unknown", "unknown"): 8}
    assert {row.spacing_mm for row in result.rows} == {0.1} and {row.maker for row in result.rows} == {"LUMISYS LASER"}
    kinds = Counter(lesion.kind for row in result.rows for lesion in row.lesions)
    assert kinds == {"mass": 7, "calcification": 5}
    compared = 0
    for row in result.rows:
        path = Path(row.path)
        for name, lesion in zip(("Mask", "MASK2"), row.lesions[:2], strict=False):
            region, line = real_mask(path.with_name(f"{path.stem}_{name}.jpg"))
            drawn = rasterize([lesion], region.shape).mask > 0
            # The files show lines, with a tenth of the region's pixels at most.
            assert (drawn & region).sum() > 0.97 * (drawn | region).sum() > 9 * line.sum(), path
            assert len(lesion.outline.points) < 200
            compared += 1
    assert compared == 10


@needs_cases
@needs_listing
def test_every_film_of_a_real_listing_is_found(real_films, tmp_path, monkeypatch):
    """Every fortieth case and the odd ones, as empty files with a short overlay."""
    wanted, films = {"0286", "4009", "0002"}, set()
    for line in lzma.decompress(LISTING.read_bytes()).decode().split("\n"):
        parts = line.split("/")
        if "JPEG-8" not in line or len(parts) != 5 or (int(parts[3]) % 40 and parts[3] not in wanted):
            continue
        path = tmp_path / line
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(overlay((MASS, "BENIGN", square(10, 20, 30))) if path.suffix == ".OVERLAY" else "")
        if path.suffix == ".jpg" and "mask" not in path.name.lower():
            films.add(path.stem)
    (tmp_path / "DataWMask.xlsx").touch()
    monkeypatch.setattr(mini_ddsm, "read_films", lambda path: real_films)
    facts = ImageFacts(source_file="", transfer_syntax="", rows=2324, columns=1336)
    monkeypatch.setattr(headers, "read_facts", lambda path: facts)
    result = read(tmp_path)
    assert len(result.rows) == len(films) > 150 and (result.absent, result.skipped) == (7808 - len(films), [])
    marked = {film.name.replace(".", "_") for film in real_films if film.marked and film.name in films}
    assert {row.image_id.removeprefix("mini_ddsm-") for row in result.rows if row.lesions} == marked
