"""CBIS-DDSM: layouts, mask against crop by header, joined tables, the official split; counts of the real tables."""

import csv
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from mammolibs.catalog import SOURCES, headers
from mammolibs.catalog.headers import read_facts
from mammolibs.catalog.layout import Layout
from mammolibs.catalog.source import SourceResult
from mammolibs.catalog.sources.cbis_ddsm import choose_mask, read_abnormalities
from mammolibs.catalog.words import worst_pathology
from mammolibs.errors import BadFile
from mammolibs.records import ImageFacts
from tests.catalog.trees import REAL, cbis_record, write_cbis_files, write_cbis_tables, write_dicom, write_plain

TABLES = REAL / "cbis-ddsm"
needs_tables = pytest.mark.skipif(not TABLES.exists(), reason=f"{TABLES} is not there")


def read(root):
    return SOURCES["cbis_ddsm"](root)


def only(root):
    [row] = read(root).rows
    return row


def one_case(root, **files):
    record = cbis_record("P_00001", "LEFT", "CC")
    write_cbis_tables(root, mass_train=[record])
    write_cbis_files(root, record, **files)
    return record


def test_the_downloaders_tree(tmp_path):
    one_case(tmp_path)
    row = only(tmp_path)
    assert (row.image_id, row.patient_id, row.laterality, row.view) == ("cbis_ddsm-P_00001_LEFT_CC", "cbis_ddsm/P_00001", "L", "CC")
    assert (row.pathology, row.truth, row.birads, row.density, row.official_split) == ("malignant", "biopsy", "4", "C", "train")
    assert "full mammogram" in row.path and row.bits == 16 and row.spacing_mm is None
    assert row.lesions[0].outline.path.endswith("1-1.dcm") and "ROI mask" in row.lesions[0].outline.path


@pytest.mark.parametrize("names", [("1-1.dcm", "1-2.dcm"), ("1-2.dcm", "1-1.dcm")])
def test_the_mask_is_told_by_its_size_whatever_its_name(tmp_path, names):
    one_case(tmp_path, names=names)
    outline = only(tmp_path).lesions[0].outline
    assert outline.shape == "mask" and Path(outline.path).name == names[0] and read_facts(Path(outline.path)).rows == 60


def test_a_crop_as_large_as_the_image_is_told_by_its_bits(tmp_path):
    one_case(tmp_path, crop=(60, 40))
    outline = only(tmp_path).lesions[0].outline
    assert read_facts(Path(outline.path)).bits_allocated == 8


def candidate(rows, columns, bits=8):
    return Path(f"{rows}x{columns}-{bits}.dcm"), ImageFacts(
        source_file="", transfer_syntax="", rows=rows, columns=columns, bits_allocated=bits
    )


@pytest.mark.parametrize(
    "mask,taken", [((4000, 2000, 16), True), ((4000, 2000, 8), True), ((3480, 1740, 16), True), ((4080, 2000, 8), False)]
)
@pytest.mark.parametrize("crop", [(2100, 1050, 8), (2100, 1050, 16), (700, 400, 8)])
def test_size_goes_before_bits_where_a_crop_fits_too(mask, taken, crop):
    image = candidate(4000, 2000, 16)[1]
    chosen = choose_mask(image, [candidate(*crop), candidate(*mask)])
    assert chosen == (candidate(*mask)[0] if taken else None)


def test_a_mask_that_is_smaller_by_a_constant_factor_is_taken(tmp_path):
    one_case(tmp_path, image=(600, 400), mask=(522, 348))
    assert only(tmp_path).lesions[0].outline.shape == "mask"


@pytest.mark.parametrize("mask", [(60, 60), (20, 13), None])
def test_a_mask_that_does_not_fit_leaves_the_lesion_without_a_place_and_is_counted(tmp_path, mask):
    one_case(tmp_path, mask=mask)
    result = read(tmp_path)
    assert result.rows[0].lesions[0].outline.shape == "none" and result.rows[0].pathology == "malignant"
    assert any("without a mask of their image's shape (kept without a place): 1" in note for note in result.notes)


