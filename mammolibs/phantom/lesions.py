"""Masses, calcification clusters and asymmetries as grey layers with their masks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mammolibs.phantom.fields import power_law, smooth_step
from mammolibs.phantom.plan import LesionPlan

_PATCH = 360
"""Pixels along a lesion's patch at most; a larger one is drawn so and enlarged."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DrawnLesion:
    """grey: float32 H W to add. mask: bool H W, exactly what was drawn. contrast: mean added grey in the mask."""

    grey: np.ndarray
    mask: np.ndarray
    contrast: float


def draw_lesion(
    lesion: LesionPlan, place: tuple[float, float], shape: tuple[int, int], spacing: float, draw: np.random.Generator
) -> DrawnLesion:
    """The lesion in an image of this shape and spacing, its centre at `place` (x, y in mm)."""
    layer = {"smooth": _smooth, "spiculated": _spiculated, "coarse": _coarse, "fine": _fine, "diffuse": _diffuse}[lesion.detail]
    reach = lesion.size_mm * (1.9 if lesion.detail == "spiculated" else 1.1)
    side = 2 * int(np.ceil(reach / spacing)) + 1
    drawn = min(side, _PATCH) if lesion.kind != "calcification" else side
    axis = np.linspace(-reach, reach, drawn, dtype=np.float32)
    grey, inside = layer(axis[None], axis[:, None], lesion, draw)
    if drawn != side:
        grey, inside = (cv2.resize(a, (side, side), interpolation=cv2.INTER_LINEAR) for a in (grey, inside))
    x, y = (int(round(v / spacing)) - side // 2 for v in place)
    full, mask = np.zeros(shape, np.float32), np.zeros(shape, bool)
    rows, columns = slice(max(y, 0), max(min(y + side, shape[0]), 0)), slice(max(x, 0), max(min(x + side, shape[1]), 0))
    part = (slice(rows.start - y, rows.stop - y), slice(columns.start - x, columns.stop - x))
    full[rows, columns] = grey[part]
    mask[rows, columns] = inside[part] > 0.5
    return DrawnLesion(grey=full, mask=mask, contrast=float(full[mask].mean()) if mask.any() else 0.0)


def _polar(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.hypot(x, y), np.arctan2(y, x)


def _contour(angle: np.ndarray, draw: np.random.Generator, orders: range, rough: float) -> np.ndarray:
    """Radius over the angle round 1."""
    waves = [draw.normal(0, rough / k**0.7) * np.cos(k * angle + draw.uniform(0, 2 * np.pi)) for k in orders]
    return np.clip(1 + sum(waves), 0.55, 1.45).astype(np.float32)


def _smooth(x: np.ndarray, y: np.ndarray, lesion: LesionPlan, draw: np.random.Generator):
    """Oval or gently lobulated, clear edge, as dense as what surrounds it."""
    turn, flat = draw.uniform(0, np.pi), draw.uniform(0.68, 0.98)
    u, v = x * np.cos(turn) + y * np.sin(turn), (-x * np.sin(turn) + y * np.cos(turn)) / flat
    radius, angle = _polar(u, v)
    share = radius / (lesion.size_mm / 2 * _contour(angle, draw, range(2, 5), 0.09))
    dome = np.sqrt(np.clip(1 - share**2, 0, 1)) ** 0.8
    covered = 1 - draw.uniform(0.1, 0.7) * smooth_step(np.cos(angle - draw.uniform(0, 2 * np.pi)), 0.0, 1.0) * np.clip(share, 0, 1)
    texture = 1 + 0.08 * power_law(draw, share.shape, float(x[0, 1] - x[0, 0]), 3.0, 8.0, 0.6)
    halo = -0.08 * np.exp(-(((share - 1.12) / 0.09) ** 2))
    grey = cv2.GaussianBlur((dome * covered * texture + halo).astype(np.float32), (0, 0), max(0.35 / float(x[0, 1] - x[0, 0]), 0.3))
    return 0.36 * np.float32(lesion.contrast) * grey, (share < 1).astype(np.float32)


def _spiculated(x: np.ndarray, y: np.ndarray, lesion: LesionPlan, draw: np.random.Generator):
    """Irregular core, dense in the middle, with spicules that thin out into the tissue."""
    core = lesion.size_mm / 2
    radius, angle = _polar(x, y)
    share = radius / (core * _contour(angle, draw, range(2, 12), 0.16))
    body = smooth_step(-share, -1.12, -0.35)
    spicules = np.zeros_like(body)
    for _ in range(int(draw.integers(14, 30))):
        heading, length, bend = draw.uniform(0, 2 * np.pi), core * draw.uniform(1.3, 3.2), draw.normal(0, 0.12) / core
        along = x * np.cos(heading) + y * np.sin(heading)
        off = -x * np.sin(heading) + y * np.cos(heading) + bend * along**2
        width = draw.uniform(0.35, 0.7) * (1.3 - np.clip(along / length, 0, 1))
        line = np.exp(-((off / width) ** 2)) * smooth_step(along, 0, 0.5 * core) * np.clip(1 - along / length, 0, 1)
        spicules = np.maximum(spicules, line * draw.uniform(0.35, 0.75))
    texture = 1 + 0.10 * power_law(draw, body.shape, float(x[0, 1] - x[0, 0]), 2.5, 8.0, 0.4)
    grey = np.maximum(body * texture, 0.75 * spicules)
    inside = (body > 0.15) | ((spicules > 0.3) & (share < 1.35))
    return (0.46 * lesion.contrast * grey).astype(np.float32), inside.astype(np.float32)


def _diffuse(x: np.ndarray, y: np.ndarray, lesion: LesionPlan, draw: np.random.Generator):
    """More tissue here than there should be: no edge, patchy."""
    radius, angle = _polar(x, y)
    share = radius / (lesion.size_mm / 2 * _contour(angle, draw, range(2, 6), 0.14))
    cloud = power_law(draw, radius.shape, float(x[0, 1] - x[0, 0]), 3.4, 12.0, 1.0)
    body = smooth_step(-share, -1.25, -0.1)
    grey = body * np.clip(0.85 + 0.35 * cloud, 0, 2)
    return (0.34 * lesion.contrast * grey).astype(np.float32), (body > 0.3).astype(np.float32)


def _coarse(x: np.ndarray, y: np.ndarray, lesion: LesionPlan, draw: np.random.Generator):
    """A few large round grains, popcorn-like."""
    sizes = draw.uniform(1.0, 2.8, int(draw.integers(6, 13)))
    return _grains(x, y, lesion, draw, sizes, 1.1, 0.5)


def _fine(x: np.ndarray, y: np.ndarray, lesion: LesionPlan, draw: np.random.Generator):
    """Many small grains of all shapes and strengths over a faint haze."""
    sizes = draw.uniform(0.3, 0.9, int(draw.integers(24, 60)))
    return _grains(x, y, lesion, draw, sizes, 1.1, 0.9)


def _grains(x: np.ndarray, y: np.ndarray, lesion: LesionPlan, draw: np.random.Generator, sizes: np.ndarray, strength: float, uneven: float):
    step = float(x[0, 1] - x[0, 0])
    side = x.shape[1]
    turn, flat = draw.uniform(0, np.pi), draw.uniform(0.45, 0.95)
    distance, heading = lesion.size_mm / 2 * np.sqrt(draw.random(len(sizes))), draw.uniform(0, 2 * np.pi, len(sizes))
    u, v = distance * np.cos(heading), flat * distance * np.sin(heading)
    px, py = u * np.cos(turn) - v * np.sin(turn), u * np.sin(turn) + v * np.cos(turn)
    grey = np.zeros((side, side), np.float32)
    for gx, gy, size in zip(px, py, sizes, strict=True):
        longer, tilt = draw.uniform(1.0, 1.0 + 1.5 * uneven), draw.uniform(0, np.pi)
        power = strength * lesion.contrast * draw.uniform(1 - 0.6 * uneven, 1) * min(size / 0.6, 1.0)
        half = max(2, int(np.ceil(2.2 * size * longer / step)))
        cx, cy = int(round(gx / step)) + side // 2, int(round(gy / step)) + side // 2
        rows, columns = slice(max(cy - half, 0), cy + half + 1), slice(max(cx - half, 0), cx + half + 1)
        dx, dy = x[:, columns] - gx, y[rows] - gy
        a, b = (dx * np.cos(tilt) + dy * np.sin(tilt)) / longer, -dx * np.sin(tilt) + dy * np.cos(tilt)
        blur = np.hypot(size / 2, 0.45 * step)
        spot = power * np.float32((size / 2 / blur) ** 2) * np.exp(-(((a * a + b * b) / blur**2) ** 1.5))
        grey[rows, columns] = np.maximum(grey[rows, columns], spot)
    hull = cv2.convexHull(np.stack([px / step + side // 2, py / step + side // 2], 1).astype(np.float32))
    inside = cv2.fillConvexPoly(np.zeros((side, side), np.uint8), np.rint(hull).astype(np.int32), 1)
    grown = 2 * int(round(1.2 / step)) + 1
    inside = cv2.dilate(inside, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (grown, grown))).astype(np.float32)
    haze = cv2.GaussianBlur(inside, (0, 0), max(1.5 / step, 0.5))
    return grey + np.float32(0.12 * lesion.contrast * uneven**2) * haze, inside
