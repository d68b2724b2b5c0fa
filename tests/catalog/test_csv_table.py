"""A table of anybody: columns by options, words, several rows of an image, boxes and masks, what is not said."""

import gzip
from collections import Counter

import pytest

from mammolibs.catalog import SOURCES, build_catalog, headers, make_catalog, parse_option
from mammolibs.errors import BadConfig, BadFile
from mammolibs.imaging import Pseudonyms, open_key
from mammolibs.records import ImageFacts
from tests.catalog.trees import REAL, write_dicom, write_plain
from tests.catalog.trees_tables import write_table

REAL_TABLE = REAL / "bmcd" / "labels_with_dicom_headers.csv"
needs_table = pytest.mark.skipif(not REAL_TABLE.exists(), reason=f"{REAL_TABLE} is not there")


def read(root, *options):
    return SOURCES["csv"](root, {option: value for _, option, value in map(parse_option, options)})


def make(root, *records, name="labels.csv", **how):
    """A table, and a black image for each path that it names."""
    filled = [{"path": "1.png", "patient": "p1"} | record for record in records]
    columns = {column: "" for record in filled for column in record}
    write_table(root / name, [columns | record for record in filled], **how)
    for record in filled:
        write_plain(root / record["path"], 60, 40)


def only(root, *options):
    [row] = read(root, *options).rows
    return row


STRANGE = {
    "path": "img", "patient": "Subject ID", "exam": "visit", "laterality": "breast", "view": "projection", "pathology": "dx",
    "birads": "BI-RADS", "density": "ACR", "age": "years", "split": "fold", "spacing_mm": "px",
}  # fmt: skip
MAPPED = tuple(f"csv.{name}={column}" for name, column in STRANGE.items())
RECORD = {"Subject ID": "07", "visit": "2", "breast": "Left", "projection": "mlo", "dx": "Malignant", "BI-RADS": "4c", "ACR": "3",
          "years": "51", "fold": "dev", "px": "0.07"}  # fmt: skip


def test_columns_are_mapped_by_options(tmp_path):
    write_plain(tmp_path / "images" / "a.png", 60, 40)
    write_table(tmp_path / "tables" / "anything.csv", [{"img": "../images/a.png"} | RECORD])
    row = only(tmp_path, *MAPPED, "csv.truth=biopsy", "csv.licence=ours, CC BY 4.0")
    assert (row.patient_id, row.exam_id, row.laterality, row.view) == ("csv/07", "csv/07/2", "L", "MLO")
    assert (row.pathology, row.truth, row.birads, row.density, row.age_years) == ("malignant", "biopsy", "4c", "C", 51)
    assert (row.official_split, row.spacing_mm, row.bits, row.licence) == ("dev", 0.07, 8, "ours, CC BY 4.0")
    assert row.path == str(tmp_path / "images" / "a.png")


def test_the_same_from_the_flags_of_a_run(tmp_path):
    write_plain(tmp_path / "a.png", 60, 40)
    write_table(tmp_path / "anything.csv", [{"img": "a.png"} | RECORD])
    options = [parse_option(text) for text in (*MAPPED, "csv.truth=read")]
    [row] = make_catalog([("csv", tmp_path)], tmp_path / "run", options=options).rows
    patient = open_key(tmp_path / "run" / "pseudonyms.key").text("patient", "07")
    assert (row.patient_id, row.pathology, row.truth, row.split) == (f"own/{patient}", "malignant", "read", "train")


@pytest.mark.parametrize("option,says", [
    ("csv.patint=x", "did you mean patient"), ("csv.truth=guess", "choose one of unknown, biopsy"), ("csv.separator=|", "choose one of"),
    ("csv.age=Alter", "has no column Alter"), ("csv.patient=Patinet", "did you mean patient; it has path, patient"),
    ("csv.malignant=1,yes", None), ("csv.benign=Yes", "'yes' is already malignant"),
])  # fmt: skip
def test_a_misspelt_option_or_column_is_an_error(tmp_path, option, says):
    make(tmp_path, {"pathology": "1"})
    options = [option] if says is None or "already" not in says else ["csv.malignant=yes", option]
    if says is None:
        assert only(tmp_path, *options).pathology == "malignant"
    else:
        with pytest.raises(BadConfig, match=says):
            read(tmp_path, *options)


