"""DICOM images without what tells whose they are, by the Basic Profile of DICOM PS3.15 Annex E.

Its table decides (`deidentify_table.py`); three options of it are taken: descriptions cleaned
(those that tell side and view become these words, others go), dates moved by a constant per patient
(times of day go), age (90 at most) and sex kept. Beyond the profile, an
element that the table does not name keeps its value only where that cannot be free text: no private and no
unknown element, no text but maker, model and software, no UID but the standard's own and pseudonyms. A
code keeps its value; what it means in words is written anew. Of a set that is published already
(`PublishedIds`) patient id, UIDs and descriptions of series are kept: they are what its label tables go by.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.datadict import dictionary_has_tag, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from mammolibs.errors import BadFile
from mammolibs.imaging.codes import MODIFIER_CODES, VIEW_CODES, modifier_words, read_words
from mammolibs.imaging.deidentify_frames import within_frames, without_notes
from mammolibs.imaging.deidentify_key import Pseudonyms
from mammolibs.imaging.deidentify_table import EDITION, profile_actions
from mammolibs.imaging.dicom_write import IMPLEMENTATION_UID
from mammolibs.imaging.facts import facts_of
from mammolibs.imaging.guard import quiet, reading
from mammolibs.imaging.header import DicomHeader, open_header, text_of
from mammolibs.records import UNKNOWN, ImageFacts

OLDEST = 89
STANDARD_UIDS = "1.2.840.10008."
# Codes of PS3.16 CID 7050.
METHODS = {
    "113100": "Basic Application Confidentiality Profile",
    "113105": "Clean Descriptors Option",
    "113107": "Retain Longitudinal Temporal Information Modified Dates Option",
    "113108": "Retain Patient Characteristics Option",
}
# In the place of cleaned descriptions, where ids are kept.
PUBLISHED_METHODS = {code: METHODS[code] for code in METHODS if code != "113105"} | {"113110": "Retain UIDs Option"}
METHOD_NOTES = ("dates moved, times removed", "age (90Y at most), sex, maker and model kept")
PUBLISHED_NOTE = "patient id and series descriptions kept"
DATES = (
    "StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "AcquisitionDateTime", "StartAcquisitionDateTime",
    "EndAcquisitionDateTime", "FrameAcquisitionDateTime", "FrameReferenceDateTime",
)  # fmt: skip
DESCRIPTIONS = ("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription")
MAKER = ("Manufacturer", "ManufacturerModelName", "SoftwareVersions")
# Text by its VR, a fixed word by its use (PS3.3 C.11.1, C.11.2).
TERMS = ("RescaleType", "ModalityLUTType")
NUMBERS = {"DS", "IS", "US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "AT", "US or SS"}
TEXTS = {"LO", "LT", "SH", "ST", "UC", "UT"}
REMOVED = "REMOVED"
PIXELS = {"PixelData", "FloatPixelData", "DoubleFloatPixelData"}
TABLES = {"LUTData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"} | {
    f"{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")
}
# How the codes of each scheme look: SNOMED CT, its older names (SNOMED RT), DICOM's own, units.
SCHEMES = {"SCT": r"\d{6,18}", "DCM": r"\d{6}", "UCUM": r"\S{1,6}"} | dict.fromkeys(("SRT", "SNM3", "99SDM"), r"[A-Z]-[0-9A-FX]{4,6}")
CURVES, OVERLAYS = 0x5000, 0x6000
OVERLAY_BIT, OVERLAY_DATA = 0x0102, 0x3000


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Whose image a file is, told by pseudonyms. person: whom the dates go by. sop_uid: the new SOP Instance UID.
    object_name: PATIENT/SOP_INSTANCE_UID.dcm, both pseudonyms, whatever the file is called."""

    person: str
    patient: str
    sop_uid: str

    @property
    def object_name(self) -> str:
        return f"{self.patient}/{self.sop_uid}.dcm"


@dataclass(frozen=True, kw_only=True)
class Deidentified:
    """A file that tells nobody whose it is. data: the whole DICOM file. frames: how many images it holds."""

    identity: Identity
    data: bytes
    frames: int


def identify(path: str | os.PathLike, pseudonyms: Pseudonyms) -> Identity:
    """What an image file will be called; the header alone is read. Raises BadFile where it is no DICOM image."""
    with open_header(path) as header, quiet():
        facts_of(header.path, header.dataset, header.syntax)
        return _identity(header, pseudonyms)


