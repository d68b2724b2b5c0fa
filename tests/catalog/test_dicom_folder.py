"""A folder of images without labels: who is a patient, twins, copies, frames."""

import pytest

from mammolibs.catalog import SOURCES, build_catalog
from mammolibs.errors import BadData
from tests.catalog.trees import REAL, write_dicom, write_plain

DICOM = REAL / "dicom"


def read(root, **options):
    return SOURCES["dicom_folder"](root, options)


def patients(result):
    return {row.path.rsplit("/", 1)[1]: row.patient_id for row in result.rows}


def test_a_patient_is_the_id_else_the_study_else_the_file(tmp_path):
    write_dicom(tmp_path / "a.dcm", PatientID="7")
    write_dicom(tmp_path / "c.dcm", PatientID=None, StudyInstanceUID="1.2.9")
    write_dicom(tmp_path / "d.dcm", PatientID=None, StudyInstanceUID="1.2.9")
    write_dicom(tmp_path / "e.dcm", PatientID=None, StudyInstanceUID=None)
    write_plain(tmp_path / "f.png")
    result = read(tmp_path)
    found = {name: person.removeprefix("dicom_folder/") for name, person in patients(result).items()}
    assert found == {
        "a.dcm": "7", "c.dcm": "study 1.2.9", "d.dcm": "study 1.2.9", "e.dcm": "file e.dcm", "f.png": "file f.png",
    }  # fmt: skip
    assert "files without a patient id (each study counts as a patient): 2" in result.notes
    assert "files without patient and study (each counts as a patient of its own): 2" in result.notes


def test_the_same_number_of_two_issuers_is_two_patients(tmp_path):
    for issuer in ("North", "South-East"):
        write_dicom(tmp_path / f"{issuer}.dcm", PatientID="7", IssuerOfPatientID=issuer)
    assert set(patients(read(tmp_path)).values()) == {"dicom_folder/North/7", "dicom_folder/South-East/7"}


def test_nothing_is_claimed_that_no_header_says(tmp_path):
    write_dicom(
        tmp_path / "a.dcm", ImageLaterality="L", ViewPosition="MLO", Manufacturer="ACME", ImagerPixelSpacing=[0.07, 0.07], PatientAge="051Y"
    )
    write_plain(tmp_path / "L_CC_malignant.png")
    known, plain = read(tmp_path).rows[1], read(tmp_path).rows[0]
    assert (known.laterality, known.view, known.maker, known.spacing_mm, known.age_years) == ("L", "MLO", "ACME", 0.07, 51)
    assert (plain.laterality, plain.view, plain.maker, plain.spacing_mm, plain.age_years) == ("unknown", "unknown", "", None, None)
    assert {row.pathology for row in (known, plain)} == {row.truth for row in (known, plain)} == {"unknown"}


def exposure(path, intent, **more):
    write_dicom(path, PresentationIntentType=intent, ImageLaterality="L", ViewPosition="CC", **more)


def test_of_twins_the_presentation_image_is_taken(tmp_path):
    exposure(tmp_path / "raw.dcm", "FOR PROCESSING")
    exposure(tmp_path / "shown.dcm", "FOR PRESENTATION")
    exposure(tmp_path / "other.dcm", "FOR PROCESSING", StudyInstanceUID="1.2.77")
    result = read(tmp_path)
    assert sorted(patients(result)) == ["other.dcm", "shown.dcm"]
    [item] = result.skipped
    assert item.on_purpose and item.reason == "FOR PROCESSING twin of an image that is there"


def test_both_twins_share_patient_and_split_when_asked_for(tmp_path):
    exposure(tmp_path / "raw.dcm", "FOR PROCESSING", PatientID=None)
    exposure(tmp_path / "shown.dcm", "FOR PRESENTATION", PatientID=None)
    catalog = build_catalog([("dicom_folder", tmp_path)], unpack_folder=tmp_path, options={"dicom_folder": {"twins": "both"}})
    raw, shown = sorted(catalog.rows, key=lambda row: row.path)
    assert raw.parent_id == shown.image_id and shown.parent_id == "" and raw.split == shown.split


def test_without_a_known_view_nothing_is_a_twin(tmp_path):
    for name, intent in (("a", "FOR PROCESSING"), ("b", "FOR PRESENTATION")):
        write_dicom(tmp_path / f"{name}.dcm", PresentationIntentType=intent)
    assert len(read(tmp_path).rows) == 2


def test_a_second_copy_of_a_file_is_left_out(tmp_path):
    data = write_dicom(tmp_path / "a" / "x.dcm").read_bytes()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "y.dcm").write_bytes(data)
    result = read(tmp_path)
    assert len(result.rows) == 1 and result.skipped[0].on_purpose and "another file" in result.skipped[0].reason


def test_frames(tmp_path):
    write_dicom(tmp_path / "a.dcm", NumberOfFrames=5)
    assert [row.frame for row in read(tmp_path).rows] == [2]
    rows = read(tmp_path, frames="all").rows
    assert [row.frame for row in rows] == [0, 1, 2, 3, 4] and len({row.image_id for row in rows}) == 5


def test_a_placeholder_as_patient_id_is_pointed_out(tmp_path):
    for n in range(4):
        write_dicom(tmp_path / f"{n}.dcm", PatientID="ANON", StudyInstanceUID=f"1.2.{n}")
    notes = read(tmp_path).notes
    assert any("all 4 studies carry one patient id" in note for note in notes) and "ANON" not in str(notes)


def test_hidden_folders_are_not_entered(tmp_path):
    write_dicom(tmp_path / "a.dcm")
    write_dicom(tmp_path / ".ipynb_checkpoints" / "b.dcm")
    assert len(read(tmp_path).rows) == 1


def test_the_one_source_folder_of_bad_files_names_the_first(tmp_path):
    for n in range(3):
        (tmp_path / f"{n}.dcm").write_text("a text file")
    with pytest.raises(BadData, match=r"3 of 3 images of dicom_folder cannot be used, first 0\.dcm"):
        build_catalog([("dicom_folder", tmp_path)], unpack_folder=tmp_path)


@pytest.mark.skipif(not DICOM.exists(), reason=f"{DICOM} is not there")
def test_the_real_samples():
    result = read(DICOM)
    assert len(result.rows) == 14 and not result.skipped
    tomosynthesis = next(row for row in result.rows if row.path.endswith("jpeg2k_3d.dcm"))
    assert (tomosynthesis.patient_id, tomosynthesis.frame) == ("dicom_folder/DBT-P00853", 2)
