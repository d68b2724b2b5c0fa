"""Phantoms of another site: the same kind of files under other names of images, exams and patients."""

import csv
from pathlib import Path

IDS = {"image_id": "E", "exam_id": "E", "parent_id": "E", "lesion_id": "E", "lesion_ids": "E", "patient_id": "P"}
OTHER = {"E": "X", "P": "Q"}


def read(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[dict[str, str]]) -> None:
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def rename(folder: Path) -> Path:
    """Other ids in both tables of a folder of phantoms; the files keep their names."""
    for name in ("truth.csv", "lesions.csv"):
        rows = read(folder / name)
        write(folder / name, [{k: v.replace(IDS[k], OTHER[IDS[k]]) if k in IDS else v for k, v in row.items()} for row in rows])
    return folder


def as_table(folder: Path) -> Path:
    """The same images as a table of anybody's own, labels.csv in the folder, a row per image and lesion."""
    masks: dict[str, list[dict[str, str]]] = {}
    for lesion in read(folder / "lesions.csv"):
        masks.setdefault(lesion["image_id"], []).append(lesion)
    rows = []
    for row in (row for row in read(folder / "truth.csv") if not row["parent_id"]):
        for lesion in masks.get(row["image_id"], [{}]):
            known = {
                "path": row["file"],
                "patient": row["patient_id"],
                "exam": row["exam_id"],
                "laterality": row["laterality"],
                "view": row["view"],
            }
            known |= {
                "pathology": lesion.get("pathology", row["pathology"]),
                "kind": lesion.get("kind", ""),
                "mask": lesion.get("mask", ""),
            }
            rows.append(known | {"spacing_mm": row["spacing_mm"]})
    write(folder / "labels.csv", rows)
    return folder / "labels.csv"
