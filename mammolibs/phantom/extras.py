"""What is no lesion and looks like one, and what is not tissue: nodules, vessels, nodes, implants, markers."""

from __future__ import annotations

import cv2
import numpy as np

from mammolibs.phantom.anatomy import Breast
from mammolibs.phantom.fields import power_law, smooth_step
from mammolibs.phantom.plan import ExamPlan, ImagePlan
from mammolibs.phantom.tissue import Tissue


def add_innocent(tissue: Tissue, breast: Breast, exam: ExamPlan, draw: np.random.Generator) -> Tissue:
    """Glandular nodules, crossing strands, vessels, single grains, and lymph nodes in the axilla."""
    grey = tissue.grey.copy()
    for _ in range(int(draw.poisson(exam.difficulty.confounders * 0.6))):
        _nodule(grey, breast, draw)
    for _ in range(int(draw.poisson(exam.difficulty.confounders * 0.4))):
        _crossing(grey, breast, draw)
    for _ in range(int(draw.integers(1, 5))):
        _vessel(grey, breast, draw)
    for _ in range(int(draw.poisson(1.2))):
        _grain(grey, breast, draw)
    if breast.muscle is not None:
        for _ in range(int(draw.integers(0, 3))):
            _node(grey, breast, draw)
    return Tissue(grey=grey, gland=tissue.gland)


def add_implant(tissue: Tissue, breast: Breast, draw: np.random.Generator) -> Tissue:
    """A smooth bright body before the chest wall."""
    x, y = breast.grid()
    deep = breast.nipple[0] * draw.uniform(0.5, 0.6)
    tall = breast.nipple[0] * draw.uniform(0.55, 0.65)
    share = np.hypot((x + 2) / deep, (y - breast.nipple[1] - draw.uniform(-6, 2)) / tall)
    soft = 1.2 / deep
    inside = smooth_step(-share, -1.0, soft - 1.0)
    body = 0.98 - 0.10 * share**2 + 0.05 * np.exp(-(((share - 1 + 1.2 * soft) / soft) ** 2))
    return Tissue(grey=tissue.grey * (1 - inside) + inside * (body + 0.12 * tissue.grey), gland=tissue.gland * (1 - inside))


def draw_marker(image: ImagePlan, shape: tuple[int, int], spacing: float, draw: np.random.Generator) -> np.ndarray:
    """A lead marker in the upper corner away from the chest wall; float32 H W, 0 where there is none."""
    stamp = np.zeros(shape, np.uint8)
    text = f"{image.laterality} {image.view}" if draw.random() < 0.6 else f"{image.laterality}{image.view}"
    scale, thick = 9.0 / spacing / 22.0, max(1, round(1.1 / spacing))
    (wide, tall), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
    margin = round(draw.uniform(8, 16) / spacing)
    x = margin if image.laterality == "R" else shape[1] - margin - wide
    y = margin + tall
    cv2.putText(stamp, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, 255, thick, cv2.LINE_AA)
    if draw.random() < 0.5:
        gap = round(3 / spacing)
        cv2.rectangle(stamp, (x - gap, y - tall - gap), (x + wide + gap, y + gap), 255, thick)
    return cv2.GaussianBlur(stamp, (0, 0), 0.6).astype(np.float32) / 255 * np.float32(draw.uniform(0.85, 1.0))


def _somewhere(breast: Breast, draw: np.random.Generator, margin_mm: float) -> tuple[float, float] | None:
    """A place in the breast off skin and muscle, x and y in mm; None where none was met."""
    rows, columns = breast.depth.shape
    for _ in range(30):
        x, y = draw.uniform(margin_mm, columns * breast.step_mm), draw.uniform(margin_mm, rows * breast.step_mm - margin_mm)
        j, i = min(int(x / breast.step_mm), columns - 1), min(int(y / breast.step_mm), rows - 1)
        if breast.depth[i, j] > margin_mm and (breast.muscle is None or breast.muscle[i, j] < -margin_mm / 2):
            return x, y
    return None


def _patch(breast: Breast, centre: tuple[float, float], reach: float):
    """Slices of the grid round a centre, and x, y in mm from it."""
    rows, columns = breast.depth.shape
    step = breast.step_mm
    i0, i1 = max(int((centre[1] - reach) / step), 0), min(int((centre[1] + reach) / step) + 1, rows)
    j0, j1 = max(int((centre[0] - reach) / step), 0), min(int((centre[0] + reach) / step) + 1, columns)
    x = np.arange(j0, j1, dtype=np.float32)[None] * step - centre[0]
    y = np.arange(i0, i1, dtype=np.float32)[:, None] * step - centre[1]
    return (slice(i0, i1), slice(j0, j1)), x, y


