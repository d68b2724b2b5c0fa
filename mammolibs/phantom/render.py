"""One image of an exam as float arrays: what is displayed, what reached the detector, where the lesions are."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mammolibs.phantom.anatomy import make_breast, place_lesion
from mammolibs.phantom.extras import add_implant, add_innocent, draw_marker
from mammolibs.phantom.lesions import draw_lesion
from mammolibs.phantom.plan import ExamPlan, ImagePlan, LesionPlan
from mammolibs.phantom.seeds import generator
from mammolibs.phantom.tissue import make_tissue

_WORK_ROWS = 1024
"""Tissue is drawn on a grid of at most this many rows and enlarged; specks, noise and marker are drawn in full."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Rendered:
    """display: float32 H W in [0, 1]. exposure: float32 H W, 1 in the open beam; None where there is no FOR PROCESSING twin.

    air: bool H W. masks: one bool H W per lesion of the breast, in the plan's order. contrasts: of each.
    """

    display: np.ndarray
    exposure: np.ndarray | None
    air: np.ndarray
    masks: tuple[np.ndarray, ...]
    contrasts: tuple[float, ...]
    spacing_mm: float


def render(exam: ExamPlan, image: ImagePlan, rows: int) -> Rendered:
    """Draw one image with the given number of rows."""
    height_mm, width_mm = exam.maker.field_mm
    spacing = height_mm / rows
    columns = round(width_mm / spacing)
    work_rows = min(rows, _WORK_ROWS)
    step = height_mm / work_rows
    breast = make_breast(exam, image, (work_rows, int(width_mm / step)), step)
    draw = generator(exam.seed, "tissue", exam.patient_id, image.laterality, image.view)
    tissue = make_tissue(breast, exam.density, draw)
    tissue = add_innocent(tissue, breast, exam, draw)
    implant = "implant" in image.traps
    if implant:
        tissue = add_implant(tissue, breast, draw)
    shape = (rows, min(columns, round(breast.depth.shape[1] * step / spacing)))
    grey = _enlarge(tissue.grey, shape)
    layers = []
    for lesion in image.lesions:
        place = place_lesion(breast, lesion, 0.45 if implant else 0.8)
        layers.append(draw_lesion(lesion, place, shape, spacing, _shape_of(exam, lesion, image)))
        grey += layers[-1].grey
    display, exposure, inside = _develop(exam, image, _enlarge(breast.depth, shape), grey, columns)
    masks = [cv2.copyMakeBorder(layer.mask.astype(np.uint8), 0, 0, 0, columns - shape[1], cv2.BORDER_CONSTANT) > 0 for layer in layers]
    if image.laterality == "R":
        display, exposure, inside, *masks = (np.ascontiguousarray(part[:, ::-1]) for part in (display, exposure, inside, *masks))
    if "marker" in image.traps:
        stamp = draw_marker(image, display.shape, spacing, generator(exam.seed, "marker", image.image_id))
        display, exposure, inside = np.maximum(display, stamp), exposure * (1 - 0.98 * stamp), inside | (stamp > 0)
    return Rendered(display=display, exposure=exposure, air=~inside, masks=tuple(masks),
                    contrasts=tuple(layer.contrast for layer in layers), spacing_mm=spacing)  # fmt: skip


def _shape_of(exam: ExamPlan, lesion: LesionPlan, image: ImagePlan) -> np.random.Generator:
    """Decides the lesion's shape in a view: the same in each exam of the patient."""
    return generator(exam.seed, "lesion", exam.patient_id, lesion.lesion_id.removeprefix(exam.exam_id), image.view)


def _enlarge(field: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    if field.shape == shape:
        return field
    return cv2.resize(field, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)


def _develop(
    exam: ExamPlan, image: ImagePlan, depth: np.ndarray, grey: np.ndarray, columns: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edge, skin, grey curve and noise; display, exposure and where the breast is, all with `columns` columns."""
    maker = exam.maker
    rows, wide = depth.shape
    grain = generator(exam.seed, "noise", image.image_id).standard_normal((rows, columns), dtype=np.float32)
    grain = cv2.GaussianBlur(grain, (0, 0), 0.55)
    grain *= np.float32(1.6)
    thickness = _round_edge(depth, 32.0)
    seen = grey * _round_edge(depth, maker.edge_mm)
    seen *= maker.equalise + (1 - maker.equalise) * thickness
    seen += 0.07 * np.exp(-(((depth - 0.9) / 0.8) ** 2))
    np.maximum(seen, 0, out=seen)
    curved = seen ** np.float32(maker.curve) * np.float32(0.62 ** (1 - maker.curve))
    curved = 1 - np.exp(-curved * (1.25 + 0.55 * curved * curved))
    curved += grain[:, :wide] * np.float32(maker.noise) * (0.5 + thickness)
    inside = np.zeros((rows, columns), bool)
    inside[:, :wide] = depth > 0
    display = np.clip(np.float32(maker.toe) * (0.5 + np.float32(0.15) * grain), 0, 1)
    np.copyto(display[:, :wide], np.clip(curved, 0.012, 1), where=inside[:, :wide])
    exposure = 1 + np.float32(0.008) * grain
    exposure[:, :wide] *= np.exp(thickness * (-2.4 - 2.2 * grey))
    return display, exposure, inside


def _round_edge(depth: np.ndarray, width_mm: float) -> np.ndarray:
    """0 at the skin, 1 from `width_mm` inwards, round like the edge of a cushion."""
    t = 1 - np.clip(depth / np.float32(width_mm), 0, 1)
    return np.sqrt(1 - t * t)
