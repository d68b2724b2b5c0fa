"""The own reader of headers gives what pydicom's gives, or leaves the file to pydicom: over real, made and damaged files."""

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from mammolibs.errors import BadFile
from mammolibs.imaging import read, read_facts
from mammolibs.imaging.beginning import bytes_needed
from mammolibs.imaging.dicom_write import mammogram_bytes
from mammolibs.imaging.facts import facts_of
from mammolibs.imaging.guard import quiet
from mammolibs.imaging.header import Elements, open_header
from mammolibs.imaging.prefix import read_prefix
from mammolibs.imaging.prefix_values import KEYWORDS
from tests.catalog.trees import REAL
from tests.imaging.make import NATIVE, dicom_bytes, texture
from tests.imaging.mutants import originals
from tests.imaging.test_dicom_write import HEADER, VALID

PIXELS = texture(12)


def by_pydicom(path):
    with open_header(path) as found, quiet():
        return facts_of(found.path, found.dataset, found.syntax)


def outcome(reader, path):
    """The facts, or the words of the refusal; without the file's name."""
    try:
        return replace(reader(path), source_file="")
    except BadFile as error:
        return str(error).replace(str(path), "")


def is_read_alone(data: bytes) -> bool:
    return read_prefix(data) is not None


def item(**elements) -> Dataset:
    ds = Dataset()
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    return ds


def full(undefined: bool = False, syntax: str = "explicit", **more) -> bytes:
    """A header with code sequences, functional groups, private elements and a table; sequences with lengths or with delimiters."""
    modifiers = Sequence([item(CodeValue="399055006", CodeMeaning="spot"), item(CodeValue="", CodeMeaning="")])
    view = item(CodeValue="399368009", CodingSchemeDesignator="SCT", CodeMeaning="x", ViewModifierCodeSequence=modifiers)
    spacing, anatomy = Sequence([item(PixelSpacing=[0.1, 0.1])]), Sequence([item(FrameLaterality="R")])
    ds = {
        "ViewCodeSequence": Sequence([view]), "PerFrameFunctionalGroupsSequence": Sequence([Dataset()]),
        "SharedFunctionalGroupsSequence": Sequence([item(PixelMeasuresSequence=spacing, FrameAnatomySequence=anatomy)]),
        "ReferencedImageSequence": Sequence([]), "Manufacturer": "ACME", "SeriesDescription": "R MLO", "PatientOrientation": ["P", "FL"],
        "ImagePositionPatient": [1, -2.5, "3e1"], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "InstanceNumber": 7, "PatientAge": "061Y",
        "EstimatedRadiographicMagnificationFactor": "1.05", "IssuerOfPatientID": "WARD", "BurnedInAnnotation": "NO",
    }  # fmt: skip
    for sequence in (value for value in ds.values() if undefined and isinstance(value, Sequence)):
        sequence.is_undefined_length = True
        for one in sequence:
            one.is_undefined_length_sequence_item = True
    return dicom_bytes(PIXELS, syntax, bits=12, **ds | more)


def test_it_knows_every_element_that_facts_are_made_of():
    asked = set()

    class Asked(Elements):
        def __bool__(self):
            return True

        def get(self, keyword, default=None):
            asked.add(keyword)
            numbers = {"Rows": 4, "Columns": 4, "BitsAllocated": 16}
            return [Asked()] if keyword.endswith("Sequence") else numbers.get(keyword, default)

    facts_of("", Asked(), "")
    assert asked == set(KEYWORDS)


@pytest.mark.parametrize("syntax", ["explicit", "implicit"])
@pytest.mark.parametrize("undefined", [False, True])
def test_a_whole_header_needs_no_pydicom(tmp_path, monkeypatch, undefined, syntax):
    path = tmp_path / "a.dcm"
    path.write_bytes(full(undefined, syntax))
    expected = by_pydicom(path)
    monkeypatch.setattr(read, "open_header", None)
    found = read_facts(path)
    assert found == expected
    assert (found.view, found.laterality, found.view_modifiers, found.patient_issuer) == ("MLO", "R", ("spot",), "WARD")
    assert (found.spacing_mm, found.slice_mm, found.instance_number, found.age_years) == (0.1, 30.0, 7, 61)