@pytest.mark.parametrize("lacking", ["path", "patient"])
def test_without_a_patient_or_a_path_nothing_is_read(tmp_path, lacking):
    record = {"path": "1.png", "patient": "p1", "pathology": "benign"}
    write_table(tmp_path / "labels.csv", [{key: value for key, value in record.items() if key != lacking}])
    with pytest.raises(BadConfig, match=f"csv.{lacking}: .*labels.csv has no column {lacking}; write --option csv.{lacking}=COLUMN"):
        read(tmp_path)


def test_words_that_nobody_knows_are_unknown_and_counted(tmp_path):
    words = ("IDC", "IDC", "fibroma", "benign", "")
    make(tmp_path, *({"path": f"{n}.png", "pathology": word, "laterality": "left"} for n, word in enumerate(words)))
    result = read(tmp_path)
    assert [row.pathology for row in result.rows] == ["unknown", "unknown", "unknown", "benign", "unknown"]
    assert any("('IDC', 'fibroma'; map them with csv.malignant" in note and note.endswith(": 3") for note in result.notes)
    assert "images whose pathology is unknown: 4" in result.notes
    assert any(note.startswith("no column for exam, view, birads") for note in result.notes)
    mapped = read(tmp_path, "csv.malignant=idc, dcis", "csv.benign=FIBROMA", "csv.truth=biopsy")
    assert [(row.pathology, row.truth) for row in mapped.rows[1:3]] == [("malignant", "biopsy"), ("benign", "biopsy")]
    assert mapped.rows[4].truth == "unknown", "truth is of a label"


def test_the_spellings_of_an_empty_cell_say_nothing(tmp_path):
    make(tmp_path, {"pathology": "nan", "laterality": "NaN", "age": "nan", "x0": "NA", "mask": "None", "density": "N/A"})
    result = read(tmp_path)
    [row] = result.rows
    assert (row.pathology, row.laterality, row.age_years, row.density, row.lesions) == ("unknown", "unknown", None, "", ())
    assert not any("words" in note for note in result.notes)


def test_what_the_table_does_not_say_the_header_may(tmp_path):
    header = dict(ImageLaterality="R", ViewPosition="CC", PatientAge="044Y", Manufacturer="ACME", ImagerPixelSpacing=[0.1, 0.1])
    for name in ("a.dcm", "b.dcm"):
        write_dicom(tmp_path / name, 60, 40, **header)
    said = {"laterality": "L", "view": "MLO", "age": "45", "spacing_mm": "0.2"}
    write_table(tmp_path / "t.csv", [{"path": "a.dcm", "patient": "1"} | said, {"path": "b.dcm", "patient": "1"} | dict.fromkeys(said, "")])
    by_table, by_header = read(tmp_path).rows
    assert (by_table.laterality, by_table.view, by_table.age_years, by_table.spacing_mm) == ("L", "MLO", 45, 0.2)
    assert (by_header.laterality, by_header.view, by_header.age_years, by_header.spacing_mm) == ("R", "CC", 44, 0.1)
    assert by_header.maker == "ACME"


