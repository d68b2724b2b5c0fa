"""Small folders with the layouts of the data sets whose images are slices of volumes."""

from __future__ import annotations

import csv
import functools
import tempfile
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from tests.catalog.trees import hash_number, write_dicom

TOMOSYNTHESIS = "1.2.840.10008.5.1.4.1.1.13.1.3"
MR = "1.2.840.10008.5.1.4.1.1.4"
DBT = "Breast-Cancer-Screening-DBT"
DUKE = "Duke-Breast-Cancer-MRI"
UID_ROOT = "1.2.826.0.1.3680043.8.498."
DBT_LABELS = ("Normal", "Actionable", "Benign", "Cancer")
# Two fashions in which scanners name the series before contrast, after it, and later.
SERIES = (("ax dyn pre", "ax dyn 1st pass", "ax dyn 2nd pass"), ("ax 3d dyn", "Ph1/ax 3d dyn", "Ph2/ax 3d dyn"))
FIRST_PASS = 1
BOX_COLUMNS = ["Patient ID", "Start Row", "End Row", "Start Column", "End Column", "Start Slice", "End Slice"]
CLINICAL_COLUMNS = [
    *("Patient ID", "Days to MRI (From the Date of Diagnosis)", "Manufacturer", "Date of Birth (Days)", "Bilateral Information"),
    *("Multicentric/Multifocal", "Contralateral Breast Involvement", "Shape", "Shape"),
]


def nested(**items) -> Sequence:
    """A sequence of one item."""
    item = Dataset()
    for keyword, value in items.items():
        setattr(item, keyword, value)
    return Sequence([item])


def write_volume(path: Path, pixels: np.ndarray, **attributes) -> Path:
    """A multi-frame file with these stored values, uint16 N H W of 10 bits, and the window in its functional groups."""
    window = nested(WindowCenter="512", WindowWidth="512")
    write_dicom(
        path, *pixels.shape[1:], NumberOfFrames=len(pixels), BitsStored=10, HighBit=9, SOPClassUID=TOMOSYNTHESIS,
        Manufacturer="HOLOGIC, Inc.",
        # The header says the same of every volume, whichever breast it is and whichever way it lies.
        PatientOrientation=["P", "L"],
        SharedFunctionalGroupsSequence=nested(FrameAnatomySequence=nested(FrameLaterality="L"), FrameVOILUTSequence=window), **attributes,
    )  # fmt: skip
    data = dcmread(path)
    data.PixelData = pixels.astype("<u2").tobytes()
    data.save_as(path)
    return path


def dbt_view(patient: str, study: str, view: str, *, label="Normal", boxes=(), split="train", pixels=None) -> dict:
    """What the tables and the disk hold of one view. label: a column of the label table, several joined by "+", or None for no row."""
    uid = f"{UID_ROOT}{hash_number(patient + study)}"
    series = f"{uid}.{hash_number(view)}"
    folder = f"01-01-2000-{study}-MAMMO SCREENING DIGITAL BILATERAL-09610/{hash_number(view) % 10**5}.000000-NA-05992"
    return {
        "key": (patient, study, view), "label": label, "boxes": boxes, "split": split,
        "classic": f"{DBT}/{patient}/{uid}/{series}/1-1.dcm", "descriptive": f"{DBT}/{patient}/{folder}/1-1.dcm",
        "pixels": np.zeros((8, 6, 4), np.uint16) if pixels is None else pixels,
    }  # fmt: skip


def dbt_box(place: int, x: int, y: int, width: int, height: int, *, kind="cancer", distortion=0, slices=8) -> tuple:
    """Slice to VolumeSlices of a row of the box table."""
    return (0, place, x, y, width, height, kind, distortion, slices)


