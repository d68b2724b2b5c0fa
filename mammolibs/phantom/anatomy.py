"""The breast as the compression paddle leaves it: outline, nipple, pectoral muscle; places inside it.

Millimetres; the chest wall is x = 0, x grows towards the nipple, y downwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mammolibs.phantom.plan import ExamPlan, ImagePlan, LesionPlan
from mammolibs.phantom.seeds import generator

_PAD_MM = 60.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Breast:
    """One breast on a grid of `step_mm`, chest wall on the left.

    depth: float32 H W, mm to the nearest skin, 0 outside; chest wall and image border are
    no skin. muscle: float32 H W, mm inside the pectoral muscle, negative outside it, or None in CC.
    nipple: x, y. axis: unit vector from the nipple to the chest. reach: mm from the nipple along it.
    """

    step_mm: float
    depth: np.ndarray
    muscle: np.ndarray | None
    nipple: tuple[float, float]
    axis: tuple[float, float]
    reach: float

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """x and y of the grid's pixels in mm, broadcastable."""
        rows, columns = self.depth.shape
        return np.arange(columns, dtype=np.float32)[None] * self.step_mm, np.arange(rows, dtype=np.float32)[:, None] * self.step_mm


def make_breast(exam: ExamPlan, image: ImagePlan, shape: tuple[int, int], step_mm: float) -> Breast:
    """The breast of one view, on a grid cut off a little beyond the nipple, at most `shape`.

    The patient decides the size; each exam lays the breast down a little differently.
    """
    body = generator(exam.seed, "body", exam.patient_id)
    large, plump = body.uniform(0, 1), body.uniform(0.9, 1.1)
    draw = generator(exam.seed, "outline", exam.patient_id, image.laterality, image.view)
    again = generator(exam.seed, "position", exam.exam_id, image.laterality, image.view)
    size = (0.95 + 0.45 * large) * again.uniform(0.98, 1.02)
    outline, nipple, muscle_line = (_mlo if image.view == "MLO" else _cc)(draw, shape[0] * step_mm, size, plump, again)
    shape = (shape[0], min(shape[1], int((nipple[0] + 10) / step_mm)))
    depth = _depth(_parts(outline, nipple, draw), shape, step_mm)
    if muscle_line is None:
        axis = np.array([-1.0, draw.uniform(-0.1, 0.1)])
        reach, muscle = nipple[0], None
    else:
        muscle = _muscle(muscle_line, draw, shape, step_mm)
        (x_top, _), (_, y_bottom) = muscle_line
        axis = -np.array([y_bottom, x_top])
        reach = nipple[0] * 0.95
    axis = axis / np.linalg.norm(axis)
    return Breast(step_mm=step_mm, depth=depth, muscle=muscle, nipple=nipple, axis=(float(axis[0]), float(axis[1])), reach=float(reach))


def place_lesion(breast: Breast, lesion: LesionPlan, deepest: float = 0.8) -> tuple[float, float]:
    """Where a lesion of the breast lies in this view, x and y in mm, well inside the skin and the image."""
    margin = lesion.size_mm * 0.5 + 7.0
    nipple, axis = np.array(breast.nipple), np.array(breast.axis)
    across = np.array([-axis[1], axis[0]]) * np.sign(-axis[0])
    along = nipple + axis * (8 + min(lesion.depth, deepest) * (breast.reach - 8))
    steps = np.arange(0.0, 120.0, 1.0)
    wanted = lesion.across[0 if breast.muscle is None else 1]
    points = along + np.outer(steps * np.sign(wanted or 1), across)
    points = points[[_room(breast, point) > margin for point in points]]
    if not len(points):
        points = along[None]
    x, y = points[min(int(abs(wanted) * len(points)), len(points) - 1)]
    rows, columns = breast.depth.shape
    edge = lesion.size_mm * 0.6 + 2.0
    x = np.clip(x, edge, columns * breast.step_mm - edge)
    return float(x), float(np.clip(y, edge, rows * breast.step_mm - edge))


def _room(breast: Breast, point: np.ndarray) -> float:
    """mm to the skin, or to the muscle where that is nearer."""
    rows, columns = breast.depth.shape
    x, y = (int(round(v / breast.step_mm)) for v in point)
    if not (0 <= y < rows and 0 <= x < columns):
        return -1.0
    room = float(breast.depth[y, x])
    return room if breast.muscle is None else min(room, 6.0 - float(breast.muscle[y, x]) + 8.0)