@pytest.mark.parametrize("syntax", ["explicit", "jpeg-ls", "implicit", "big", "deflated"])
def test_headers_as_makers_write_them_need_no_pydicom_where_they_are_little_endian(tmp_path, syntax):
    for more in (*VALID.values(), {"voi_lut": np.arange(65536)}):
        data = mammogram_bytes(PIXELS, replace(HEADER, **more), syntax=syntax)
        assert is_read_alone(data) == (syntax not in ("big", "deflated"))
        path = tmp_path / "a.dcm"
        path.write_bytes(data)
        assert read_facts(path) == by_pydicom(path)


@pytest.mark.parametrize("more", [
    {"SpecificCharacterSet": "ISO_IR 100", "SeriesDescription": "Prüfung L CC"},
    {"SpecificCharacterSet": "ISO_IR 192", "SeriesDescription": "乳房 R CC"}, {"SpecificCharacterSet": "GB18030", "SeriesDescription": "右"},
    {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "SeriesDescription": "plain"}, {"SOPInstanceUID": "1.2.3"}, {"PatientID": ""},
    {"SpecificCharacterSet": "ISO_IR 144", "Manufacturer": "Завод"}, {"Manufacturer": " two  words "}, {"ViewPosition": ["MLO", "CC"]},
    {"ImagerPixelSpacing": [0.07, 0.07], "PixelSpacing": ""}, {"NumberOfFrames": "1 "},
])  # fmt: skip
@pytest.mark.parametrize("syntax", ["explicit", "implicit"])
def test_values_as_pydicom_gives_them(tmp_path, more, syntax):
    path = tmp_path / "a.dcm"
    path.write_bytes(full(syntax=syntax, **more))
    assert read_facts(path) == by_pydicom(path)
    assert is_read_alone(path.read_bytes()) == (more.get("SpecificCharacterSet") not in ("GB18030", "ISO_IR 144"))


def test_real_files_and_those_of_pydicom(tmp_path):
    """Of the real mammograms none needs pydicom; of all files some do, and all have the same facts."""
    real = sorted((REAL / "dicom").glob("*")) if (REAL / "dicom").exists() else []
    bundled = sorted(Path(pydicom.data.__file__).with_name("test_files").glob("*.dcm"))
    alone = set()
    for path in [*real, *bundled]:
        if not read.kind_of(path.read_bytes()[: read.HEAD_BYTES]):
            continue
        assert outcome(read_facts, path) == outcome(by_pydicom, path), path
        alone |= {path.name} if read._prefix_of(path) else set()
    assert {"MG1_J2KI", "jpeg2k_3d.dcm", "MG_Explicit_Little.dcm"} & {path.name for path in real} <= alone
    assert len(alone) > len(bundled) // 2 and "MR_small_implicit.dcm" in alone and "MR_small_bigendian.dcm" not in alone


def mutants(data: bytes, count: int, seed: int):
    """Headers cut short, and with bytes that flip, lengths that lie, elements that move: (what, bytes)."""
    rng = np.random.default_rng(seed)
    end = data.index(b"\xe0\x7f\x10\x00") + 12
    for number in range(count):
        place = int(rng.integers(132, end))
        changed = bytearray(data)
        match number % 5:
            case 0:
                del changed[place:]
            case 1:
                changed[place] ^= int(rng.integers(1, 256))
            case 2:
                changed[place] = int(rng.choice([0, 1, 0x20, 0x41, 0x5C, 0x7F, 0x80, 0xFF]))
            case 3:
                size = int(rng.integers(1, 12))
                changed[place : place + size] = rng.bytes(size)
            case 4:
                other = int(rng.integers(132, end))
                changed[place:place] = data[other : other + int(rng.integers(1, 40))]
        yield f"{seed}: {number} at {place}", bytes(changed)


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5, 6])
def test_a_damaged_header_comes_out_as_pydicom_reads_it_or_is_refused_as_pydicom_refuses_it(tmp_path, seed, caplog):
    """Each file is an injected fault: 6 x 80 of them."""
    caplog.set_level("CRITICAL", "pydicom")
    syntax = "explicit" if seed < 4 else "implicit"
    data = [full(syntax=syntax), full(True, syntax), mammogram_bytes(PIXELS, HEADER, syntax=syntax)][(seed - 1) % 3]
    path, alone, refused = tmp_path / "a.dcm", 0, 0
    for what, changed in mutants(data, 80, seed):
        path.write_bytes(changed)
        expected = outcome(by_pydicom, path) if read.kind_of(changed) == "dicom" else None
        if expected is not None:
            assert outcome(read_facts, path) == expected, what
            refused += isinstance(expected, str)
            alone += read._prefix_of(path) is not None
    # Both happen often, or the test would prove nothing.
    assert alone > 10 and refused > 5


