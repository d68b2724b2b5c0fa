"""One image of an exam as float arrays: what is displayed, what reached the detector, where the lesions are."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mammolibs.phantom.anatomy import Breast, make_breast, place_lesion
from mammolibs.phantom.extras import add_implant, add_innocent, draw_marker
from mammolibs.phantom.fields import smooth_step
from mammolibs.phantom.lesions import draw_lesion
from mammolibs.phantom.plan import ExamPlan, ImagePlan
from mammolibs.phantom.seeds import generator
from mammolibs.phantom.tissue import Tissue, make_tissue

_WORK_ROWS = 1024
"""Tissue is drawn on a grid of at most this many rows and enlarged; specks, noise and marker are drawn in full."""


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
    height_mm, width_mm = exam.maker.field_mm
    spacing = height_mm / rows
    full = (rows, round(width_mm / spacing))
    work_rows = min(rows, _WORK_ROWS)
    step = height_mm / work_rows
    work = (work_rows, round(width_mm / step))
    breast = make_breast(exam, image, work, step)
    draw = generator(exam.seed, "tissue", exam.patient_id, image.laterality, image.view)
    tissue = make_tissue(breast, exam.density, draw)
    tissue = add_innocent(tissue, breast, exam, draw)
    implant = "implant" in image.traps
    if implant:
        tissue = add_implant(tissue, breast, draw)
    grey = _enlarge(tissue.grey, full)
    layers = []
    for lesion in image.lesions:
        place = place_lesion(breast, lesion, 0.45 if implant else 0.8)
        drawn = draw_lesion(lesion, place, full, spacing, generator(exam.seed, "lesion", lesion.lesion_id, image.view))
        grey += drawn.grey
        layers.append(drawn)
    return _expose(exam, image, _enlarge(breast.depth, full), grey, layers, spacing)


def _enlarge(field: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    if field.shape == shape:
        return field.copy()
    return cv2.resize(field, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)


def _expose(exam: ExamPlan, image: ImagePlan, depth: np.ndarray, grey: np.ndarray, layers: list, spacing: float) -> Rendered:
    """Edge, skin, grey curve, noise, marker, and the side the breast lies on."""
    maker = exam.maker
    noise = generator(exam.seed, "noise", image.image_id)
    inside = depth > 0
    t = np.clip(depth / maker.edge_mm, 0, 1)
    edge = np.sqrt(1 - (1 - t) ** 2)
    far = np.clip(depth / 32.0, 0, 1)
    thickness = np.sqrt(1 - (1 - far) ** 2)
    skin = np.exp(-(((depth - 0.9) / 0.8) ** 2)) * inside
    seen = grey * edge * (maker.equalise + (1 - maker.equalise) * thickness) + 0.07 * skin
    seen = np.maximum(seen, 0)
    curved = seen ** np.float32(maker.curve) * np.float32(0.62 ** (1 - maker.curve))
    curved = 1 - np.exp(-np.maximum(curved, 0) * 1.25 - 0.55 * np.maximum(curved, 0) ** 3)
    grain = cv2.GaussianBlur(noise.standard_normal(depth.shape, dtype=np.float32), (0, 0), 0.55) * 1.6
    display = np.where(inside, curved + grain * np.float32(maker.noise) * (0.5 + thickness), 0)
    display = np.where(inside, np.maximum(display, 0.012), maker.toe * (0.5 + 0.15 * grain)).astype(np.float32)
    exposure = np.exp(-2.4 * thickness - 2.2 * grey * thickness) * (1 + 0.008 * grain)
    masks = [layer.mask for layer in layers]
    if image.laterality == "R":
        display, exposure, inside = display[:, ::-1].copy(), exposure[:, ::-1].copy(), inside[:, ::-1].copy()
        masks = [mask[:, ::-1] for mask in masks]
    if "marker" in image.traps:
        stamp = draw_marker(image, display.shape, spacing, generator(exam.seed, "marker", image.image_id))
        display, exposure, inside = np.maximum(display, stamp), exposure * (1 - 0.98 * stamp), inside | (stamp > 0)
    return Rendered(display=np.clip(display, 0, 1), exposure=exposure.astype(np.float32), air=~inside, masks=tuple(masks),
                    contrasts=tuple(layer.contrast for layer in layers), spacing_mm=spacing)  # fmt: skip