def _cc(draw: np.random.Generator, height: float, size: float, plump: float, again: np.random.Generator):
    depth = 92.0 * size * draw.uniform(0.93, 1.07)
    half = 82.0 * size * plump
    middle = height * 0.5 + draw.uniform(-8, 8) + again.uniform(-4, 4)
    tip = middle + draw.uniform(-0.12, 0.12) * half
    upper = _bezier((0, middle - half), (depth * draw.uniform(0.45, 0.62), middle - half * draw.uniform(1.0, 1.06)),
                    (depth, tip - half * draw.uniform(0.5, 0.62)), (depth, tip))  # fmt: skip
    lower = _bezier((depth, tip), (depth, tip + half * draw.uniform(0.5, 0.62)),
                    (depth * draw.uniform(0.45, 0.62), middle + half * draw.uniform(1.0, 1.06)), (0, middle + half))  # fmt: skip
    outline = np.concatenate([[(-_PAD_MM, middle - half)], upper, lower, [(-_PAD_MM, middle + half)]])
    return outline, (depth, tip), None


def _mlo(draw: np.random.Generator, height: float, size: float, plump: float, again: np.random.Generator):
    depth = 98.0 * size * draw.uniform(0.93, 1.07)
    tip = height * draw.uniform(0.52, 0.6) + again.uniform(-4, 4)
    top = depth * draw.uniform(0.66, 0.86)
    bottom = min(tip + 72.0 * size * plump * draw.uniform(0.95, 1.1), height * 0.96)
    upper = _bezier((top, -_PAD_MM / 2), (top * draw.uniform(0.9, 1.05), height * 0.22),
                    (depth, tip - (tip - 0) * draw.uniform(0.38, 0.5)), (depth, tip))  # fmt: skip
    lower = _bezier((depth, tip), (depth, tip + (bottom - tip) * draw.uniform(0.55, 0.7)),
                    (depth * draw.uniform(0.5, 0.65), bottom), (draw.uniform(4, 10), bottom - draw.uniform(-4, 6)))  # fmt: skip
    if draw.random() < 0.5:
        belly = (draw.uniform(8, 26), height + _PAD_MM / 2)
        end = [*_bezier(tuple(lower[-1]), (draw.uniform(0, 3), bottom + 6), (belly[0], bottom + 10), belly), (-_PAD_MM, belly[1])]
    else:
        end = [(-_PAD_MM, bottom)]
    outline = np.concatenate([[(-_PAD_MM, -_PAD_MM / 2)], upper, lower, end])
    muscle = ((top * draw.uniform(0.5, 0.78), 0.0), (0.0, height * draw.uniform(0.42, 0.62)))
    return outline, (depth, tip), muscle


def _bezier(*corners: tuple[float, float]) -> np.ndarray:
    p = np.array(corners, dtype=np.float64)
    t = np.linspace(0, 1, 80)[:, None]
    return (1 - t) ** 3 * p[0] + 3 * (1 - t) ** 2 * t * p[1] + 3 * (1 - t) * t**2 * p[2] + t**3 * p[3]


def _parts(outline: np.ndarray, nipple: tuple[float, float], draw: np.random.Generator) -> list[np.ndarray]:
    """Outline with a slight waviness, and the nipple as an ellipse upon it."""
    turns = np.linspace(0, 1, len(outline))
    wave = sum(draw.normal(0, 0.9 / k) * np.sin(2 * np.pi * (k * turns + draw.random())) for k in range(2, 7))
    angle = np.linspace(0, 2 * np.pi, 40)
    out, wide = draw.uniform(2.5, 6.0), draw.uniform(4.0, 6.0)
    bump = np.stack([nipple[0] - 1 + out * np.cos(angle), nipple[1] + wide * np.sin(angle)], 1)
    return [outline + np.outer(wave, (1.0, 0.0)), bump]


def _depth(parts: list[np.ndarray], shape: tuple[int, int], step_mm: float) -> np.ndarray:
    pad = round(_PAD_MM / step_mm)
    inside = np.zeros((shape[0] + 2 * pad, shape[1] + 2 * pad), np.uint8)
    for part in parts:
        cv2.fillPoly(inside, [np.rint((part / step_mm + pad) * 16).astype(np.int32)], 1, shift=4)
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, 5)[pad:-pad, pad:-pad]
    return np.ascontiguousarray(distance) * np.float32(step_mm)


def _muscle(line, draw: np.random.Generator, shape: tuple[int, int], step_mm: float) -> np.ndarray:
    """Signed mm inside the muscle: right of a straight line with a slight belly it is negative."""
    (x_top, _), (_, y_bottom) = line
    y, x = np.arange(shape[0], dtype=np.float32)[:, None] * step_mm, np.arange(shape[1], dtype=np.float32)[None] * step_mm
    length = np.hypot(x_top, y_bottom)
    along = np.clip(y / y_bottom, 0, 1.2)
    belly = draw.uniform(-3, 7) * np.sin(np.pi * np.clip(along, 0, 1))
    belly = belly + draw.normal(0, 0.6) * np.sin(3 * np.pi * along + draw.uniform(0, 6))
    return ((y_bottom * x_top - x * y_bottom - y * x_top) / length + belly).astype(np.float32)
