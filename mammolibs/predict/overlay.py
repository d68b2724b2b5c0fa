"""Findings drawn on the image, for a person to look at."""

from __future__ import annotations

import os

import cv2
import numpy as np

from mammolibs.records import Findings
from mammolibs.storage import write_atomic

_CALM, _ALARM = np.array((80, 200, 255), float), np.array((255, 60, 60), float)


def draw(image: np.ndarray, findings: Findings) -> np.ndarray:
    """The preview, uint8 H W, with outlines and figures: uint8 H W+panel 3, RGB.

    Blue-white is probably benign, red probably malignant. What is printed stands beside the image, not on it.
    """
    rgb = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    scale = image.shape[0] / findings.original[0]
    lines = [] if findings.image_score is None else [f"image score {findings.image_score:.2f}"]
    lines += [findings.outcome, *(f"{reason.action}: {reason.code}" for reason in findings.verdict.reasons)]
    for number, finding in enumerate(findings.findings, 1):
        colour = tuple(int(c) for c in _CALM + (_ALARM - _CALM) * finding.malignancy)
        points = ((np.array(finding.outline) + 0.5) * scale - 0.5).round().astype(np.int32)
        cv2.polylines(rgb, [points], True, colour, 2, cv2.LINE_AA)
        corner = (int(points[:, 0].max()) + 4, int(points[:, 1].min()))
        cv2.putText(rgb, str(number), corner, cv2.FONT_HERSHEY_SIMPLEX, 0.6, colour, 2, cv2.LINE_AA)
        size = "unknown size" if finding.size_mm is None else f"{finding.size_mm:.0f} mm"
        lines.append(f"{number}: lesion {finding.probability:.2f}, malignancy {finding.malignancy:.2f}, {size}")
    lines.append("Research only. Not a medical device.")
    panel = np.zeros((rgb.shape[0], 360, 3), np.uint8)
    for number, line in enumerate(lines):
        cv2.putText(panel, line, (10, 28 + 24 * number), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (230, 230, 230), 1, cv2.LINE_AA)
    return np.concatenate([rgb, panel], axis=1)


def write_overlay(path: str | os.PathLike, picture: np.ndarray) -> None:
    """Write an RGB picture, uint8 H W 3, as PNG, whole or not at all. Raises BadFile where the folder cannot be written."""
    done, encoded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not done:
        raise ValueError(f"{path}: OpenCV cannot encode {picture.shape} as PNG")
    write_atomic(path, encoded.tobytes())
