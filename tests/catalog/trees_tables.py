"""Small folders in the layouts of KAU-BCMD, EMBED and OMI-DB, and tables of anybody."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.catalog.trees import write_dicom, write_plain

CLINICAL = {
    "empi_anon": "10000001", "acc_anon": "", "study_date_anon": "2015-03-01", "desc": "MG Screen Bilat", "age_at_study": "61.0",
    "tissueden": "3.0", "asses": "N", "numfind": "1", "side": "", "massshape": "", "calcfind": "", "bside": "",
    "procdate_anon": "", "path_severity": "",
}  # fmt: skip
METADATA = {
    "empi_anon": "10000001", "acc_anon": "", "anon_dicom_path": "", "FinalImageType": "2D", "ImageLateralityFinal": "L",
    "ViewPosition": "MLO", "spot_mag": "", "num_roi": "0", "ROI_coords": "()",
}  # fmt: skip
UID = "1.2.826.0.1.3680043.9.3218.1.1"


def write_table(path: Path, records: Iterable[Mapping[str, object]], *, separator: str = ",") -> Path:
    """Records as CSV; the columns are those of the first."""
    records = list(records)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(records[0]), delimiter=separator)
        writer.writeheader()
        writer.writerows(records)
    return path


def write_embed(root: Path, images: Iterable[Mapping[str, str]], findings: Iterable[Mapping[str, str]]) -> None:
    """Both tables and the files: `images` and `findings` are what differs from METADATA and CLINICAL; each image has a `uid`."""
    records = []
    for image in images:
        record = METADATA | {key: value for key, value in image.items() if key != "uid"}
        folder = f"cohort_1/{record['empi_anon']}/{record['acc_anon']}"
        write_dicom(root / "images" / folder / f"{image['uid']}.dcm", 60, 40, ImagerPixelSpacing=[0.07, 0.07])
        records.append(record | {"anon_dicom_path": f"/mnt/NAS2/mammo/anon_dicom/{folder}/{image['uid']}.dcm"})
    write_table(root / "tables" / "EMBED_OpenData_metadata.csv", records)
    write_table(root / "tables" / "EMBED_OpenData_clinical.csv", [CLINICAL | finding for finding in findings])


def omi_image(number: int, side: str = "L", view: str = "CC", *, marks: Iterable[Mapping] = (), study: int = 1, **header) -> dict:
    """One image of a client, by numbers that stand for its UIDs; `header` goes into the DICOM file."""
    uids = {"uid": f"{UID}.3.{number}", "study": f"{UID}.1.{study}", "series": f"{UID}.2.{number}"}
    return uids | {"side": side, "view": view, "marks": list(marks), "header": header}


def omi_mark(x1: int, y1: int, x2: int, y2: int, *, mark_id: int = 10241, **keys) -> dict:
    """A mark with the keys of a real one."""
    corners = {"X1": str(x1), "Y1": str(y1), "X2": str(x2), "Y2": str(y2)}
    return corners | {"MarkID": mark_id, "LinkedNBSSLesionNumber": None, "Conspicuity": "Obvious"} | keys


def write_omi(root: Path, client: str, images: list[dict], nbss: Mapping | None, *, old: bool = False, episode: str = "7") -> None:
    """A client's JSON files, under their new or old names, and its DICOM files with the JSON of each header."""
    base = root / "image_db" / "sharing" / "omi-db"
    studies: dict = {}
    for image in images:
        study = studies.setdefault(image["study"], {"EpisodeID": episode, "StudyDate": "2014-02-03"})
        marks = {str(mark["MarkID"]): mark for mark in image["marks"]} or None
        study.setdefault(image["series"], {})[image["uid"]] = marks
        words = {"ImageLaterality": image["side"], "ViewPosition": image["view"], "PresentationIntentType": "FOR PRESENTATION"}
        header = words | {"StudyInstanceUID": image["study"], "SOPInstanceUID": image["uid"]} | image["header"]
        write_dicom(base / "images" / client / image["study"] / f"{image['uid']}.dcm", 60, 40, **header)
        told = {"00185101": {"vr": "CS", "Value": [image["view"]]}}
        write_json(base / "data" / client / image["study"] / f"{image['uid']}.{'dcm.' if old else ''}json", told)
    names = ("IMAGEDB", "NBSS") if old else ("imagedb", "nbss")
    write_json(base / "data" / client / f"{names[0]}_{client}.json", {"ClientID": client, "Site": "adde", "STUDIES": studies})
    if nbss is not None:
        write_json(base / "data" / client / f"{names[1]}_{client}.json", {"ClientID": client} | nbss)


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def write_kau(root: Path, *paths: str) -> None:
    """Black images at these places, such as `Birad3/b3/2019_BC0026061_ MLO_R.jpg`."""
    for path in paths:
        write_plain(root / path, 60, 40)
