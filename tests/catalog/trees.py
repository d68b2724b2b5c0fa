"""Small folders with the layouts of the real data sets, and rows without files."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from mammolibs.records import ImageRow

REAL = Path(os.environ.get("MAMMOLIBS_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
MG = "1.2.840.10008.5.1.4.1.1.1.2"
PATIENT_ROOT = "1.3.6.1.4.1.9590.100.1.2."
CBIS_COLUMNS = (
    "patient_id",
    "breast_density",
    "left or right breast",
    "image view",
    "abnormality id",
    "abnormality type",
    "mass shape",
    "mass margins",
    "assessment",
    "pathology",
    "subtlety",
    "image file path",
    "cropped image file path",
    "ROI mask file path",
)


def write_dicom(path: Path, rows: int = 6, columns: int = 4, *, bits: int = 16, **attributes) -> Path:
    """A tiny valid-enough DICOM image; attributes by keyword, None leaves one out."""
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID = MG, generate_uid(entropy_srcs=[str(path)])
    data.PatientID, data.StudyInstanceUID, data.SeriesInstanceUID = "P1", "1.2.3", "1.2.3.4"
    data.Modality, data.Rows, data.Columns = "MG", rows, columns
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 0
    data.BitsAllocated = data.BitsStored = bits
    data.HighBit = bits - 1
    for keyword, value in attributes.items():
        if value is None:
            delattr(data, keyword)
        else:
            setattr(data, keyword, value)
    frames = int(attributes.get("NumberOfFrames") or 1)
    data.PixelData = bytes(rows * columns * bits // 8 * frames)
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def write_plain(path: Path, rows: int = 6, columns: int = 4) -> Path:
    """A black 8-bit image in the format that the ending names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".pgm":
        path.write_bytes(f"P5\n{columns} {rows}\n255\n".encode() + bytes(rows * columns))
    else:
        Image.fromarray(np.zeros((rows, columns), np.uint8)).save(path)
    return path


def cbis_record(patient: str, side: str, view: str, number: int = 1, *, kind: str = "Mass", part: str = "Training", **more) -> dict:
    """A row of a CBIS-DDSM case table, with the newline that its path cells carry."""
    folder = f"{kind}-{part}_{patient}_{side}_{view}"
    uid = f"{PATIENT_ROOT}{abs(hash_number(folder))}"
    crop = f"{folder}_{number}/{uid}1{number}/{uid}2{number}"
    record = {
        "patient_id": patient, "breast_density": "3", "left or right breast": side, "image view": view, "abnormality id": str(number),
        "abnormality type": "mass", "mass shape": "OVAL", "mass margins": "SPICULATED", "assessment": "4", "pathology": "MALIGNANT",
        "subtlety": "4", "image file path": f"{folder}/{uid}/{uid}0/000000.dcm", "cropped image file path": f"{crop}/000000.dcm",
        "ROI mask file path": f"{crop}/000001.dcm\n",
    }  # fmt: skip
    return record | more


def hash_number(text: str) -> int:
    """A number that stands for a text, the same in every process."""
    return int.from_bytes(text.encode(), "big") % 10**12


def write_cbis_tables(root: Path, **tables: list[dict]) -> None:
    """mass_train=[...] and so on as CSV with CRLF; tables that are not named are written empty."""
    root.mkdir(parents=True, exist_ok=True)
    for kind in ("mass", "calc"):
        for part in ("train", "test"):
            with open(root / f"{kind}_case_description_{part}_set.csv", "w", newline="") as file:
                columns = [c.replace("breast_density", "breast density") if kind == "calc" else c for c in CBIS_COLUMNS]
                writer = csv.writer(file)
                writer.writerow(columns)
                writer.writerows([record[c] for c in CBIS_COLUMNS] for record in tables.get(f"{kind}_{part}", ()))


def row(patient: str, image: str = "1", **fields) -> ImageRow:
    """A row without a file."""
    source = fields.pop("source", "test")
    return ImageRow(
        image_id=f"{source}-{patient}-{image}", source=source, patient_id=f"{source}/{patient}", exam_id=f"{source}/{patient}",
        path=f"/nowhere/{patient}-{image}.png", **fields,
    )  # fmt: skip


def write_cbis_files(
    root: Path, record: dict, *, image=(60, 40), mask=(60, 40), crop=(11, 9), names=("1-1.dcm", "1-2.dcm"), mask_bits=8
) -> None:
    """One case as today's downloader lays it: the full image, and mask and crop together; names: of mask, of crop."""
    folder, lesion = (record[f"{what} file path"].split("/")[0] for what in ("image", "cropped image"))
    base = root / "manifest-1" / "CBIS-DDSM"
    write_dicom(base / folder / "08-29-2017-DDSM-NA-96009" / "1.000000-full mammogram images-63992" / "1-1.dcm", *image)
    parts = base / lesion / "08-29-2017-DDSM-NA-94942" / "1.000000-ROI mask images-18515"
    if mask:
        write_dicom(parts / names[0], *mask, bits=mask_bits)
    if crop:
        write_dicom(parts / names[1], *crop)


def write_mias(root: Path, lines: list[str], films: tuple[str, ...], *, side: int = 1024, ending: str = ".pgm") -> None:
    """Info.txt with these rows after some prose, and black films."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "Info.txt").write_text("This file lists the films in the MIAS database\n\n" + "\n".join(lines) + "\n")
    for film in films:
        write_plain(root / "all-mias" / f"{film}{ending}", side, side)


def write_cdd_workbook(path: Path, names: list[str], *, birads="4", findings="", labels=None, sheets=None) -> None:
    """A workbook with the sheets that are read; labels: name -> label (default Malignant); sheets: sheet -> names."""
    import openpyxl

    path.parent.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    book.active.title = "all"
    book["all"].append([
        "Image_name", "Patient_ID", "Side", "Type", "Age", "Breast density (ACR)", "BIRADS", "Findings", "View", "Tags", "Machine",
        "Pathology Classification/ Follow up",
    ])  # fmt: skip
    for name in names:
        patient, side, kind, view = name.strip().split("_")[:4]
        label = (labels or {}).get(name, "Malignant")
        kind = {"CM": "CESM"}.get(kind, kind)
        book["all"].append([name, int(patient[1:]), side, kind, 46, "C" if kind == "DM" else "_", birads, findings, view, "", 1, label])
    for sheet in ("mass_description", "mass enhancement_description", "calcifications", "distortion", "asymmetry"):
        book.create_sheet(sheet).append(["Image_name"])
        for name in (sheets or {}).get(sheet, ()):
            book[sheet].append([name])
    book.save(path)


def write_via(root: Path, regions: list[tuple[str, dict]]) -> None:
    """The segmentation table as the VIA tool exports it, drawn on the images that are there by now."""
    sizes = {path.name: path.stat().st_size for path in root.rglob("*.jpg")}
    with open(root / "Radiology_hand_drawn_segmentations_v2.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["#filename", "file_size", "file_attributes", "region_count", "region_id", "region_shape_attributes", "region_attributes"]
        )
        for name, shape in regions:
            writer.writerow([name, sizes.get(name, 1), "{}", 1, 0, json.dumps(shape), "{}"])