def test_what_a_header_needs_is_enough(tmp_path):
    """Fetched so far and filled up with zeros, a file has the facts of the whole one."""
    files = [*originals(), full(), full(undefined=True), full(syntax="implicit")]
    files += [mammogram_bytes(PIXELS, replace(HEADER, voi_lut=np.arange(65536)), syntax="explicit")]
    files += [dicom_bytes(PIXELS, name, bits=12) for name in NATIVE]
    whole, beginning, saved = tmp_path / "a.dcm", tmp_path / "b.dcm", 0
    for data in files:
        needed, rounds = 400, 0
        while (more := min(bytes_needed(data[:needed], len(data)), len(data))) > needed:
            needed, rounds = more, rounds + 1
        assert rounds < 8
        whole.write_bytes(data)
        beginning.write_bytes(data[:more].ljust(len(data), b"\0"))
        assert outcome(read_facts, beginning) == outcome(read_facts, whole)
        saved += more < len(data)
    assert saved > len(files) // 3


def test_a_private_blob_of_unknown_kind_is_passed_over(tmp_path):
    for blob, alone in ((b"\1" * 4000, True), (struct.pack("<HHI", 0xFFFE, 0xE000, 3992) + b"\0" * 3992, False)):
        data = full()
        place = data.index(struct.pack("<HH", 0x0010, 0x0020))
        creator = struct.pack("<HH2sH", 0x0009, 0x0010, b"LO", 4) + b"ACME"
        path = tmp_path / "a.dcm"
        path.write_bytes(data[:place] + creator + struct.pack("<HH2sHI", 0x0009, 0x1001, b"UN", 0, len(blob)) + blob + data[place:])
        assert is_read_alone(path.read_bytes()) == alone and read_facts(path) == by_pydicom(path)


def test_a_private_sequence_without_a_vr_is_left_to_pydicom(tmp_path):
    """Sequences nested too deep are refused, wherever they lie."""
    inner = b""
    for _ in range(70):
        inner = struct.pack("<HHI", 0xFFFE, 0xE000, len(inner) + 8) + struct.pack("<HHI", 0x0008, 0x1140, len(inner)) + inner
    for tag, content, alone in (((0x0009, 0x1001), inner, False), ((0x0009, 0x1001), b"\1" * 4000, True), ((0x0008, 0x1140), inner, False)):
        data = full(syntax="implicit")
        place = data.index(struct.pack("<HH", 0x0010, 0x0020))
        path = tmp_path / "a.dcm"
        path.write_bytes(data[:place] + struct.pack("<HHI", *tag, len(content)) + content + data[place:])
        assert is_read_alone(path.read_bytes()) == alone
        assert outcome(read_facts, path) == outcome(by_pydicom, path)


def test_a_first_element_that_looks_as_if_it_had_a_vr_is_left_to_pydicom():
    data = full(syntax="implicit")
    (meta_bytes,) = struct.unpack_from("<I", data, 140)
    beginning, length = 144 + meta_bytes, int.from_bytes(b"CS", "little")
    element = struct.pack("<HHI", 0x0008, 0x0001, length) + bytes(length)
    assert is_read_alone(data)
    assert not is_read_alone(data[:beginning] + element + data[beginning:])
