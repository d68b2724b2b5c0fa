"""De-identification: nothing that is planted anywhere in a file comes out, what mammography needs does, and the pixels stay."""

from __future__ import annotations

import functools
import io
import re
import stat
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.datadict import DicomDictionary, dictionary_has_tag, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from mammolibs.errors import BadFile
from mammolibs.imaging import Pseudonyms, PublishedIds, deidentify_file, identify, open_key, read_facts, read_stored
from mammolibs.imaging.deidentify import DESCRIPTIONS, MAKER, TERMS
from mammolibs.imaging.deidentify_inside import is_dicom, refuse_as_is
from mammolibs.imaging.deidentify_table import profile_actions
from mammolibs.imaging.dicom_write import mammogram_bytes
from tests.imaging.make import COMPRESSED, NATIVE, dicom_bytes, texture
from tests.imaging.test_dicom_write import HEADER, PIXELS, VALID, _errors

KEY = Pseudonyms(b"a key of 32 bytes for the tests.")
# Every planted value holds one of these.
PLANTED = re.compile(rb"ZQ[0-9A-F]{8}|1\.2\.3\.99\d+|2019-?03-?04|112233", re.I)
REAL = Path(__file__).parents[2].parent / "shared" / "data" / "dicom"
PRIVATE = 0x00290010
# One element of each kind, for the items of sequences.
INSIDE = tuple({vr: tag for tag, (vr, *_) in DicomDictionary.items() if tag >> 16 >= 8}.values())


def token(tag: int, vr: str):
    """A value of this kind that can be found again; None for kinds that hold no text."""
    word = f"ZQ{tag:08X}"
    return {
        "UI": f"1.2.3.99{tag}", "DA": "20190304", "DT": "20190304112233", "TM": "112233", "PN": f"{word}^ANNA", "AS": "077Y",
        "UN": word.encode(), "OB": word.encode(), **dict.fromkeys(("LO", "LT", "SH", "ST", "UC", "UT", "UR", "AE"), word),
    }.get(vr)  # fmt: skip


def plant(data: Dataset, tags=DicomDictionary) -> Dataset:
    """A value in each of these elements that can hold text, in private ones, in curves and overlays, and in an item of many a sequence."""
    for tag in tags:
        vr = DicomDictionary[tag][0]
        keyword, listed = keyword_for_tag(tag), tag in profile_actions()
        if tag >> 16 < 8 or keyword in (*MAKER, *TERMS, "SOPClassUID") or (tag in data and not listed):
            continue
        value = f"ZQ{tag:08X}" if vr == "CS" and listed else token(tag, vr)
        if value is not None:
            data.add_new(tag, vr, value)
        elif vr == "SQ" and tags is DicomDictionary and (listed or keyword[0] in "CV"):
            data.add_new(tag, vr, Sequence([plant(Dataset(), INSIDE)]))
    data.add_new(PRIVATE, "LO", "ZQPRIV ZQ00290010")
    data.add_new(PRIVATE + 0xFF1, "UN", b"ZQ00291001")
    data.add_new(0x60000022, "LO", "ZQ60000022")
    data.add_new(0x60003000, "OW", b"ZQ60003000")
    return data


@functools.cache
def planted_bytes() -> bytes:
    """A left MLO mammogram with something in every place that can hold text."""
    data = pydicom.dcmread(io.BytesIO(mammogram_bytes(PIXELS, HEADER)))
    plant(data)
    code = data.ViewCodeSequence[0]
    code.CodeMeaning = "ZQ00080104"
    plant(code, INSIDE).CodeValue = "399368009"
    code.CodingSchemeDesignator = "SCT"
    strange = Dataset()
    strange.CodeValue, strange.CodingSchemeDesignator, strange.CodeMeaning = "ZQ00080100", "99LOCAL", "ZQ00080104"
    data.AnatomicRegionSequence.append(strange)
    data.BurnedInAnnotation, data.PatientSex, data.PatientAge, data.PatientBirthDate = "NO", "F", "094Y", "20190304"
    data.SeriesDescription = "Smith ZQ0008103E R MLO spot 2019-03-04"
    data.PixelData += b"ZQ7FE00010"
    data.file_meta.SourceApplicationEntityTitle = "ZQ00020016"
    data.preamble = b"ZQ00000000" + bytes(118)
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, data)
    return buffer.getvalue()


@functools.cache
def planted_made() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ZQ11111111.dcm")
        path.write_bytes(planted_bytes())
        return deidentify_file(path, KEY).data


def deidentified(path: Path) -> Dataset:
    return pydicom.dcmread(io.BytesIO(deidentify_file(path, KEY).data))


