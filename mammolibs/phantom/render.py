"""One image of an exam as float arrays: what is displayed, what reached the detector, where the lesions are."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mammolibs.phantom.plan import ExamPlan, ImagePlan
from mammolibs.phantom.seeds import generator


@dataclass(frozen=True, kw_only=True, eq=False)
class Rendered:
    """display: float32 H W in [0, 1]. exposure: float32 H W, 1 in the open beam. air: bool H W.

    masks: one bool H W per lesion of the breast, in the plan's order. contrasts: of each.
    """

    display: np.ndarray
    exposure: np.ndarray
    air: np.ndarray
    masks: tuple[np.ndarray, ...]
    contrasts: tuple[float, ...]
    spacing_mm: float


def render(exam: ExamPlan, image: ImagePlan, rows: int) -> Rendered:
    """Draw one image with the given number of rows."""
    draw = generator(exam.seed, "render", exam.patient_id, image.laterality, image.view)
    height_mm, width_mm = exam.maker.field_mm
    spacing = height_mm / rows
    columns = round(width_mm / spacing)
    y, x = np.mgrid[:rows, :columns].astype(np.float32) * np.float32(spacing)
    centre = height_mm / 2
    inside = (x / 90) ** 2 + ((y - centre) / 85) ** 2
    display = np.where(inside < 1, 0.4 + 0.05 * draw.standard_normal((rows, columns), dtype=np.float32), 0).astype(np.float32)
    masks, contrasts = [], []
    for lesion in image.lesions:
        across = lesion.across[image.view == "MLO"]
        cx, cy = (1 - lesion.depth) * 85, centre + across * 55
        mask = (x - cx) ** 2 + (y - cy) ** 2 < (lesion.size_mm / 2) ** 2
        display += 0.2 * lesion.contrast * mask
        masks.append(mask)
        contrasts.append(0.2 * lesion.contrast)
    if image.laterality == "R":
        display, inside = display[:, ::-1], inside[:, ::-1]
        masks = [m[:, ::-1] for m in masks]
    display = np.clip(cv2.GaussianBlur(np.ascontiguousarray(display), (0, 0), 1), 0, 1)
    return Rendered(display=display, exposure=np.exp(-3 * display), air=inside >= 1.02, masks=tuple(masks), contrasts=tuple(contrasts), spacing_mm=spacing)
