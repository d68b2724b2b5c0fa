"""The header of a mammogram: what it says, and the DICOM modules that say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.2"
FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.2.1"
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


def fill_header(data: Dataset, header: MammographyHeader) -> None:
    """Write into `data` all but the pixels and what describes them."""
    for part in (_patient_and_study, _series_and_equipment, _image, _technique, _detector, _breast, _display):
        part(data, header)


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


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