@pytest.fixture
def write(tmp_path):
    def to(name: str, data: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return to


def test_nothing_that_is_planted_in_any_element_comes_out(write):
    path = write("ZQ11111111.dcm", planted_bytes())
    assert len(set(PLANTED.findall(planted_bytes()))) > 800
    assert PLANTED.findall(planted_made()) == [] and PLANTED.findall(identify(path, KEY).object_name.encode()) == []
    data = pydicom.dcmread(io.BytesIO(planted_made()))
    assert not [element for element in data.iterall() if element.tag.is_private] and (0x6000, 0x22) not in data
    assert "ZQ" not in str(data) and "Smith" not in str(data)


def overwritten(data: bytes, old: bytes, new: bytes) -> bytes:
    """Another value of the same length, which no writer of values would let through."""
    assert data.count(old) == 1 and len(old) == len(new)
    return data.replace(old, new)


@pytest.mark.parametrize(("keyword", "valid", "planted"), [
    ("KVP", "29.1234567890123", "ZQJANE SMITH  51"), ("InstanceNumber", "123456789012", "ZQJANE SMITH"),
    ("ImagerPixelSpacing", "0.0712345678\\0.071234567", "0.0712345678\\ZQSMITH    "), ("Exposure", "123456789012", "ZQ 12 MAY 51"),
    ("SOPInstanceUIDOfConcatenationSource", "1.2.840.10008.987654321", "1.2.840.10008.ZQSMITH  "),
    ("PatientOrientation", "ABCD\\EFGHIJKL ", "A\\ZQSMITH J   "), ("ImageType", "DERIVED\\PRIMARY\\ABCDEFGH", "DERIVED\\PRIMARY\\ZQ SMITH"),
    ("BodyPartExamined", "ABCDEFGHIJ", "ZQSMITH J "), ("ViewPosition", "ABCDEFGHIJ", "ZQSMITH CC"),
])  # fmt: skip
def test_text_in_the_place_of_a_number_a_uid_or_a_code_stays_here(write, keyword, valid, planted):
    data = pydicom.dcmread(io.BytesIO(mammogram_bytes(PIXELS, HEADER)))
    setattr(data, keyword, valid.split("\\") if "\\" in valid else valid)
    buffer = io.BytesIO()
    data.save_as(buffer)
    path = write("a.dcm", overwritten(buffer.getvalue(), valid.encode(), planted.encode()))
    made = deidentify_file(path, KEY).data
    assert b"ZQ" not in made and b"SMITH" not in made
    assert np.array_equal(pydicom.dcmread(io.BytesIO(made)).pixel_array, PIXELS)


def test_what_mammography_needs_stays(write):
    made = write("b.dcm", planted_made())
    data, facts = pydicom.dcmread(made), read_facts(made)
    assert (facts.laterality, facts.view, facts.spacing_mm, facts.manufacturer, facts.modality) == ("L", "MLO", 0.07, "maker", "MG")
    assert data.SeriesDescription == "R MLO SPOT" and facts.view_modifiers == ("spot",)
    assert (data.PatientAge, data.PatientSex, data.PatientBirthDate, data.ManufacturerModelName) == ("090Y", "F", "", "model")
    assert data.ViewCodeSequence[0].CodeMeaning == "MLO" and len(data.AnatomicRegionSequence) == 1
    assert data.PatientIdentityRemoved == "YES" and data.DeidentificationMethod[0].startswith("mammolibs, DICOM PS3.15")
    assert [item.CodeValue for item in data.DeidentificationMethodCodeSequence] == ["113100", "113105", "113107", "113108"]
    assert np.array_equal(data.pixel_array, PIXELS)


@pytest.mark.parametrize(("age", "birth", "told"), [
    ("089Y", "", "089Y"), ("090Y", "", "090Y"), ("104Y", "", "090Y"), ("18 M", "", ""), ("010M", "", "010M"),
    ("", "19600103", "059Y"), ("", "19600102", "060Y"), ("", "19200101", "090Y"), ("", "unknown", ""),
])  # fmt: skip
def test_ages_end_at_90_and_come_from_the_birth_date_where_none_is_told(write, age, birth, told):
    data = pydicom.dcmread(io.BytesIO(mammogram_bytes(PIXELS, HEADER)))
    data.PatientAge, data.PatientBirthDate = age, birth
    buffer = io.BytesIO()
    data.save_as(buffer)
    assert deidentified(write("a.dcm", buffer.getvalue())).get("PatientAge", "") == told


def test_one_patient_stays_one_patient_and_intervals_stay(write):
    paths = [
        write(f"{n}", mammogram_bytes(PIXELS, replace(HEADER, patient_id=who, date=date, instance_uid=f"2.25.{n}", source_uid="2.25.0")))
        for n, (who, date) in enumerate([("P1", "20191231"), (" P1 ", "20200301"), ("P2", "20191231")])
    ]
    first, second, other = map(deidentified, paths)
    days = [pydicom.valuerep.DA(data.StudyDate) for data in (first, second, other)]
    assert first.PatientID == second.PatientID == first.PatientName != other.PatientID
    assert (days[1] - days[0]).days == 61 and days[2] != days[0] and 0 < (pydicom.valuerep.DA("20191231") - days[0]).days <= 3652
    assert first.StudyInstanceUID == second.StudyInstanceUID and first.SOPInstanceUID != second.SOPInstanceUID
    assert first.AccessionNumber == second.AccessionNumber and len(first.AccessionNumber) == 16
    assert first.SourceImageSequence[0].ReferencedSOPInstanceUID == KEY.uid("2.25.0")
    assert first.file_meta.MediaStorageSOPInstanceUID == first.SOPInstanceUID == KEY.uid("2.25.0")
    again = deidentify_file(paths[0], KEY)
    assert again.data == deidentify_file(paths[0], KEY).data and again.identity == identify(paths[0], KEY)
    assert deidentify_file(paths[0], Pseudonyms(b"another key")).identity.patient != again.identity.patient


def test_the_same_number_of_two_issuers_is_two_patients(write):
    names = set()
    for issuer in ("", "ONE", "TWO"):
        data = pydicom.dcmread(io.BytesIO(mammogram_bytes(PIXELS, HEADER)))
        data.IssuerOfPatientID = issuer
        buffer = io.BytesIO()
        data.save_as(buffer)
        names.add(deidentified(write("a.dcm", buffer.getvalue())).PatientID)
    assert len(names) == 3


def test_without_a_patient_id_none_is_invented(write):
    data = pydicom.dcmread(io.BytesIO(mammogram_bytes(PIXELS, replace(HEADER, patient_id=""))))
    del data.SOPInstanceUID
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, data)
    clean = deidentified(write("a.dcm", buffer.getvalue()))
    assert clean.PatientID == "" and clean.StudyInstanceUID.startswith("2.25.") and clean.SOPInstanceUID.startswith("2.25.")