def _nodule(grey: np.ndarray, breast: Breast, draw: np.random.Generator) -> None:
    """A patchy island of gland without an edge."""
    centre = _somewhere(breast, draw, 10.0)
    if centre is None:
        return
    size = draw.uniform(6.0, 16.0)
    part, x, y = _patch(breast, centre, 1.6 * size)
    turn, flat = draw.uniform(0, np.pi), draw.uniform(0.5, 1.0)
    u, v = x * np.cos(turn) + y * np.sin(turn), (-x * np.sin(turn) + y * np.cos(turn)) / flat
    cloud = power_law(draw, (u + v).shape, breast.step_mm, 3.0, 10.0, 0.5)
    share = np.hypot(u, v) / (size * 0.6) + 0.28 * cloud
    grey[part] += np.float32(draw.uniform(0.05, 0.15)) * np.exp(-(share**2)) * np.clip(1 + 0.3 * cloud, 0.3, 1.7)


def _crossing(grey: np.ndarray, breast: Breast, draw: np.random.Generator) -> None:
    """Strands that happen to cross: spicules without a mass."""
    centre = _somewhere(breast, draw, 15.0)
    if centre is None:
        return
    part, x, y = _patch(breast, centre, 28.0)
    for _ in range(int(draw.integers(2, 6))):
        heading, length = draw.uniform(0, np.pi), draw.uniform(10.0, 26.0)
        along = x * np.cos(heading) + y * np.sin(heading) - draw.uniform(-5, 5)
        off = -x * np.sin(heading) + y * np.cos(heading) + draw.normal(0, 0.006) * along**2 + draw.normal(0, 1.2)
        line = np.exp(-((off / draw.uniform(0.4, 0.8)) ** 2)) * np.clip(1 - (along / length) ** 2, 0, 1)
        grey[part] += np.float32(draw.uniform(0.03, 0.09)) * line


def _vessel(grey: np.ndarray, breast: Breast, draw: np.random.Generator) -> None:
    """A winding tube through the fat under the skin."""
    centre = _somewhere(breast, draw, 8.0)
    if centre is None:
        return
    step = breast.step_mm
    heading = np.arctan2(-breast.axis[1], -breast.axis[0]) + draw.normal(0, 0.5) + np.pi * (draw.random() < 0.5)
    bends = np.cumsum(draw.normal(0, 0.10, 60)) + heading
    points = np.array(centre) + np.cumsum(np.stack([np.cos(bends), np.sin(bends)], 1) * 1.3, 0)
    line = np.zeros(grey.shape, np.uint8)
    width = max(1, round(draw.uniform(0.8, 1.9) / step))
    cv2.polylines(line, [np.rint(points / step * 16).astype(np.int32)], False, 255, width, cv2.LINE_AA, 4)
    grey += cv2.GaussianBlur(line, (0, 0), max(0.35 / step, 0.6)).astype(np.float32) * np.float32(draw.uniform(0.03, 0.07) / 255)


def _grain(grey: np.ndarray, breast: Breast, draw: np.random.Generator) -> None:
    """One benign calcification, alone."""
    centre = _somewhere(breast, draw, 4.0)
    if centre is None:
        return
    size = draw.uniform(0.4, 1.3)
    part, x, y = _patch(breast, centre, 3.0)
    blur = np.hypot(size / 2, 0.45 * breast.step_mm)
    grey[part] += np.float32(draw.uniform(0.2, 0.6) * (size / 2 / blur) ** 2) * np.exp(-((x * x + y * y) / blur**2))


def _node(grey: np.ndarray, breast: Breast, draw: np.random.Generator) -> None:
    """A lymph node near the muscle: an oval with a fatty notch."""
    rows, _ = breast.depth.shape
    y0 = draw.uniform(0.06, 0.33) * rows * breast.step_mm
    line = np.flatnonzero(breast.muscle[int(y0 / breast.step_mm)] > 0)
    if not len(line):
        return
    centre = (float(line[-1] * breast.step_mm + draw.uniform(-12, 12)), float(y0))
    size = draw.uniform(4.0, 9.0)
    part, x, y = _patch(breast, centre, 2.0 * size)
    turn = draw.uniform(0, np.pi)
    u, v = x * np.cos(turn) + y * np.sin(turn), (-x * np.sin(turn) + y * np.cos(turn)) / draw.uniform(0.5, 0.75)
    body = smooth_step(-np.hypot(u, v) / size, -1.05, -0.7)
    hilum = np.exp(-(((u - 0.35 * size) ** 2 + v**2) / (0.4 * size) ** 2))
    grey[part] += np.float32(draw.uniform(0.10, 0.18)) * body * (1 - 0.75 * hilum) * smooth_step(breast.depth[part], 3.0, 8.0)