def test_crop_and_mask_in_series_of_their_own(tmp_path):
    record = one_case(tmp_path, mask=None)
    case = tmp_path / "manifest-1" / "CBIS-DDSM" / record["ROI mask file path"].split("/")[0]
    mask = write_dicom(case / "08-07-2016-DDSM-84313" / "1.000000-cropped images-1" / "1-1.dcm", 60, 40, bits=8)
    assert only(tmp_path).lesions[0].outline.path == str(mask)


def test_folders_named_by_uids(tmp_path):
    record = cbis_record("P_00001", "LEFT", "CC")
    write_cbis_tables(tmp_path, mass_train=[record])
    _, study, series, _ = record["image file path"].split("/")
    write_dicom(tmp_path / "DOI" / study / series / "00000001.dcm", 60, 40)
    _, study, series, _ = record["ROI mask file path"].split("/")
    write_dicom(tmp_path / "DOI" / study / series / "00000001.dcm", 11, 9)
    mask = write_dicom(tmp_path / "DOI" / study / series / "00000002.dcm", 60, 40, bits=8)
    assert only(tmp_path).lesions[0].outline.path == str(mask)


def mirror(root, folder_of):
    """The JPEG mirror; folder_of: series UID -> name of its folder."""
    record = cbis_record("P_00001", "LEFT", "CC")
    write_cbis_tables(root / "csv", mass_train=[record])
    image, lesion = (record[f"{what} file path"].split("/")[2] for what in ("image", "ROI mask"))
    write_plain(root / "jpeg" / folder_of(image) / "1-204.jpg", 60, 40)
    write_plain(root / "jpeg" / folder_of(lesion) / "1-019.jpg", 60, 40)
    write_plain(root / "jpeg" / folder_of(lesion) / "2-240.jpg", 11, 9)
    with open(root / "csv" / "dicom_info.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file_path", "image_path", "SeriesInstanceUID", "SeriesDescription"])
        writer.writerow(["", f"CBIS-DDSM/jpeg/{folder_of(image)}/1-204.jpg", image, ""])
        writer.writerow(["", f"CBIS-DDSM/jpeg/{folder_of(lesion)}/1-019.jpg", lesion, "cropped images"])
        writer.writerow(["", f"CBIS-DDSM/jpeg/{folder_of(lesion)}/2-240.jpg", lesion, "ROI mask images"])


@pytest.mark.parametrize("folder_of", [lambda uid: uid, lambda uid: f"series{uid[-6:]}"], ids=["folders by uid", "joined by table"])
def test_the_jpeg_mirror(tmp_path, folder_of):
    mirror(tmp_path, folder_of)
    row = only(tmp_path)
    assert row.path.endswith("1-204.jpg") and row.bits == 8
    assert row.lesions[0].outline.path.endswith("1-019.jpg")


def test_mass_and_calcification_of_one_film_are_one_row(tmp_path):
    mass = cbis_record("P_00041", "LEFT", "CC", pathology="BENIGN_WITHOUT_CALLBACK", assessment="2")
    calc = cbis_record("P_00041", "LEFT", "CC", kind="Calc", part="Test", pathology="MALIGNANT", assessment="5")
    write_cbis_tables(tmp_path, mass_train=[mass], calc_test=[calc])
    for record in (mass, calc):
        write_cbis_files(tmp_path, record)
    result = read(tmp_path)
    [row] = result.rows
    assert [(lesion.kind, lesion.pathology) for lesion in row.lesions] == [("mass", "benign"), ("calcification", "malignant")]
    assert (row.pathology, row.truth, row.birads, row.official_split) == ("malignant", "biopsy", "5", "mixed")
    assert any("both sides of the official split" in note and note.endswith(": 1") for note in result.notes)


def test_benign_without_callback_is_benign_and_read(tmp_path):
    record = cbis_record("P_00001", "LEFT", "CC", pathology="BENIGN_WITHOUT_CALLBACK", **{"mass shape": "ARCHITECTURAL_DISTORTION"})
    write_cbis_tables(tmp_path, mass_train=[record])
    write_cbis_files(tmp_path, record)
    row = only(tmp_path)
    assert (row.pathology, row.truth, row.lesions[0].kind) == ("benign", "read", "distortion")


def test_films_that_are_not_there_are_absent(tmp_path):
    records = [cbis_record(f"P_{n:05d}", "LEFT", "CC") for n in range(3)]
    write_cbis_tables(tmp_path, mass_train=records)
    write_cbis_files(tmp_path, records[1])
    result = read(tmp_path)
    assert (len(result.rows), result.absent, result.skipped) == (1, 2, [])