def deidentify_file(path: str | os.PathLike, pseudonyms: Pseudonyms) -> Deidentified:
    """A DICOM image file de-identified; its pixels stay as they are stored, bit for bit. The same file and key give the same bytes.

    Text in the pixels is not looked for here: see `burned_in_letters`.

    Raises BadFile where it is no DICOM image, and where its header says that text is burned into
    the pixels or that an overlay lies in their unused bits.
    """
    with open_header(path) as header, quiet():
        facts, identity = facts_of(header.path, header.dataset, header.syntax), _identity(header, pseudonyms)
        _refuse_text(header, facts)
        syntax = UID(header.syntax)
    with reading(path), quiet():
        read = pydicom.dcmread(path, force=True)
        data = _Cleaner(pseudonyms, identity, facts, syntax).cleaned(read)
        _tell(data, identity, read, pseudonyms.keeps_ids)
        return Deidentified(identity=identity, data=_file_bytes(data, syntax), frames=facts.frames)


def _identity(header: DicomHeader, pseudonyms: Pseudonyms) -> Identity:
    """Without a patient id a study, and without a study a file, stands for a person of its own."""
    dataset = header.dataset
    person, study, sop = (text_of(dataset, k) for k in ("PatientID", "StudyInstanceUID", "SOPInstanceUID"))
    sop = sop or f"file {hashlib.sha256(Path(header.path).read_bytes()).hexdigest()}"
    person = pseudonyms.person(person, text_of(dataset, "IssuerOfPatientID")) if person else f"study {study}" if study else sop
    return Identity(person=person, patient=pseudonyms.text("patient", person), sop_uid=pseudonyms.uid(sop))


def _refuse_text(header: DicomHeader, facts: ImageFacts) -> None:
    remedy = "blank it with another program first, or leave the file out"
    if facts.burned_in:
        raise BadFile(header.path, "says that text is burned into its pixels (BurnedInAnnotation YES)", remedy)
    for group in range(OVERLAYS, OVERLAYS + 0x20, 2):
        bit = header.dataset.get((group, OVERLAY_BIT))
        if bit is not None and bit.value and (group, OVERLAY_DATA) not in header.dataset:
            raise BadFile(header.path, "holds an overlay in the unused bits of its pixels", remedy)


class _Cleaner:
    """One file's elements, one by one, into a data set that holds nothing else."""

    def __init__(self, pseudonyms: Pseudonyms, identity: Identity, facts: ImageFacts, syntax: UID):
        self.pseudonyms, self.identity, self.facts, self.syntax = pseudonyms, identity, facts, syntax
        self.actions = profile_actions()
        self.own: dict[str, Callable[[str], str]] = {
            "PatientBirthDate": lambda _: "",
            "PatientSex": lambda text: text if text in ("M", "F", "O") else "",
            "PatientAge": _age,
            "AccessionNumber": lambda text: pseudonyms.text("accession", text),
            "DeviceSerialNumber": lambda text: pseudonyms.text("device", text),
            "BurnedInAnnotation": lambda text: text if text == "NO" else "",
            **{keyword: lambda text: pseudonyms.date(identity.person, text) for keyword in DATES},
            **dict.fromkeys(DESCRIPTIONS, str if pseudonyms.keeps_ids else _words),
        }

    def cleaned(self, dataset: Dataset) -> Dataset:
        clean = Dataset()
        for tag in sorted(dataset.keys()):
            if tag.is_private or tag.element == 0 or tag.group & 0xFF00 in (CURVES, OVERLAYS) or not dictionary_has_tag(tag):
                continue
            try:
                element = self._element(dataset[tag])
            except (RecursionError, BadFile):
                raise
            except Exception:  # what cannot be understood cannot be vouched for
                continue
            if element is not None:
                clean.add(element)
        return clean

    def _element(self, element: DataElement) -> DataElement | None:
        keyword, action = keyword_for_tag(element.tag), self.actions.get(int(element.tag), "")
        if keyword in self.own:
            text = self.own[keyword](str(element.value or ""))
            return _with(element, text) if text or "Z" in action else None
        if action == "U" or (element.VR == "UI" and action in ("", "D")):
            return _with(element, self._uids(element, always=action != ""))
        if action == "X/Z/U*" or (element.VR == "SQ" and not action):
            return _with(element, Sequence(item for item in map(self._item, element.value) if item is not None))
        if action in ("Z", "X/Z"):
            return _with(element, Sequence() if element.VR == "SQ" else None)
        if action in ("D", "Z/D"):
            return self._dummy(element)
        return None if action else self._unnamed(element, keyword)

    def _item(self, item: Dataset) -> Dataset | None:
        """An item of a sequence; None for a code that no scheme known here has."""
        clean = self.cleaned(item)
        if "CodeValue" in item:
            value, scheme = text_of(item, "CodeValue"), text_of(item, "CodingSchemeDesignator")
            if scheme not in SCHEMES or not re.fullmatch(SCHEMES[scheme], value):
                return None
            clean.CodeValue, clean.CodingSchemeDesignator = value, scheme
            clean.CodeMeaning = VIEW_CODES.get(value) or MODIFIER_CODES.get(value) or value
        return clean

    def _uids(self, element: DataElement, *, always: bool) -> list[str]:
        values = element.value if isinstance(element.value, (list, pydicom.multival.MultiValue)) else [element.value]
        return [v if v.startswith(STANDARD_UIDS) and not always else self.pseudonyms.uid(v) for v in map(str, values)]

    def _dummy(self, element: DataElement) -> DataElement | None:
        """Not empty: a date moved, a time of midnight, a text's pseudonym. Sequences and bytes go: no image needs one of these."""
        if element.VR in ("DA", "DT"):
            return _with(element, self.pseudonyms.date(self.identity.person, str(element.value)) or "19000101")
        if element.VR == "TM":
            return _with(element, "000000")
        if element.VR in ("SQ", "OB", "UN", "UR", "AS"):
            return None
        return _with(element, self.pseudonyms.text("dummy", str(element.value)))

    def _unnamed(self, element: DataElement, keyword: str) -> DataElement | None:
        """What the table does not name: kept where it can hold no text, or none but what makers write about their machine.

        Other text becomes a word, since it may be one that its IOD wants.
        """
        if keyword in PIXELS:
            value = without_notes(element.value, self.facts) if self.syntax.is_encapsulated else within_frames(element.value, self.facts)
            return _with(element, value)
        if element.VR in NUMBERS or keyword in (*MAKER, *TABLES):
            return element
        if element.VR in TEXTS and keyword not in TERMS:
            return _with(element, REMOVED if element.value else None)
        if element.VR != "CS" and keyword not in TERMS:
            return None
        values = element.value if isinstance(element.value, (list, pydicom.multival.MultiValue)) else [element.value]
        return element if all(re.fullmatch(r"[A-Z0-9_ ]{0,16}", str(v or "")) for v in values) else None