def test_several_rows_of_an_image_are_its_findings(tmp_path):
    write_plain(tmp_path / "m.png", 60, 40)
    make(
        tmp_path, {"pathology": "benign", "x0": "1", "y0": "2", "x1": "5", "y1": "7.5", "kind": "mass"},
        {"pathology": "malignant", "mask": "m.png", "kind": "calcification"}, {"pathology": "unknown", "kind": "odd"},
        {"pathology": "benign", "mask": "gone.png"}, {"path": "2.png", "patient": "p2", "pathology": "normal"},
    )  # fmt: skip
    result = read(tmp_path)
    first, second = result.rows
    assert [(x.kind, x.pathology, x.outline.shape) for x in first.lesions] == [
        ("mass", "benign", "box"), ("calcification", "malignant", "mask"), ("other", "unknown", "none"), ("other", "benign", "none"),
    ]  # fmt: skip
    assert first.lesions[0].outline.points == ((1, 2), (5, 7.5)) and first.lesions[1].outline.path == str(tmp_path / "m.png")
    assert (first.pathology, second.pathology, second.lesions) == ("malignant", "normal", ())
    assert any("mask is not on the disk" in note and note.endswith(": 1") for note in result.notes)
    assert any("words for kind" in note and "'odd'" in note for note in result.notes)


@pytest.mark.parametrize("records,says", [
    (({"patient": "p1"}, {"patient": "p2"}), "differ in patient"), (({"patient": ""},), "no patient"),
    (({"laterality": "L"}, {"laterality": "R"}), "differ in laterality"), (({"age": "old"},), "'old', which is no number"),
    (({"spacing_mm": "0"},), "spacing_mm is 0"), (({"x0": "1", "y0": "2", "x1": "3"},), "a box lacks y1"),
    (({"x0": "1", "y0": "2", "x1": "3", "y1": "inf"},), "no number"),
    (({"x0": "500", "y0": "2", "x1": "503", "y1": "4"},), "outside its image"),
    (({"pathology": "normal", "kind": "mass"},), "normal in the table, and has a lesion"),
])  # fmt: skip
def test_a_row_that_contradicts_itself_is_skipped(tmp_path, records, says):
    make(tmp_path, *records, {"path": "good.png", "patient": "p9"})
    result = read(tmp_path)
    assert [row.patient_id for row in result.rows] == ["csv/p9"]
    assert [(item.item, says in item.reason) for item in result.skipped] == [(str(tmp_path / "1.png"), True)]
    assert "p2" not in str(result.skipped)


def test_paths_may_be_absolute_or_of_windows_and_those_that_are_gone_are_absent(tmp_path):
    images = [write_plain(tmp_path / "elsewhere" / "a.png"), write_plain(tmp_path / "data" / "sub" / "b.png")]
    records = [{"path": path, "patient": "1"} for path in (images[0], "sub\\b.png", "sub/c.png", "")]
    write_table(tmp_path / "data" / "labels.csv", records)
    result = read(tmp_path / "data")
    assert [row.path for row in result.rows] == [str(path) for path in images] and result.absent == 1
    assert [(item.item, item.reason) for item in result.skipped] == [("labels.csv row 5", "names no image")]


@pytest.mark.parametrize("separator,option", [(";", ";"), ("\t", "tab")])
def test_other_separators(tmp_path, separator, option):
    make(tmp_path, {"pathology": "benign"}, separator=separator)
    for options in ((), (f"csv.separator={option}",)):
        assert only(tmp_path, *options).pathology == "benign"
    with pytest.raises(BadConfig, match="no column path"):
        read(tmp_path, "csv.separator=,")


def test_of_several_tables_one_is_named(tmp_path):
    make(tmp_path, {"pathology": "benign"}, name="a.csv")
    make(tmp_path, {"pathology": "malignant"}, name="b.csv")
    with pytest.raises(BadFile, match=r"holds 2 CSV tables \(a.csv, b.csv\); say which with --option csv.table=NAME"):
        read(tmp_path)
    assert only(tmp_path, "csv.table=b.csv").pathology == "malignant"
    with pytest.raises(BadFile, match="holds no c.csv"):
        read(tmp_path, "csv.table=c.csv")


