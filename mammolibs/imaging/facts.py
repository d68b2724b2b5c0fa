"""What a DICOM header says of its image, looked for where makers put it and never guessed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from pydicom.dataset import Dataset

from mammolibs.errors import BadFile
from mammolibs.imaging.codes import MODIFIER_CODES, VIEW_CODES, WORDS_KEPT, agreed, modifier_words, read_words, side_word, view_word
from mammolibs.imaging.files import is_dicomdir
from mammolibs.imaging.header import Elements, frame_group, items_of, numbers_of, text_of, value_of
from mammolibs.records import UNKNOWN, ImageFacts

# A frame beyond this is no mammogram on any detector; refusing it here keeps a lying header from asking for memory.
MAX_FRAME_PIXELS = 1 << 27
MAX_FRAMES = 1 << 16
# JPEG baseline and extended; JPEG-LS and JPEG 2000 in a lossy syntax may have been written without loss.
LOSSY_SYNTAXES = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")
SPACING_TOLERANCE = 0.01
# Magnification stands go to about 2.
MAX_MAGNIFICATION = 3.0
FOR_PROCESSING_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.2.1",
    "1.2.840.10008.5.1.4.1.1.1.3.1",
)
# Digital mammography, and the volumes of breast tomosynthesis, which no film gives.
DIGITAL_CLASSES = ("1.2.840.10008.5.1.4.1.1.1.2", "1.2.840.10008.5.1.4.1.1.1.2.1", "1.2.840.10008.5.1.4.1.1.13.1.3")
DETECTORS = {"FILM": "film", "DIRECT": "digital", "SCINTILLATOR": "digital", "STORAGE": "digital"}
FOR_PRESENTATION_CLASSES = ("1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.1.2", "1.2.840.10008.5.1.4.1.1.1.3")


def facts_of(path: str, dataset: Dataset | Elements, syntax: str) -> ImageFacts:
    """The facts of one DICOM file. syntax: transfer syntax UID.

    Raises BadFile where the header describes no image or one of an impossible size.
    """
    rows, columns = _count(dataset, "Rows"), _count(dataset, "Columns")
    if not rows or not columns:
        if is_dicomdir(path):
            raise BadFile(path, "is a list of a medium's files and no image", "give the folder that it lies in")
        kind = text_of(dataset, "Modality") or "this object"
        raise BadFile(path, f"holds no image (no Rows and Columns; {kind})", "give an image file")
    if rows * columns > MAX_FRAME_PIXELS:
        raise BadFile(path, f"says that a frame has {rows} x {columns} pixels, more than any mammogram", "check its header")
    allocated = _count(dataset, "BitsAllocated")
    stored = _count(dataset, "BitsStored") or allocated
    if not 1 <= stored <= allocated <= 64:
        raise BadFile(path, f"says {stored} bits stored in {allocated} allocated", "export it again from where it came from")
    laterality, view = side_and_view(dataset)
    return ImageFacts(
        source_file=path,
        transfer_syntax=syntax,
        rows=rows,
        columns=columns,
        frames=_frames(path, dataset),
        samples_per_pixel=_count(dataset, "SamplesPerPixel") or 1,
        bits_allocated=allocated,
        bits_stored=stored,
        signed=_count(dataset, "PixelRepresentation") == 1,
        photometric=text_of(dataset, "PhotometricInterpretation") or "MONOCHROME2",
        laterality=laterality,
        view=view,
        spacing_mm=spacing_mm(dataset),
        manufacturer=text_of(dataset, "Manufacturer"),
        modality=text_of(dataset, "Modality"),
        presentation_intent=_intent(dataset),
        sop_class_uid=text_of(dataset, "SOPClassUID"),
        sop_instance_uid=text_of(dataset, "SOPInstanceUID"),
        series_uid=text_of(dataset, "SeriesInstanceUID"),
        study_uid=text_of(dataset, "StudyInstanceUID"),
        patient_id=text_of(dataset, "PatientID"),
        patient_issuer=text_of(dataset, "IssuerOfPatientID"),
        age_years=_age(text_of(dataset, "PatientAge")),
        implant=_yes_no(dataset, "BreastImplantPresent"),
        burned_in=_yes_no(dataset, "BurnedInAnnotation"),
        magnification=magnification(dataset),
        view_modifiers=view_modifiers(dataset),
        orientation=tuple(_directions(dataset)),
        body_part=text_of(dataset, "BodyPartExamined"),
        lossy=_lossy(dataset, syntax),
        series_description=text_of(dataset, "SeriesDescription"),
        instance_number=next((int(n) for n in numbers_of(dataset, "InstanceNumber")), None),
        slice_mm=slice_mm(dataset),
        technology=technology(dataset),
    )


def side_and_view(dataset: Dataset | Elements) -> tuple[str, str]:
    """Laterality and view. Elements made for it come first and must agree; then the orientation; then free text."""
    side = view = ""
    for sides, views in _ranks(dataset):
        side, view = side or _said(sides), view or _said(views)
        if side and view:
            break
    return side or UNKNOWN, view or UNKNOWN


def _ranks(dataset: Dataset | Elements) -> Iterator[tuple[list[str], list[str]]]:
    """Sides and views that are said, from where one looks first to where one looks last."""
    anatomy = frame_group(dataset, "FrameAnatomySequence", 0) or Elements()
    side = [side_word(text_of(d, k)) for d, k in ((dataset, "ImageLaterality"), (dataset, "Laterality"), (anatomy, "FrameLaterality"))]
    yield side, [*_coded_views(dataset), view_word(text_of(dataset, "ViewPosition"))]
    by_orientation = from_orientation(_directions(dataset))
    yield [by_orientation[0]], [by_orientation[1]]
    words = [read_words(text_of(dataset, k)) for k in ("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription")]
    yield [w[0] for w in words], [w[1] for w in words]


def _said(values: list[str]) -> str:
    """Empty where nobody says anything; a contradiction is unknown."""
    return agreed(values) if any(v != UNKNOWN for v in values) else ""


def from_orientation(orientation) -> tuple[str, str]:
    """Laterality and view from Patient Orientation, where its two values tell them.

    The values are the directions of the rows (rightwards) and of the columns (downwards)
    in the patient (PS3.3 C.7.6.1.1.1). Rows of a breast run A or P in every view, so they
    tell neither. Columns that run purely R or L belong to a craniocaudal image, columns
    that run F and R or L to an oblique one; stored with the axilla up, as mammograms are,
    they run towards the other breast: R in a left one, L in a right one. Columns of F
    alone fit MLO, ML and LM of both sides and tell nothing.
    """
    values = [str(v).strip().upper() for v in orientation] if not isinstance(orientation, str) else []
    if len(values) != 2 or values[0] not in ("A", "P"):
        return UNKNOWN, UNKNOWN
    view = {1: "CC", 2: "MLO"}.get(len(values[1]))
    medial = set(values[1]) - {"F"}
    if view is None or len(medial) != 1 or not medial <= {"L", "R"}:
        return UNKNOWN, UNKNOWN
    return ("R" if medial == {"L"} else "L"), view


def spacing_mm(dataset: Dataset | Elements) -> float | None:
    """Millimetres per pixel, or None where nobody says or rows and columns differ by over 1 %.

    Imager Pixel Spacing comes first (PS3.3 C.8.7.10): it lies in the detector's plane, as
    every public data set uses it; the magnification is a fact of its own. Then Pixel
    Spacing, a film scanner's Nominal Scanned Pixel Spacing, and the functional groups.
    """
    for pair in _spacings(dataset):
        if len(pair) == 2 and min(pair) > 0:
            return sum(pair) / 2 if max(pair) <= (1 + SPACING_TOLERANCE) * min(pair) else None
    return None


def _spacings(dataset: Dataset | Elements) -> Iterator[tuple[float, ...]]:
    for keyword in ("ImagerPixelSpacing", "PixelSpacing", "NominalScannedPixelSpacing"):
        yield numbers_of(dataset, keyword)
    if measures := frame_group(dataset, "PixelMeasuresSequence", 0):
        yield numbers_of(measures, "PixelSpacing")


def magnification(dataset: Dataset | Elements) -> float | None:
    """Estimated Radiographic Magnification Factor: detector plane over breast; None where it is absent or impossible."""
    factor = numbers_of(dataset, "EstimatedRadiographicMagnificationFactor")
    return factor[0] if factor and 1.0 <= factor[0] <= MAX_MAGNIFICATION else None


def technology(dataset: Dataset | Elements) -> str:
    """ "film" or "digital"; empty where the file does not say.

    Detector Type comes first (PS3.3 C.8.11.4: FILM is film that was scanned). Conversion Type DF and a scanner's spacing are of
    digitised film (C.8.6.1, C.8.6.2); then an object class of digital mammography speaks for itself.
    """
    if said := DETECTORS.get(text_of(dataset, "DetectorType").upper()):
        return said
    if text_of(dataset, "ConversionType").upper() == "DF" or numbers_of(dataset, "NominalScannedPixelSpacing"):
        return "film"
    return "digital" if text_of(dataset, "SOPClassUID") in DIGITAL_CLASSES else ""


def slice_mm(dataset: Dataset | Elements) -> float | None:
    """Place of a slice along its normal in mm: Image Position (Patient) on the normal of Image Orientation (PS3.3 C.7.6.2.1.1).

    None where the file does not say both.
    """
    position, directions = numbers_of(dataset, "ImagePositionPatient"), numbers_of(dataset, "ImageOrientationPatient")
    if len(position) != 3 or len(directions) != 6:
        return None
    (rx, ry, rz), (cx, cy, cz) = directions[:3], directions[3:]
    normal = (ry * cz - rz * cy, rz * cx - rx * cz, rx * cy - ry * cx)
    return sum(p * n for p, n in zip(position, normal, strict=True))


def view_modifiers(dataset: Dataset | Elements) -> tuple[str, ...]:
    """Those of spot, magnification, implant displaced and flat field that a code (PS3.16 CID 4015), View Position or a description names, sorted."""
    coded = (modifier for view in _views(dataset) for modifier in items_of(view, "ViewModifierCodeSequence"))
    found = {MODIFIER_CODES.get(text_of(modifier, "CodeValue"), "") for modifier in coded}
    for keyword in ("ViewPosition", "SeriesDescription", "ProtocolName"):
        found.update(modifier_words(text_of(dataset, keyword)))
    return tuple(sorted(found - {""}))


def _views(dataset: Dataset | Elements) -> list[Dataset | Elements]:
    shared = items_of(dataset, "SharedFunctionalGroupsSequence")[:1]
    return [item for d in (dataset, *shared) for item in items_of(d, "ViewCodeSequence")]


def _coded_views(dataset: Dataset | Elements) -> list[str]:
    return [VIEW_CODES.get(text_of(item, "CodeValue"), UNKNOWN) for item in _views(dataset)]


def _directions(dataset: Dataset | Elements) -> list[str]:
    """The two values of Patient Orientation; none where it is one text."""
    orientation = value_of(dataset, "PatientOrientation", ())
    return [] if isinstance(orientation, str) else [str(v).strip().upper() for v in orientation]


def _lossy(dataset: Dataset | Elements, syntax: str) -> bool | None:
    """Whether the pixels have lost something on their way: by the element (PS3.3 C.7.6.1.1.5), else by a syntax that cannot but lose."""
    said = {"00": False, "01": True}.get(text_of(dataset, "LossyImageCompression"))
    return True if syntax in LOSSY_SYNTAXES else said


def _count(dataset: Dataset | Elements, keyword: str) -> int:
    numbers = numbers_of(dataset, keyword)
    return int(numbers[0]) if numbers and numbers[0] >= 0 else 0


def _frames(path: str, dataset: Dataset | Elements) -> int:
    frames = _count(dataset, "NumberOfFrames") or 1
    if frames > MAX_FRAMES:
        raise BadFile(path, f"says that it has {frames} frames", "check its header")
    return frames


def _intent(dataset: Dataset | Elements) -> str:
    said = text_of(dataset, "PresentationIntentType").upper()
    sop_class = text_of(dataset, "SOPClassUID")
    if not said and sop_class in FOR_PROCESSING_CLASSES:
        return "FOR PROCESSING"
    return "FOR PRESENTATION" if not said and sop_class in FOR_PRESENTATION_CLASSES else said


@lru_cache(WORDS_KEPT)
def _age(text: str) -> int | None:
    match = re.fullmatch(r"(\d{1,3})([YMWD])", text.upper())
    return int(int(match[1]) / {"Y": 1, "M": 12, "W": 52.18, "D": 365.25}[match[2]]) if match else None


def _yes_no(dataset: Dataset | Elements, keyword: str) -> bool | None:
    return {"YES": True, "NO": False}.get(text_of(dataset, keyword).upper())