@pytest.mark.parametrize("syntax", [*NATIVE, *COMPRESSED])
def test_stored_pixels_stay_bit_for_bit_in_every_syntax(write, syntax):
    bits = COMPRESSED[syntax].bits[-1] if syntax in COMPRESSED else 12
    frames = np.stack([texture(bits, seed=seed) for seed in range(2)])
    path = write("a.dcm", dicom_bytes(frames, syntax, bits=bits))
    before, after = read_stored(path), read_stored(write("b.dcm", deidentify_file(path, KEY).data))
    assert np.array_equal(before.frames, after.frames) and before.facts.transfer_syntax == after.facts.transfer_syntax


def test_of_a_published_set_ids_stay_and_nothing_else_that_is_planted(write):
    before = plant(pydicom.dcmread(io.BytesIO(mammogram_bytes(PIXELS, HEADER))), tuple(filter(dictionary_has_tag, profile_actions())))
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, before)
    data = pydicom.dcmread(io.BytesIO(deidentify_file(write("ZQ11111111.dcm", buffer.getvalue()), PublishedIds(KEY.key)).data))
    kept = ("PatientID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SeriesDescription")
    assert [data[name].value for name in kept] == [before[name].value for name in kept]
    assert (data.PatientName, data.file_meta.MediaStorageSOPInstanceUID) == (before.PatientID, before.SOPInstanceUID)
    for element in data.iterall():
        if element.VR != "UI" and element.keyword not in (*kept, "PatientName", *DESCRIPTIONS):
            assert not PLANTED.search(repr(element.value).encode()), element
    assert [item.CodeValue for item in data.DeidentificationMethodCodeSequence] == ["113100", "113107", "113108", "113110"]
    assert data.DeidentificationMethod[-1] == "patient id and series descriptions kept" and max(map(len, data.DeidentificationMethod)) <= 64
    assert data.StudyDate != before.StudyDate and np.array_equal(data.pixel_array, PIXELS)


@pytest.mark.parametrize("name", ["lut", "derived"])
def test_a_valid_file_stays_valid(write, name):
    path = write("a.dcm", mammogram_bytes(PIXELS, replace(HEADER, **VALID[name])))
    assert _errors(write("b.dcm", deidentify_file(path, KEY).data)) == []