def write_dbt(root: Path, views: list[dict], *, layout: str = "classic", labels: str = "-v2", boxes: str = "-v2") -> None:
    """The nine tables (of the splits that have views) and the volumes. layout: classic, descriptive or idc; labels, boxes: endings."""
    root.mkdir(parents=True, exist_ok=True)
    for split in {view["split"] for view in views}:
        some = [view for view in views if view["split"] == split]
        rows = {
            f"file-paths-{split}-v2": [("descriptive_path", "classic_path"), *((*v["key"], v["descriptive"], v["classic"]) for v in some)],
            f"labels-{split}{labels}": [
                DBT_LABELS,
                *((*v["key"], *(int(name in v["label"].split("+")) for name in DBT_LABELS)) for v in some if v["label"] is not None),
            ],
            f"boxes-{split}{boxes}": [
                ("Subject", "Slice", "X", "Y", "Width", "Height", "Class", "AD", "VolumeSlices"),
                *((*v["key"], *box) for v in some for box in v["boxes"]),
            ],
        }  # fmt: skip
        for name, (columns, *records) in rows.items():
            with open(root / f"BCS-DBT-{name}.csv", "w", newline="") as file:
                csv.writer(file).writerows([("PatientID", "StudyUID", "View", *columns), *records])
    for view in views:
        write_volume(root / dbt_path(view, layout), view["pixels"], PatientID=view["key"][0], StudyID=view["key"][1])


def dbt_path(view: dict, layout: str) -> Path:
    """Where a volume lies below the root: as either path says, below the downloader's folder, or as the cloud's client lays it."""
    if layout != "idc":
        return Path("manifest-1617905855234") / view[layout]
    collection, patient, study, series, _ = view["classic"].split("/")
    return Path(collection.lower().replace("-", "_")) / patient / study / f"MG_{series}" / "1.2.3.dcm"


def write_duke(
    root: Path, boxes: dict[str, tuple], *, slices: int = 20, one_tumour: tuple[str, ...] | None = None, size=(8, 6), towards_head=True
) -> None:
    """Box table, clinical table, and for each patient the series of one fashion, whole that after contrast.

    one_tumour: patients without another tumour, all where None. towards_head: the direction in which instance numbers
    rise; file names run the other way.
    """
    import openpyxl

    root.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    book.active.title = "Sheet1"
    for row in (BOX_COLUMNS, *([patient, *box] for patient, box in boxes.items())):
        book.active.append(row)
    book.save(root / "Annotation_Boxes.xlsx")
    book = openpyxl.Workbook()
    book.active.title = "Data"
    book.active.append(["Patient Information", "MRI Technical Information", None, "Demographics", "Tumor Characteristics", "MRI Findings"])
    book.active.append(CLINICAL_COLUMNS)
    book.active.append([None, None, "GE MEDICAL SYSTEMS=0, MPTronic software=1, SIEMENS=2", "(Taking date of diagnosis as day 0)"])
    for patient in boxes:
        several = 0 if one_tumour is None or patient in one_tumour else 1
        book.active.append([patient, 6, 2, -15209, "NC", several, 0, 1, 0])
    book.save(root / "Clinical_and_Other_Features.xlsx")
    for number, patient in enumerate(boxes):
        for order, series in enumerate(SERIES[number % 2]):
            count = slices if order == FIRST_PASS else 1
            for place in range(count):
                write_slice(root, patient, series, place, count, size, towards_head)


def duke_path(patient: str, series: str, number: int) -> Path:
    """The descriptive layout: the downloader leaves out what a folder's name cannot hold."""
    folder = f"6.000000-{series.replace('/', '')}-43719"
    return Path("manifest-1607053360376") / DUKE / patient / "01-01-1990-MRI BREAST BILATERAL WWO-97538" / folder / f"1-{number:03d}.dcm"


def write_slice(root: Path, patient: str, series: str, place: int, count: int, size: tuple[int, int], towards_head: bool) -> None:
    """One slice; `place` counts along the instance numbers, from 0."""
    path = root / duke_path(patient, series, count - place)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(slice_bytes(patient, series, place, size, towards_head))


@functools.cache
def slice_bytes(patient: str, series: str, place: int, size: tuple[int, int], towards_head: bool) -> bytes:
    """A slice as a file; kept, since the tests want the same ones again and again."""
    with tempfile.TemporaryDirectory() as folder:
        return write_dicom(
            Path(folder) / "slice.dcm", *size, SOPClassUID=MR, Modality="MR", Manufacturer="SIEMENS", PatientID=patient,
            SeriesDescription=series, InstanceNumber=place + 1, PixelSpacing=[0.7, 0.7], ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            ImagePositionPatient=[-191.8, -176.1, 86.6 + 1.04 * (place if towards_head else -place)],
        ).read_bytes()  # fmt: skip
