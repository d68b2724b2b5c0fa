"""Writes mammograms as DICOM files that a validator accepts.

The header says what it is given and nothing else, so that a caller can also leave out
or contradict on purpose what makers leave out or contradict. All identifiers and dates
come from the caller: the same arguments give the same bytes.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

from mammolibs.errors import BadConfig
from mammolibs.storage import write_atomic

FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.2"
FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.2.1"
IMPLEMENTATION_UID = "2.25.243157012489621375098213480712643298731"
TRANSFER_SYNTAXES = {
    "implicit": "1.2.840.10008.1.2",
    "explicit": "1.2.840.10008.1.2.1",
    "big": "1.2.840.10008.1.2.2",
    "deflated": "1.2.840.10008.1.2.1.99",
    "jpeg-lossless": "1.2.840.10008.1.2.4.57",
    "jpeg-ls": "1.2.840.10008.1.2.4.80",
    "jpeg2000": "1.2.840.10008.1.2.4.90",
}
_VIEW_CODES = {
    "CC": ("399162004", "R-10242", "cranio-caudal"),
    "MLO": ("399368009", "R-10226", "medio-lateral oblique"),
}
_ORIENTATION = {("L", "CC"): ["A", "R"], ("R", "CC"): ["P", "L"], ("L", "MLO"): ["A", "FR"], ("R", "MLO"): ["P", "FL"]}


@dataclass(frozen=True, kw_only=True)
class MammographyHeader:
    """What the header of one mammogram says. Dates are YYYYMMDD, times HHMMSS, angles degrees.

    spacing_mm: None leaves the imager pixel spacing out. windows: (centre, width, name)
    each, written in this order. voi_lut: entries of a VOI LUT sequence, uint16, over the
    whole stored range. view_position, view_code: whether these attributes are written.
    old_codes: SNOMED RT codes in place of SNOMED CT. padding: the value that means "no image here".
    """

    patient_id: str
    patient_name: str
    birth_date: str
    age_years: int
    study_uid: str
    series_uid: str
    instance_uid: str
    study_id: str
    accession: str
    date: str
    time: str
    series_number: int
    instance_number: int
    laterality: str
    view: str
    manufacturer: str
    model: str
    station: str
    software: str
    serial: str
    institution: str = ""
    series_description: str = ""
    intent: str = "FOR PRESENTATION"
    spacing_mm: float | None = None
    detector_size_mm: tuple[float, float] | None = None
    photometric: str = "MONOCHROME2"
    bits_stored: int = 12
    signed: bool = False
    windows: tuple[tuple[float, float, str], ...] = ()
    voi_function: str | None = None
    voi_lut: Any = None
    padding: int | None = None
    view_position: bool = True
    view_code: bool = True
    old_codes: bool = False
    implant: bool = False
    burned_in: bool = False
    kvp: float = 29.0
    exposure_mas: int = 90
    exposure_time_ms: int = 900
    anode: str = "TUNGSTEN"
    filter_material: str = "RHODIUM"
    thickness_mm: float = 55.0
    force_n: float = 100.0
    angle: float = 0.0
    source_uid: str | None = None


def write_mammogram(path: str | Path, pixels: np.ndarray, header: MammographyHeader, *, syntax: str = "explicit") -> None:
    """Write one mammogram as DICOM, whole or not at all.

    pixels: H W, uint8, uint16 or int16 stored values, within header.bits_stored.
    syntax: one of TRANSFER_SYNTAXES; the compressed ones are all lossless.

    Raises BadConfig for a syntax it cannot write, BadFile where the file cannot be written.
    """
    write_atomic(path, mammogram_bytes(pixels, header, syntax=syntax))


def mammogram_bytes(pixels: np.ndarray, header: MammographyHeader, *, syntax: str = "explicit") -> bytes:
    """One DICOM file as bytes; arguments as for write_mammogram."""
    if syntax not in TRANSFER_SYNTAXES:
        raise BadConfig(f"transfer syntax {syntax!r} is not one of {', '.join(TRANSFER_SYNTAXES)}")
    data = FileDataset(None, {}, file_meta=_file_meta(header, TRANSFER_SYNTAXES[syntax]), preamble=b"\0" * 128)
    for part in (_patient_and_study, _series_and_equipment, _image, _technique, _detector, _breast, _display):
        part(data, header)
    _pixels(data, pixels, header, syntax)
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, data, enforce_file_format=True, overwrite=True)
    return buffer.getvalue()


def _file_meta(header: MammographyHeader, syntax_uid: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = FOR_PRESENTATION if header.intent == "FOR PRESENTATION" else FOR_PROCESSING
    meta.MediaStorageSOPInstanceUID = header.instance_uid
    meta.TransferSyntaxUID = syntax_uid
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    meta.ImplementationVersionName = "MAMMOLIBS"
    return meta


def _patient_and_study(data: Dataset, header: MammographyHeader) -> None:
    data.SpecificCharacterSet = "ISO_IR 100"
    data.PatientName = header.patient_name
    data.PatientID = header.patient_id
    data.PatientBirthDate = header.birth_date
    data.PatientSex = "F"
    data.PatientAge = f"{header.age_years:03d}Y"
    data.PatientIdentityRemoved = "YES"
    data.DeidentificationMethod = "Synthetic image, no person"
    data.StudyInstanceUID = header.study_uid
    data.StudyDate = header.date
    data.StudyTime = header.time
    data.StudyID = header.study_id
    data.AccessionNumber = header.accession
    data.ReferringPhysicianName = ""
    data.StudyDescription = "MAMMOGRAPHY SCREENING BILATERAL"


def _series_and_equipment(data: Dataset, header: MammographyHeader) -> None:
    data.Modality = "MG"
    data.SeriesInstanceUID = header.series_uid
    data.SeriesNumber = header.series_number
    data.SeriesDate = header.date
    data.SeriesTime = header.time
    data.SeriesDescription = header.series_description or None
    data.BodyPartExamined = "BREAST"
    data.PresentationIntentType = header.intent
    data.Manufacturer = header.manufacturer
    data.ManufacturerModelName = header.model
    data.InstitutionName = header.institution
    data.StationName = header.station
    data.DeviceSerialNumber = header.serial
    data.SoftwareVersions = header.software


def _image(data: Dataset, header: MammographyHeader) -> None:
    data.SOPClassUID = FOR_PRESENTATION if header.intent == "FOR PRESENTATION" else FOR_PROCESSING
    data.SOPInstanceUID = header.instance_uid
    data.InstanceNumber = header.instance_number
    derived = header.source_uid is not None
    data.ImageType = ["DERIVED" if derived else "ORIGINAL", "PRIMARY"]
    if derived:
        source = Dataset()
        source.ReferencedSOPClassUID = FOR_PROCESSING
        source.ReferencedSOPInstanceUID = header.source_uid
        source.PurposeOfReferenceCodeSequence = Sequence([_code("121322", "DCM", "Source image for image processing operation")])
        data.SourceImageSequence = Sequence([source])
        data.DerivationDescription = "Display processing"
    data.ContentDate = data.AcquisitionDate = header.date
    data.ContentTime = data.AcquisitionTime = header.time
    data.AcquisitionNumber = header.instance_number
    data.PatientOrientation = _ORIENTATION[header.laterality, header.view]
    data.BurnedInAnnotation = "YES" if header.burned_in else "NO"
    data.LossyImageCompression = "00"
    data.QualityControlImage = "NO"
    data.AcquisitionContextSequence = Sequence([])


def _technique(data: Dataset, header: MammographyHeader) -> None:
    data.KVP = f"{header.kvp:g}"
    data.Exposure = header.exposure_mas
    data.ExposureTime = header.exposure_time_ms
    data.XRayTubeCurrent = round(header.exposure_mas * 1000 / header.exposure_time_ms)
    data.AnodeTargetMaterial = header.anode
    data.FilterMaterial = header.filter_material
    data.BodyPartThickness = f"{header.thickness_mm:g}"
    data.CompressionForce = f"{header.force_n:g}"
    data.Grid = ["RECIPROCATING", "FOCUSED"]
    data.DistanceSourceToDetector = "660"
    data.DistanceSourceToPatient = "640"
    data.FocalSpots = "0.3"


def _detector(data: Dataset, header: MammographyHeader) -> None:
    data.DetectorType = "DIRECT"
    data.DetectorConfiguration = "AREA"
    data.DetectorID = header.serial
    data.DetectorDescription = f"{header.model} detector"
    data.DetectorTemperature = "28"
    data.FieldOfViewShape = "RECTANGLE"
    if header.detector_size_mm is not None:
        data.FieldOfViewDimensions = [round(side) for side in header.detector_size_mm]
    data.FieldOfViewOrigin = ["0", "0"]
    data.FieldOfViewRotation = "0"
    data.FieldOfViewHorizontalFlip = "NO"
    if header.spacing_mm is not None:
        data.ImagerPixelSpacing = [f"{header.spacing_mm:.6g}"] * 2


def _breast(data: Dataset, header: MammographyHeader) -> None:
    scheme = "SRT" if header.old_codes else "SCT"
    data.ImageLaterality = header.laterality
    data.OrganExposed = "BREAST"
    data.AnatomicRegionSequence = Sequence([_code("T-04000" if header.old_codes else "76752008", scheme, "Breast")])
    data.PositionerType = "MAMMOGRAPHIC"
    data.PositionerPrimaryAngle = f"{header.angle:g}"
    data.BreastImplantPresent = "YES" if header.implant else "NO"
    data.PartialView = "NO"
    if header.view_position:
        data.ViewPosition = header.view
    if header.view_code:
        new, old, meaning = _VIEW_CODES[header.view]
        view = _code(old if header.old_codes else new, scheme, meaning)
        view.ViewModifierCodeSequence = Sequence([])
        data.ViewCodeSequence = Sequence([view])


def _display(data: Dataset, header: MammographyHeader) -> None:
    processing = header.intent != "FOR PRESENTATION"
    data.PixelIntensityRelationship = "LIN" if processing else "LOG"
    data.PixelIntensityRelationshipSign = 1 if processing or header.photometric == "MONOCHROME1" else -1
    data.RescaleIntercept, data.RescaleSlope, data.RescaleType = "0", "1", "US"
    data.PresentationLUTShape = "INVERSE" if header.photometric == "MONOCHROME1" else "IDENTITY"
    if header.windows:
        data.WindowCenter = [f"{centre:g}" for centre, _, _ in header.windows]
        data.WindowWidth = [f"{width:g}" for _, width, _ in header.windows]
        data.WindowCenterWidthExplanation = [name for _, _, name in header.windows]
        if header.voi_function is not None:
            data.VOILUTFunction = header.voi_function
    if header.voi_lut is not None:
        data.VOILUTSequence = Sequence([_lut(np.asarray(header.voi_lut, np.uint16), header)])


def _lut(entries: np.ndarray, header: MammographyHeader) -> Dataset:
    item = Dataset()
    first = -(1 << (header.bits_stored - 1)) if header.signed else 0
    item.add_new("LUTDescriptor", "SS" if header.signed else "US", [len(entries) % 65536, first, 16])
    item.LUTExplanation = "NORMAL"
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return item


def _pixels(data: Dataset, pixels: np.ndarray, header: MammographyHeader, syntax: str) -> None:
    allocated = 8 if pixels.dtype.itemsize == 1 else 16
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = header.photometric
    data.Rows, data.Columns = pixels.shape
    data.BitsAllocated = allocated
    data.BitsStored = header.bits_stored
    data.HighBit = header.bits_stored - 1
    data.PixelRepresentation = int(header.signed)
    if header.padding is not None:
        data.add_new("PixelPaddingValue", "SS" if header.signed else "US", header.padding)
    encoded = _encode(pixels, header, syntax)
    if encoded is not None:
        data.add_new("PixelData", "OB", encapsulate([encoded]))
        data["PixelData"].is_undefined_length = True
        return
    order = ">" if syntax == "big" else "<"
    raw = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    data.add_new("PixelData", "OB" if allocated == 8 and syntax != "implicit" else "OW", raw + b"\0" * (len(raw) % 2))


def _encode(pixels: np.ndarray, header: MammographyHeader, syntax: str) -> bytes | None:
    """One frame in a compressed syntax, None for the others."""
    import imagecodecs

    if syntax == "jpeg-lossless":
        return imagecodecs.ljpeg_encode(np.ascontiguousarray(pixels.view(np.uint16)), bitspersample=max(header.bits_stored, 8))
    if syntax == "jpeg-ls":
        return imagecodecs.jpegls_encode(pixels.view(np.uint16))
    if syntax == "jpeg2000":
        return imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="j2k", reversible=True, bitspersample=header.bits_stored, numthreads=1)
    return None


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
