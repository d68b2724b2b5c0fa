"""A CD, or another medium, by its DICOMDIR: the images that it lists, no others, and none that lies elsewhere."""

import shutil
from pathlib import Path

import pydicom
import pytest

from mammolibs.catalog import SOURCES, build_catalog
from mammolibs.errors import BadFile
from mammolibs.imaging import read_facts
from tests.catalog.trees import write_dicom

MEDIUM = Path(pydicom.data.__file__).with_name("test_files") / "dicomdirtests"


def read(root):
    return SOURCES["dicom_folder"](root)


@pytest.fixture
def medium(tmp_path):
    """A CD as pydicom brings one, with one more image that its DICOMDIR does not list."""
    shutil.copytree(MEDIUM, tmp_path / "cd", ignore=shutil.ignore_patterns("DICOMDIR-*", "*.py"))
    write_dicom(tmp_path / "cd" / "unlisted.dcm", PatientID="8")
    return tmp_path / "cd"


def test_a_dicomdir_names_the_images_of_its_medium(medium):
    listed = [record for record in pydicom.dcmread(medium / "DICOMDIR").DirectoryRecordSequence if record.DirectoryRecordType == "IMAGE"]
    places = {medium.joinpath(*record.ReferencedFileID) for record in listed}
    result = read(medium / "DICOMDIR")
    assert {Path(row.path) for row in result.rows} | {Path(item.item) for item in result.skipped} == places and len(places) == 31
    assert {row.patient_id for row in result.rows} == {"dicom_folder/77654033", "dicom_folder/98890234"}
    assert result.absent == 0
    assert len(read(medium).rows) == len(result.rows) + 1


def test_what_a_dicomdir_lists_and_the_medium_lacks_is_absent(medium):
    (medium / "77654033" / "CR1" / "6154").unlink()
    # Some systems show the names of a CD in lower case.
    (medium / "77654033" / "CR2").rename(medium / "77654033" / "cr2")
    result = read(medium / "DICOMDIR")
    assert result.absent == 1
    assert str(medium / "77654033" / "cr2" / "6247") in {row.path for row in result.rows}


@pytest.mark.parametrize(("content", "said"), [(b"", "no DICOM"), (b"\0" * 128 + b"DICM", "no DICOMDIR"), (None, "no DICOMDIR")])
def test_a_dicomdir_that_is_none_is_an_error_that_names_it(medium, content, said):
    place = medium / "DICOMDIR"
    place.write_bytes((medium / "unlisted.dcm").read_bytes() if content is None else content)
    with pytest.raises(BadFile, match=f"DICOMDIR: .*{said}"):
        read(place)


def test_a_dicomdir_of_other_files_than_those_here_is_refused(medium):
    shutil.rmtree(medium / "77654033")
    for folder in medium.glob("9*"):
        shutil.rmtree(folder)
    with pytest.raises(BadFile, match="holds no image"):
        read(medium / "DICOMDIR")


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
def test_a_dicomdir_leads_nowhere_out_of_its_folder(medium):
    listing = pydicom.dcmread(medium / "DICOMDIR")
    first = next(record for record in listing.DirectoryRecordSequence if record.DirectoryRecordType == "IMAGE")
    write_dicom(medium.parent / "SECRET")
    first.ReferencedFileID = ["..", "SECRET"]
    listing.save_as(medium / "DICOMDIR", enforce_file_format=False)
    result = read(medium / "DICOMDIR")
    assert result.absent == 1 and not any("SECRET" in row.path for row in result.rows)


def test_a_dicomdir_is_no_image_and_says_what_to_give(medium):
    with pytest.raises(BadFile, match="list of a medium's files and no image; give the folder"):
        read_facts(medium / "DICOMDIR")


def test_a_medium_in_a_bucket_is_read_by_its_dicomdir(bucket, medium, tmp_path):
    for path in (path for path in medium.rglob("*") if path.is_file()):
        bucket.put("bucket", f"cd/{path.relative_to(medium).as_posix()}", path.read_bytes())
    there = build_catalog([("dicom_folder", "gs://bucket/cd/DICOMDIR")], unpack_folder=tmp_path)
    assert len(there.rows) == len(read(medium / "DICOMDIR").rows) and not there.absent["dicom_folder"]
    assert all(row.path.startswith("gs://bucket/cd/") for row in there.rows)