def _with(element: DataElement, value: Any) -> DataElement:
    made = DataElement(element.tag, element.VR, value)
    made.is_undefined_length = element.is_undefined_length
    return made


def _age(text: str) -> str:
    match = re.fullmatch(r"(\d{3})([DWMY])", text.strip().upper())
    if match is None:
        return ""
    return f"{OLDEST + 1:03d}Y" if match[2] == "Y" and int(match[1]) > OLDEST else match[0]


def _words(text: str) -> str:
    """Side, view and modifiers that a description names, in our words; nothing else of it."""
    side, view = read_words(text)
    written = {"magnification": "MAG", "spot": "SPOT", "implant displaced": f"{view}ID", "flat field": "FLATFIELD"}
    return " ".join([word for word in (side, view) if word != UNKNOWN] + [written[word] for word in dict.fromkeys(modifier_words(text))])


def _tell(data: Dataset, identity: Identity, read: Dataset, keeps_ids: bool) -> None:
    """Who it is by pseudonym or published id, and how it was de-identified."""
    has_id = bool(text_of(read, "PatientID"))
    data.PatientID = data.PatientName = identity.patient if has_id else ""
    if "PatientAge" not in data and (age := _years(text_of(read, "PatientBirthDate"), text_of(read, "StudyDate"))):
        data.PatientAge = _age(age)
    data.SOPInstanceUID = identity.sop_uid
    data.SpecificCharacterSet = "ISO_IR 192"
    data.PatientIdentityRemoved = "YES"
    data.LongitudinalTemporalInformationModified = "MODIFIED"
    notes, methods = ((*METHOD_NOTES, PUBLISHED_NOTE), PUBLISHED_METHODS) if keeps_ids else (METHOD_NOTES, METHODS)
    data.DeidentificationMethod = [f"mammolibs, DICOM {EDITION} Basic Profile", *notes]
    data.DeidentificationMethodCodeSequence = Sequence(_method(value, meaning) for value, meaning in methods.items())


def _years(birth: str, study: str) -> str:
    if not (re.fullmatch(r"\d{8}", birth) and re.fullmatch(r"\d{8}", study) and birth <= study):
        return ""
    return f"{int(study[:4]) - int(birth[:4]) - (study[4:] < birth[4:]):03d}Y"


def _method(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


def _file_bytes(data: Dataset, syntax: UID) -> bytes:
    """A file of its own: neither the old preamble nor the old file meta information."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = text_of(data, "SOPClassUID")
    meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    meta.ImplementationVersionName = "MAMMOLIBS"
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, FileDataset(None, data, file_meta=meta, preamble=b"\0" * 128), enforce_file_format=True, overwrite=True)
    return buffer.getvalue()
