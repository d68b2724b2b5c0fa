"""Fat, fibroglandular tissue, strands and muscle of one breast on the work grid."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mammolibs.phantom.anatomy import Breast
from mammolibs.phantom.fields import logistic, power_law, ridges, smooth_step

_BIAS = {"A": -3.2, "B": -1.4, "C": 0.4, "D": 2.2}
_LAYERS = 3
"""Sheets of gland that lie over each other in the projection."""
_LEVEL = {"A": 0.30, "B": 0.34, "C": 0.38, "D": 0.41}


@dataclass(frozen=True, kw_only=True, eq=False)
class Tissue:
    """float32 H W each. grey: what lies in the breast, in shares of the display range, before
    the edge fades it; gland: 0 to 1, how much of it is dense."""

    grey: np.ndarray
    gland: np.ndarray


def make_tissue(breast: Breast, density: str, draw: np.random.Generator) -> Tissue:
    """Fat with a web of strands, a dense disc behind the nipple, the pectoral muscle."""
    shape, step = breast.depth.shape, breast.step_mm
    flow = _flow(breast, draw)
    cloud = power_law(draw, shape, step, 3.4, 40.0, 1.0)
    envelope = _envelope(breast, draw, cloud)
    drawn_out = np.zeros(shape, np.float32)
    gland = np.zeros(shape, np.float32)
    for _ in range(_LAYERS):
        layer = _along(power_law(draw, shape, step, 3.2, 12.0, 0.8), flow, step, draw.uniform(1.6, 3.2))
        drawn_out += layer / np.float32(_LAYERS**0.5)
        gland += logistic(1.7 * layer + 0.9 * cloud + _BIAS[density] + 3.0 * (envelope - 0.75)) / np.float32(_LAYERS)
    gland *= smooth_step(envelope, 0.0, 1.0)
    fine = power_law(draw, shape, step, 2.4, 5.0, 0.2)
    web = _web(draw, shape, step, flow)
    level = _LEVEL[density] * draw.uniform(0.9, 1.1)
    fat = 0.33 + 0.018 * power_law(draw, shape, step, 3.2, 80.0, 4.0) + 0.010 * drawn_out
    strands = web * (0.16 + 0.20 * smooth_step(envelope, 0.0, 0.7)) * (1 - 0.45 * gland)
    grey = fat + level * gland * (0.9 + 0.16 * np.tanh(0.7 * drawn_out + 0.5 * fine)) + strands + 0.006 * fine
    if breast.muscle is not None:
        grey = _with_muscle(grey, breast, draw)
    return Tissue(grey=grey.astype(np.float32), gland=gland.astype(np.float32))


def _flow(breast: Breast, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates along and across the ducts, mm: they fan out from a point before the nipple, unevenly."""
    x, y = breast.grid()
    origin = np.array(breast.nipple) - np.array(breast.axis) * draw.uniform(18, 40)
    dx, dy = origin[0] - x, y - origin[1]
    tilt = np.arctan2(breast.axis[1], -breast.axis[0])
    along = np.hypot(dx, dy)
    across = (np.arctan2(dy, dx) - tilt) * 70.0
    shape, step = breast.depth.shape, breast.step_mm
    return along + 6.0 * _slow(draw, shape, step, 110.0), across + 6.5 * _slow(draw, shape, step, 110.0)


def _slow(draw: np.random.Generator, shape: tuple[int, int], step: float, longest_mm: float) -> np.ndarray:
    """A smooth field without detail."""
    return power_law(draw, shape, step, 3.5, longest_mm, longest_mm / 3)


def _along(field: np.ndarray, flow: tuple[np.ndarray, np.ndarray], step: float, stretch: float) -> np.ndarray:
    """The field drawn out along the ducts."""
    along, across = flow
    map_x = (along / (step * stretch)).astype(np.float32)
    map_y = (across / step).astype(np.float32) + field.shape[0] / 2
    return cv2.remap(field, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def _web(draw: np.random.Generator, shape: tuple[int, int], step: float, flow: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Cooper-like strands at three scales, each fading in and out; about 0 to 1.5."""
    web = np.zeros(shape, np.float32)
    for wavelength, stretch, width, share in ((14.0, 4.0, 0.09, 0.55), (8.0, 5.0, 0.12, 0.5), (4.0, 5.0, 0.16, 0.35)):
        lines = power_law(draw, shape, step, 3.0, wavelength, wavelength * 0.25)
        fading = smooth_step(_slow(draw, shape, step, 22.0), -0.6, 1.5)
        web += share * _along(ridges(lines, width), flow, step, stretch) * fading
    return web


def _envelope(breast: Breast, draw: np.random.Generator, cloud: np.ndarray) -> np.ndarray:
    """Where glandular tissue may lie, 0 to 1: behind the nipple, under a layer of fat, off the chest wall."""
    x, y = breast.grid()
    dx, dy = x - breast.nipple[0], y - breast.nipple[1]
    back = dx * breast.axis[0] + dy * breast.axis[1]
    side = -dx * breast.axis[1] + dy * breast.axis[0]
    side = side + draw.uniform(-0.18, 0.18) * back + 4.0 * cloud
    length = breast.reach * draw.uniform(0.68, 0.95)
    wide = breast.reach * draw.uniform(0.45, 0.65)
    centre = length * 0.5
    radius = np.sqrt(((back - centre) / (length * 0.55)) ** 2 + (side / (wide * (0.65 + 0.35 * np.clip(back / length, 0, 1)))) ** 2)
    under_skin = (breast.depth - draw.uniform(4.0, 8.0) + 2.2 * cloud) / 9.0
    envelope = smooth_step(1.45 - radius + 0.14 * cloud, 0.0, 1.0) * smooth_step(under_skin, 0.0, 1.3)
    if breast.muscle is not None:
        envelope = envelope * smooth_step(-breast.muscle, 2.0, 16.0)
    return envelope.astype(np.float32)


def _with_muscle(grey: np.ndarray, breast: Breast, draw: np.random.Generator) -> np.ndarray:
    shape, step = breast.depth.shape, breast.step_mm
    muscle = breast.muscle + 0.5 * _slow(draw, shape, step, 45.0)
    inside = smooth_step(muscle, -draw.uniform(1.0, 2.0), draw.uniform(2.0, 4.0))
    fibres = ridges(np.sin(muscle / draw.uniform(2.5, 4.0) + 2.5 * _slow(draw, shape, step, 30.0)), 0.5)
    _, y = breast.grid()
    bright = draw.uniform(0.26, 0.36) * (1.0 - 0.25 * y / (shape[0] * step))
    body = 0.30 + bright + 0.03 * np.tanh(muscle / 25.0) + 0.010 * (fibres - 0.5) + 0.012 * _slow(draw, shape, step, 40.0)
    return grey * (1 - inside) + inside * (body + 0.30 * (grey - 0.30))