@pytest.mark.skipif(not REAL.is_dir(), reason="the real files are not at hand")
@pytest.mark.parametrize("name", ["MG_Explicit_Little.dcm", "jpeg2k_3d.dcm"])
def test_a_real_file_gets_no_new_errors(write, name):
    path = REAL / name
    if not path.is_file():
        pytest.skip("not at hand")
    made = write("a.dcm", deidentify_file(path, KEY).data)
    assert set(_errors(made)) <= set(_errors(path))
    before, after = read_facts(path), read_facts(made)
    same = ("laterality", "view", "spacing_mm", "manufacturer", "modality", "bits_stored", "photometric", "view_modifiers", "frames")
    assert [getattr(before, fact) for fact in same] == [getattr(after, fact) for fact in same]


def test_text_in_the_pixels_that_the_header_tells_of_is_refused(write):
    with pytest.raises(BadFile, match="burned into its pixels"):
        deidentify_file(write("a.dcm", mammogram_bytes(PIXELS, replace(HEADER, burned_in=True))), KEY)
    data = pydicom.dcmread(io.BytesIO(mammogram_bytes(PIXELS, HEADER)))
    data.add_new(0x60000102, "US", 12)
    buffer = io.BytesIO()
    data.save_as(buffer)
    with pytest.raises(BadFile, match="unused bits"):
        deidentify_file(write("b.dcm", buffer.getvalue()), KEY)


@pytest.mark.parametrize("data", [b"", b"no DICOM at all", mammogram_bytes(PIXELS, HEADER)[:400], dicom_bytes(PIXELS, bits=12, Rows=None)])
def test_what_is_no_image_is_refused_in_one_line(write, data):
    with pytest.raises(BadFile) as error:
        deidentify_file(write("a.dcm", data), KEY)
    assert "\n" not in str(error.value) and "a.dcm" in str(error.value)


def test_a_key_is_made_once_and_only_its_owner_may_read_it(tmp_path):
    path = tmp_path / "my.key"
    first = open_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and open_key(path) == first and len(first.key) == 32
    assert first.key.hex() not in repr(first) and open_key(tmp_path / "other.key") != first
    path.chmod(0o640)
    with pytest.raises(BadFile, match="chmod 600"):
        open_key(path)
    path.write_text("password")
    with pytest.raises(BadFile, match="is no key"):
        open_key(path)
    with pytest.raises(BadFile, match="cannot be made"):
        open_key(tmp_path / "gone" / "my.key")


def test_what_holds_dicom_or_a_key_does_not_leave_as_it_is(tmp_path, write):
    import tarfile
    import zipfile

    dicom, text = write("a", mammogram_bytes(PIXELS, HEADER)), write("a.txt", b"labels")
    open_key(tmp_path / "k")
    for name, packed in {"a.zip": dicom, "b.zip": text}.items():
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.write(packed, "inside")
    for name, packed in {"a.tar": dicom, "b.tar": text, "a.tgz": dicom, "k.tar": tmp_path / "k", "z.tar": tmp_path / "b.zip"}.items():
        with tarfile.open(tmp_path / name, "w:gz" if name.endswith("tgz") else "w") as archive:
            archive.add(packed, "inside")
    heads = {"a.7z": b"7z\xbc\xaf\x27\x1c", "a.rar": b"Rar!\x1a\7", "a.dcm.zst": b"\x28\xb5\x2f\xfd", "a.lz4": b"\x04\x22\x4d\x18"}
    for name, head in (heads | {"a.iso": bytes(32769) + b"CD001"}).items():
        write(name, head + b"whatever")
    with tarfile.open(tmp_path / "zst.tar", "w") as archive:
        archive.add(tmp_path / "a.dcm.zst", "a.dcm.zst")
    with tarfile.open(tmp_path / "shard.tar", "w") as archive:
        archive.add(tmp_path / "a.dcm.zst", "00000001.mask.zst")
    for name in ("a", "k", "a.zip", "a.tar", "a.tgz", "k.tar", "z.tar", "zst.tar", "a.iso", *heads):
        with pytest.raises(BadFile, match="DICOM|key|archive"):
            refuse_as_is(tmp_path / name)
    for name in ("a.txt", "b.zip", "b.tar", "shard.tar"):
        refuse_as_is(tmp_path / name)
    assert is_dicom(dicom) and not is_dicom(text)
    with pytest.raises(BadFile, match="cannot be unpacked"):
        refuse_as_is(write("cut.gz", b"\x1f\x8b\x08"))
