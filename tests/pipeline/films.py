"""Drawn films with a table of labels: the smallest data set that all stages can be run on."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from tests.catalog.trees_tables import write_table

LABELS = ("malignant", "normal", "normal", "benign", "normal", "normal")


def write_films(folder: Path, count: int = 24, shape: tuple[int, int] = (240, 200)) -> Path:
    """One left CC film of each of `count` patients, as PNG, and labels.csv; every third has a box round a lesion. Returns the folder."""
    (folder / "images").mkdir(parents=True)
    y, x = np.mgrid[: shape[0], : shape[1]]
    inside = (x / (0.75 * shape[1])) ** 2 + ((y - shape[0] / 2) / (0.42 * shape[0])) ** 2 < 1
    records = []
    for number in range(count):
        texture = cv2.GaussianBlur(np.random.default_rng(number).random(shape), (0, 0), 3)
        tissue = 90 + 140 * (texture - texture.min()) / np.ptp(texture)
        cv2.imwrite(str(folder / "images" / f"{number:02d}.png"), np.where(inside, tissue, 4).astype(np.uint8))
        label = LABELS[number % len(LABELS)]
        box = {"x0": 40, "y0": 100, "x1": 64, "y1": 124} if label != "normal" else dict.fromkeys(("x0", "y0", "x1", "y1"), "")
        film = {"path": f"images/{number:02d}.png", "patient": f"p{number:02d}", "laterality": "L", "view": "CC", "pathology": label}
        records.append(film | {"spacing_mm": 0.5} | box)
    write_table(folder / "labels.csv", records)
    return folder