def test_a_table_that_is_missing_is_noted(tmp_path):
    one_case(tmp_path)
    (tmp_path / "calc_case_description_train_set.csv").unlink()
    assert any("calc_case_description_train_set.csv is not there" in note for note in read(tmp_path).notes)


def test_an_unknown_label_is_not_guessed(tmp_path):
    records = [cbis_record("P_00001", "LEFT", "CC", pathology="PROBABLY"), cbis_record("P_00002", "LEFT", "CC")]
    write_cbis_tables(tmp_path, mass_train=records)
    for record in records:
        write_cbis_files(tmp_path, record)
    result = read(tmp_path)
    assert len(result.rows) == 1 and "'PROBABLY'" in result.skipped[0].reason


def test_a_table_without_its_columns_is_named(tmp_path):
    one_case(tmp_path)
    (tmp_path / "mass_case_description_train_set.csv").write_text("patient_id,pathology\nP_1,BENIGN\n")
    with pytest.raises(BadFile, match="has no column left or right breast"):
        read(tmp_path)


@pytest.fixture(scope="module")
def real():
    return read_abnormalities(Layout(TABLES), SourceResult())


@needs_tables
def test_the_real_tables_have_the_known_counts(real):
    assert Counter((a.lesion_id.split("-")[2], a.split) for a in real) == {
        ("mass", "train"): 1318, ("mass", "test"): 378, ("calc", "train"): 1546, ("calc", "test"): 326,
    }  # fmt: skip
    assert len({a.image[0] for a in real}) == 3103 and len({a.film for a in real}) == 3032
    assert len({a.patient for a in real}) == 1566 and len({a.lesion_id for a in real}) == 3568
    assert Counter(a.word for a in real if "-mass-" in a.lesion_id and a.split == "train") == {
        "MALIGNANT": 637, "BENIGN": 577, "BENIGN_WITHOUT_CALLBACK": 104,
    }  # fmt: skip
    films = defaultdict(set)
    for a in real:
        films[a.film].add(a.pathology)
    assert Counter(worst_pathology(words) for words in films.values()).total() == 3032
    assert not any("\n" in folder for a in real for folder in (*a.image, *a.crop, *a.mask))


@needs_tables
def test_every_file_that_the_real_tables_name_is_found(real, tmp_path, monkeypatch):
    """The paths of every sixth patient as empty files in today's layout; sizes stand in for headers."""
    mixed = {"P_00041", "P_00495", "P_00016"}
    there = [a for a in real if int(a.patient[2:]) % 6 == 0 or a.patient in mixed]
    for a in there:
        folder = tmp_path / "CBIS-DDSM" / a.image[0] / "08-29-2017-DDSM-NA-1" / "1.000000-full mammogram images-1"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "1-1.dcm").touch()
        folder = tmp_path / "CBIS-DDSM" / a.mask[0] / "08-29-2017-DDSM-NA-2" / "1.000000-ROI mask images-2"
        folder.mkdir(parents=True)
        (folder / "1-1.dcm").touch()
        (folder / "1-2.dcm").touch()
    for table in TABLES.iterdir():
        (tmp_path / table.name).write_bytes(table.read_bytes())

    def facts(path):
        small = "ROI mask" in str(path) and path.name == "1-1.dcm"
        return ImageFacts(source_file=str(path), transfer_syntax="", rows=300 if small else 4000, columns=200 if small else 3000)

    monkeypatch.setattr(headers, "read_facts", facts)
    monkeypatch.setattr(headers, "POOL_FROM_FILES", 10**9)
    result = read(tmp_path)
    films = {a.film for a in there}
    assert (len(result.rows), result.absent, len(result.skipped)) == (len(films), 3032 - len(films), 0)
    assert sum(len(row.lesions) for row in result.rows) == len(there) > 500
    assert {Path(lesion.outline.path).name for row in result.rows for lesion in row.lesions} == {"1-2.dcm"}
    assert sum(row.official_split == "mixed" for row in result.rows) >= 6
    assert any("both sides of the official split" in note and note.endswith(": 31") for note in result.notes)
