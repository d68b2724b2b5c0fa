"""Small folders with the layouts of the digital data sets INbreast, VinDr-Mammo and RSNA."""

from __future__ import annotations

import csv
import hashlib
import plistlib
from pathlib import Path

from tests.catalog.trees import write_dicom

INBREAST_COLUMNS = ("Patient ID", "Patient age", "Laterality", "View", "Acquisition date", "File Name", "ACR", "Bi-Rads")
VINDR_COLUMNS = (
    *("study_id", "series_id", "image_id", "laterality", "view_position", "height", "width", "breast_birads", "breast_density"),
    *("finding_categories", "finding_birads", "xmin", "ymin", "xmax", "ymax", "split"),
)
RSNA_COLUMNS = (
    *("site_id", "patient_id", "image_id", "laterality", "view", "age", "cancer", "biopsy", "invasive", "BIRADS", "implant"),
    *("density", "machine_id", "difficult_negative_case"),
)


def inbreast_name(number: str, side: str, view: str, patient: str = "") -> str:
    """A file name of the release, without ending: images of one patient share the 16 hex digits."""
    hexes = hashlib.sha256((patient or number[:5]).encode()).hexdigest()[:16]
    return f"{number}_{hexes}_MG_{side}_{view.replace('MLO', 'ML')}_ANON"


def write_inbreast(root: Path, images: list[tuple[str, str, str, str, str]], *, outlines: dict | None = None) -> Path:
    """The release's folder. images: File Name, side, view, ACR, BI-RADS. outlines: File Name -> [(name, points)]."""
    base = root / "INbreast Release 1.0"
    for number, side, view, *_ in images:
        write_dicom(base / "AllDICOMs" / f"{inbreast_name(number, side, view)}.dcm")
    lines = [f"removed;removed;{side};{view};201001;{number};{acr};{birads}" for number, side, view, acr, birads in images]
    (base / "INbreast.csv").write_text("\r\n".join([";".join(INBREAST_COLUMNS), *lines, ""]), newline="")
    (base / "AllXML").mkdir()
    for number, regions in (outlines or {}).items():
        write_inbreast_xml(base / "AllXML" / f"{number}.xml", regions)
    return base


def write_inbreast_xml(path: Path, regions: list[tuple[str, list[tuple[float, float]]]]) -> None:
    """An image's outlines as the drawing program exports them: a property list."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rois = [
        {
            "Area": 0.01, "Center": "(0.000000, 0.000000, 0.000000)", "IndexInImage": i, "Name": name, "NumberOfPoints": len(points),
            "Point_mm": ["(0.000000, 0.000000, 0.000000)"] * len(points), "Type": 15,
            "Point_px": [f"({x:.6f}, {y:.6f})" for x, y in points],
        }
        for i, (name, points) in enumerate(regions)
    ]  # fmt: skip
    path.write_bytes(plistlib.dumps({"Images": [{"ImageIndex": 0, "NumberOfROIs": len(rois), "ROIs": rois}]}))


def vindr_record(
    study: str, image: str, side: str, view: str, birads: str, categories=("No Finding",), finding: str = "", edges=None, **more
) -> dict:
    """A row of finding_annotations.csv; edges: xmin, ymin, xmax, ymax."""
    xmin, ymin, xmax, ymax = edges or ("", "", "", "")
    record = {
        "study_id": study, "series_id": f"series of {study}", "image_id": image, "laterality": side, "view_position": view, "height": 6,
        "width": 4, "breast_birads": f"BI-RADS {birads}", "breast_density": "DENSITY C", "finding_categories": str(list(categories)),
        "finding_birads": f"BI-RADS {finding}" if finding else "", "xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax,
        "split": "training",
    }  # fmt: skip
    return record | more


def write_vindr(root: Path, records: list[dict]) -> None:
    """The table, and a DICOM file of the table's size for each image."""
    _write_csv(root / "finding_annotations.csv", VINDR_COLUMNS, records)
    for record in records:
        path = root / "images" / record["study_id"] / f"{record['image_id']}.dicom"
        write_dicom(path, record["height"], record["width"], PatientID="", PatientAge="055Y")


def rsna_record(patient: str, image: str, side: str, view: str, **more) -> dict:
    """A row of train.csv of a breast without cancer, read as negative."""
    record = {
        "site_id": "2", "patient_id": patient, "image_id": image, "laterality": side, "view": view, "age": "61.0", "cancer": "0",
        "biopsy": "0", "invasive": "0", "BIRADS": "1.0", "implant": "0", "density": "B", "machine_id": "29",
        "difficult_negative_case": "False",
    }  # fmt: skip
    return record | more


def write_rsna(root: Path, records: list[dict]) -> None:
    """The table and the training images."""
    _write_csv(root / "train.csv", RSNA_COLUMNS, records)
    for record in records:
        write_dicom(root / "train_images" / record["patient_id"] / f"{record['image_id']}.dcm")


def _write_csv(path: Path, columns: tuple[str, ...], records: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(records)