def test_the_table_itself_may_be_given_and_its_folder_is_not_walked(tmp_path, monkeypatch):
    make(tmp_path, {"pathology": "benign"}, name="a.csv")
    make(tmp_path, {"pathology": "malignant"}, name="b.csv")
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    by_folder = only(tmp_path, "csv.table=b.csv")
    monkeypatch.setattr("os.walk", None)
    key = Pseudonyms.fresh()
    [row] = build_catalog([("csv", tmp_path / "b.csv")], unpack_folder=tmp_path, pseudonyms=key).rows
    assert (row.path, row.pathology) == (by_folder.path, "malignant")
    assert row.image_id == f"csv-{key.text('image', by_folder.image_id)}"
    assert only(tmp_path / "c.csv.gz").pathology == "benign"
    with pytest.raises(BadFile, match="give a folder, or a .zip or .tar archive$"):
        build_catalog([("mias", tmp_path / "b.csv")], unpack_folder=tmp_path)
    with pytest.raises(BadFile, match="1.png: is neither .*archive, or a file that lists the images .*.csv.xz"):
        build_catalog([("csv", tmp_path / "1.png")], unpack_folder=tmp_path)


def test_a_table_of_nothing_that_is_there_says_what_it_looked_for(tmp_path):
    write_table(tmp_path / "labels.csv", [{"path": "gone/1.png", "patient": "1"}])
    with pytest.raises(BadFile, match="first .*gone/1.png"):
        read(tmp_path)
    (tmp_path / "labels.csv").write_text("path,patient\n")
    with pytest.raises(BadFile, match="holds no row"):
        read(tmp_path)


def test_the_tables_split_is_kept_and_its_leak_is_counted(tmp_path):
    make(tmp_path, *({"path": f"{n}.png", "patient": patient, "split": split} for n, (patient, split) in enumerate(
        (("1", "train"), ("1", "test"), ("2", "test"), ("2", "test"), ("3", ""))
    )))  # fmt: skip
    result = read(tmp_path)
    assert [row.official_split for row in result.rows] == ["train", "test", "test", "test", ""]
    assert any("several sides" in note and note.endswith(": 1") for note in result.notes)
    split = {row.path: row.split for row in build_catalog([("csv", tmp_path)], unpack_folder=tmp_path / "u").rows}
    assert len({split[row.path] for row in result.rows[:2]}) == 1


def test_a_multi_frame_image_is_its_middle_frame(tmp_path):
    write_dicom(tmp_path / "v.dcm", NumberOfFrames=5)
    write_table(tmp_path / "t.csv", [{"path": "v.dcm", "patient": "1"}])
    assert only(tmp_path).frame == 2


@needs_table
def test_somebody_elses_real_table_of_bmcd(tmp_path, monkeypatch):
    """Its images as empty files; sizes stand in for headers."""
    (tmp_path / "labels.csv").write_bytes(REAL_TABLE.read_bytes())
    for line in REAL_TABLE.read_text().splitlines()[1:]:
        (tmp_path / line.split(",")[8]).touch()
    monkeypatch.setattr(headers, "read_facts", lambda path: ImageFacts(source_file=str(path), transfer_syntax="", rows=4096, columns=3328))
    mapped = ("path=image_id", "patient=patient_id", "birads=BIRADS", "pathology=biopsy_result", "malignant=DCIS", "truth=biopsy")
    result = read(tmp_path, *(f"csv.{text}" for text in mapped))
    assert (len(result.rows), result.absent, result.skipped) == (328, 0, [])
    assert Counter(row.pathology for row in result.rows) == {"unknown": 222, "benign": 84, "malignant": 22}
    assert Counter(row.density for row in result.rows) == {"A": 40, "B": 180, "C": 92, "D": 16}
    assert Counter(row.laterality for row in result.rows) == {"L": 168, "R": 160} and len({row.patient_id for row in result.rows}) == 82
    assert any("('BENIGN/NORMAL'; map them" in note and note.endswith(": 22") for note in result.notes)
