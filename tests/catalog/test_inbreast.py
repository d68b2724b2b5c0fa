"""INbreast: patients by file name, outlines of every kind, BI-RADS as an opinion, the two tables; counts of the real ones."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from mammolibs.catalog import SOURCES, headers
from mammolibs.catalog.layout import Layout
from mammolibs.catalog.sources.inbreast import POINT_RADIUS_PX, read_outlines, read_table
from mammolibs.errors import BadConfig, BadData, BadFile
from mammolibs.records import ImageFacts
from tests.catalog.trees import REAL, write_dicom, write_plain
from tests.catalog.trees_digital import inbreast_name, write_inbreast, write_inbreast_xml

FOLDER = REAL / "inbreast"
needs_tables = pytest.mark.skipif(not FOLDER.exists(), reason=f"{FOLDER} is not there")
ONE = ("20588680", "L", "MLO", "4", "5")
SQUARE = [(1, 1), (3, 1), (3, 4), (1, 4)]


def read(root, **options):
    return SOURCES["inbreast"](root, options)


def rows_of(root, images, outlines=None, **options):
    write_inbreast(root, images, outlines=outlines)
    return {row.image_id.removeprefix("inbreast-"): row for row in read(root, **options).rows}


def test_the_release(tmp_path):
    [row] = rows_of(tmp_path, [ONE], {"20588680": [("Mass ", SQUARE)]}).values()
    assert Path(row.path).name.endswith("_MG_L_ML_ANON.dcm") and (row.laterality, row.view) == ("L", "MLO")
    assert (row.pathology, row.truth, row.birads, row.density, row.spacing_mm) == ("malignant", "birads", "5", "D", 0.07)
    assert row.licence.startswith("INbreast: research agreement") and row.official_split == "" and row.age_years is None
    [lesion] = row.lesions
    assert (lesion.kind, lesion.pathology, lesion.outline.shape) == ("mass", "malignant", "polygon")
    assert lesion.outline.points == tuple(SQUARE)


def test_patients_are_told_by_the_hex_digits_alone(tmp_path):
    rows = rows_of(tmp_path, [("20588680", "L", "MLO", "1", "1"), ("20588681", "R", "CC", "1", "1"), ("30000001", "L", "CC", "1", "1")])
    patients = {number: row.patient_id for number, row in rows.items()}
    assert patients["20588680"] == patients["20588681"] != patients["30000001"]
    assert rows["20588680"].exam_id == f"{patients['20588680']}-201001" and "removed" not in patients["20588680"]


def test_a_name_without_hex_digits_is_nobodys(tmp_path):
    base = write_inbreast(tmp_path, [ONE, ("20588681", "R", "CC", "1", "1")])
    copy = base / "AllDICOMs" / "20588680.dcm"
    shutil.move(base / "AllDICOMs" / f"{inbreast_name('20588680', 'L', 'MLO')}.dcm", copy)
    result = read(tmp_path)
    assert len(result.rows) == 1 and result.absent == 0
    assert result.skipped[0].item == str(copy) and "lacks the 16 hex digits" in result.skipped[0].reason


def test_a_name_of_another_side_than_the_tables_is_skipped(tmp_path):
    base = write_inbreast(tmp_path, [ONE, ("20588681", "R", "CC", "1", "1")])
    table = base / "INbreast.csv"
    table.write_text(table.read_text().replace("removed;L;MLO", "removed;R;MLO"))
    result = read(tmp_path)
    assert len(result.rows) == 1 and "says side L, the table R" in result.skipped[0].reason


def test_the_view_from_below_and_the_blank_density(tmp_path):
    images = [("50994300", "R", "FB", "3", "2"), ("53582540", "R", "MLO", " " * 40, "1")]
    write_inbreast(tmp_path, images)
    result = read(tmp_path)
    below, blank = result.rows
    assert (below.view, below.density, blank.view, blank.density) == ("other", "C", "MLO", "")
    assert "images without an ACR density: 1" in result.notes


@pytest.mark.parametrize("options,malignant", [
    ({}, {"4a", "4b", "4c", "5", "6"}), ({"malignant_from": "4b"}, {"4b", "4c", "5", "6"}), ({"malignant_from": "5"}, {"5", "6"}),
])  # fmt: skip
def test_which_bi_rads_is_malignant_is_an_option(tmp_path, options, malignant):
    words = ["1", "2", "3", "4a", "4b", "4c", "5", "6"]
    rows = rows_of(tmp_path, [(f"2000000{i}", "L", "CC", "1", word) for i, word in enumerate(words)], **options).values()
    assert {row.birads for row in rows if row.pathology == "malignant"} == malignant
    assert [row.pathology for row in rows][:3] == ["normal", "benign", "benign"] and {row.truth for row in rows} == {"birads"}
    with pytest.raises(BadConfig, match="choose one of 4, 4b"):
        read(tmp_path, malignant_from="2")


def test_a_bi_rads_that_is_none_or_does_not_say_enough_is_not_guessed(tmp_path):
    images = [("20000001", "L", "CC", "1", "4"), ("20000002", "L", "CC", "1", ""), ("20000003", "L", "CC", "1", "high")]
    write_inbreast(tmp_path, images)
    result = read(tmp_path, malignant_from="4b")
    assert [row.pathology for row in result.rows] == ["unknown", "unknown"]
    assert "Bi-Rads is 'high'" in result.skipped[0].reason


@pytest.mark.parametrize("name,kind", [
    ("Mass", "mass"), ("Calcification", "calcification"), ("Calcifications", "calcification"), ("Cluster", "calcification"),
    ("Distortion", "distortion"), ("Asymmetry", "asymmetry"), ("Assymetry ", "asymmetry"), ("Spiculated Region", "other"),
    ("Point 3", "other"), ("Unnamed", "other"),
])  # fmt: skip
def test_names_of_regions(tmp_path, name, kind):
    write_inbreast(tmp_path, [ONE], outlines={"20588680": [(name, SQUARE)]})
    result = read(tmp_path)
    assert result.rows[0].lesions[0].kind == kind and not any("named" in note for note in result.notes)


def test_a_name_that_nobody_knows_is_counted(tmp_path):
    write_inbreast(tmp_path, [ONE], outlines={"20588680": [("Lump", SQUARE), ("Lump", SQUARE)]})
    result = read(tmp_path)
    assert [lesion.kind for lesion in result.rows[0].lesions] == ["other", "other"]
    assert "regions named 'Lump' (kept as other): 2" in result.notes


def test_points_become_circles_and_a_region_without_points_keeps_its_lesion(tmp_path):
    regions = [("Calcification", [(2.5, 3)]), ("Calcification", [(0, 2), (4, 2)]), ("Cluster", [])]
    write_inbreast(tmp_path, [("20588680", "L", "MLO", "4", "2")], outlines={"20588680": regions})
    result = read(tmp_path)
    one, two, none = (lesion.outline for lesion in result.rows[0].lesions)
    assert (one.shape, one.points, one.radius_px) == ("circle", ((2.5, 3.0),), POINT_RADIUS_PX)
    assert (two.shape, two.points) == ("circle", ((2.0, 2.0),)) and none.shape == "none"
    assert "lesions without a place: 1" in result.notes


def test_which_of_several_regions_is_malignant_is_not_guessed(tmp_path):
    images = [ONE, ("20588681", "R", "CC", "1", "3")]
    rows = rows_of(tmp_path, images, {number: [("Mass", SQUARE), ("Cluster", SQUARE)] for number, *_ in images})
    assert [lesion.pathology for lesion in rows["20588680"].lesions] == ["unknown"] * 2
    assert [lesion.pathology for lesion in rows["20588681"].lesions] == ["benign"] * 2
    assert rows["20588680"].pathology == "malignant"


def test_the_pectoral_muscle_is_no_lesion(tmp_path):
    base = write_inbreast(tmp_path, [("20588680", "L", "MLO", "4", "1")])
    write_inbreast_xml(base / "PectoralMuscle" / "Pectoral Muscle XML" / "20588680.xml", [("Muscle", SQUARE)])
    assert read(tmp_path).rows[0].lesions == ()


@pytest.mark.parametrize("change", [
    lambda data: data[: len(data) // 2], lambda data: data.replace(b"Point_px", b"Points"), lambda data: data.replace(b"(1.0", b"(one"),
    lambda data: b"", lambda data: data.replace(b"<key>Images</key>", b"<key>Other</key>"),
])  # fmt: skip
def test_outlines_that_cannot_be_read_skip_their_image_and_are_named(tmp_path, change):
    base = write_inbreast(tmp_path, [ONE, ("20588681", "R", "CC", "1", "1")], outlines={"20588680": [("Mass", SQUARE)]})
    xml = base / "AllXML" / "20588680.xml"
    xml.write_bytes(change(xml.read_bytes()))
    result = read(tmp_path)
    assert [row.image_id for row in result.rows] == ["inbreast-20588681"]
    assert "outlines in 20588680.xml cannot be read" in result.skipped[0].reason


def test_an_outline_beside_its_image_skips_it(tmp_path):
    write_inbreast(tmp_path, [ONE], outlines={"20588680": [("Mass", [(1988.5, 1726), (1990, 1726), (1989, 1730)])]})
    assert "outside its image" in read(tmp_path).skipped[0].reason


def test_a_resized_copy_keeps_its_lesions_without_a_place(tmp_path):
    base = write_inbreast(tmp_path, [ONE], outlines={"20588680": [("Mass", SQUARE)]})
    dicom = base / "AllDICOMs" / f"{inbreast_name('20588680', 'L', 'MLO')}.dcm"
    copy = write_plain(tmp_path / "a" / f"{dicom.stem}.png", 832, 640)
    assert read(tmp_path).rows[0].path == str(dicom), "the DICOM file is there and is not taken"
    dicom.unlink()
    result = read(tmp_path)
    [row] = result.rows
    assert (row.path, row.spacing_mm, row.lesions[0].outline.shape) == (str(copy), None, "none")
    assert any(note.startswith("copies of another size") and note.endswith(": 1") for note in result.notes)
    write_plain(copy, 3328, 2560)
    [row] = read(tmp_path).rows
    assert (row.spacing_mm, row.lesions[0].outline.shape) == (0.07, "polygon")


def test_outlines_that_are_not_there_are_noted(tmp_path):
    images = [ONE, ("20588681", "R", "CC", "1", "1"), ("20588682", "R", "MLO", "1", "2")]
    base = write_inbreast(tmp_path, images, outlines={"20588680": [("Mass", SQUARE)]})
    assert "images above BI-RADS 1 without outlines (their lesions are unknown): 1" in read(tmp_path).notes
    shutil.rmtree(base / "AllXML")
    assert "AllXML is not there: lesions are unknown" in read(tmp_path).notes


def test_rows_below_the_table_are_no_images_and_a_damaged_row_is_named(tmp_path):
    base = write_inbreast(tmp_path, [ONE])
    table = base / "INbreast.csv"
    whole = table.read_text()
    table.write_text(whole + ";;;;;;;\n;;;;;;28;49\n")
    assert (len(read(tmp_path).rows), read(tmp_path).absent) == (1, 0)
    table.write_text(whole + "removed;removed;L;CC;201001;2.26E+07;1;1\n")
    with pytest.raises(BadFile, match="no number of eight digits"):
        read(tmp_path)


def test_a_workbook_that_is_none_is_named(tmp_path):
    write_dicom(tmp_path / "AllDICOMs" / f"{inbreast_name('20588680', 'L', 'MLO')}.dcm")
    with pytest.raises(BadFile, match="holds no INbreast.csv"):
        read(tmp_path)
    (tmp_path / "INbreast.xls").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    with pytest.raises(BadFile, match="INbreast.xls: is no workbook"):
        read(tmp_path)


@pytest.fixture(params=["INbreast.csv", "INbreast.xls"])
def real(request, tmp_path):
    shutil.copy(FOLDER / request.param, tmp_path)
    return tmp_path


@needs_tables
def test_the_real_tables_have_the_known_counts(real):
    table = read_table(Layout(real))
    assert len(table) == len({record["File Name"] for record in table}) == 410
    assert Counter(record["Laterality"] for record in table) == {"L": 209, "R": 201}
    assert Counter(record["View"] for record in table) == {"MLO": 206, "CC": 203, "FB": 1}
    assert Counter(record["ACR"] for record in table) == {"1": 136, "2": 146, "3": 99, "4": 28, "": 1}
    assert Counter(record["Bi-Rads"] for record in table) == {
        "1": 67, "2": 220, "3": 23, "4a": 13, "4b": 8, "4c": 22, "5": 49, "6": 8,
    }  # fmt: skip
    assert [record["File Name"] for record in table if not record["ACR"]] == ["53582540"]


@needs_tables
def test_every_file_that_the_real_tables_name_is_found(real, monkeypatch):
    table = read_table(Layout(real))
    (real / "AllDICOMs").mkdir()
    for record in table:
        (real / "AllDICOMs" / f"{inbreast_name(record['File Name'], record['Laterality'], record['View'])}.dcm").touch()
    shutil.copy(FOLDER / "22614074_second_roi_only.xml", real / "22614074.xml")
    facts = ImageFacts(source_file="", transfer_syntax="", rows=4084, columns=3328, bits_stored=14)
    monkeypatch.setattr(headers, "read_facts", lambda path: facts)
    result = read(real)
    assert (len(result.rows), result.absent, result.skipped) == (410, 0, [])
    assert Counter(row.pathology for row in result.rows) == {"normal": 67, "benign": 220 + 23, "malignant": 13 + 8 + 22 + 49 + 8}
    [row] = [row for row in result.rows if row.lesions]
    assert row.image_id == "inbreast-22614074" and row.lesions[0].outline.points[0] == (1677.869995, 2046.150024)


@needs_tables
def test_a_real_outline():
    [(name, outline)] = read_outlines(FOLDER / "22614074_second_roi_only.xml")
    assert name == "Calcification" and outline.shape == "polygon" and len(outline.points) == 8
    xs, ys = zip(*outline.points, strict=True)
    assert (min(xs), max(xs), min(ys), max(ys)) == (1669.800049, 1687.969971, 2028.650024, 2046.150024)
    with pytest.raises(BadData, match="INbreast.csv cannot be read"):
        read_outlines(FOLDER / "INbreast.csv")
