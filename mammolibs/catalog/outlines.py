"""Lesion outlines from what the sources draw, in stored pixel coordinates (x right, y down)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from mammolibs.errors import BadData
from mammolibs.records import Lesion, Outline

ELLIPSE_VERTICES = 64
CONTOUR_TOLERANCE_PX = 0.5


def circle(x: float, y: float, radius_px: float) -> Outline:
    """A circle by its centre and radius."""
    return Outline(shape="circle", points=((float(x), float(y)),), radius_px=float(radius_px))


def box(x0: float, y0: float, x1: float, y1: float) -> Outline:
    """A box by two corners."""
    return Outline(shape="box", points=((float(x0), float(y0)), (float(x1), float(y1))))


def clipped_box(x0: float, y0: float, x1: float, y1: float, rows: int, columns: int) -> Outline:
    """A box by two corners (the smaller first), cut to an image of this size. Raises BadData where nothing of it is left."""
    left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, columns - 1), min(y1, rows - 1)
    if not (left <= right and top <= bottom):
        raise BadData(f"a box lies outside its image (x {x0:g}..{x1:g}, y {y0:g}..{y1:g} in {columns} x {rows} pixels)")
    return box(left, top, right, bottom)


def polygon(xs: Sequence[float], ys: Sequence[float]) -> Outline:
    """A polygon by its vertices. Raises BadData for fewer than three, or lists of unequal length."""
    if len(xs) != len(ys) or len(xs) < 3:
        raise BadData(f"a polygon with {len(xs)} x and {len(ys)} y values")
    return Outline(shape="polygon", points=tuple((float(x), float(y)) for x, y in zip(xs, ys, strict=True)))


def drawn(xs: Sequence[float], ys: Sequence[float], point_radius_px: float) -> Outline:
    """A polygon, or for one or two points the circle round them, of at least this radius. Raises BadData for none."""
    if len(xs) != len(ys) or len(xs) not in (1, 2):
        return polygon(xs, ys)
    across, down = max(xs) - min(xs), max(ys) - min(ys)
    return circle(sum(xs) / len(xs), sum(ys) / len(ys), max(point_radius_px, across / 2, down / 2))


def contour(xs: Sequence[float], ys: Sequence[float]) -> Outline:
    """A boundary that was traced pixel by pixel, as a polygon that stays within half a pixel of it.

    Traced boundaries have thousands of points, most of them on a line between others.
    Raises BadData for fewer than three points, or lists of unequal length.
    """
    import cv2
    import numpy as np

    traced = polygon(xs, ys)
    thinned = cv2.approxPolyDP(np.asarray(traced.points, np.float32), CONTOUR_TOLERANCE_PX, closed=True).reshape(-1, 2)
    return polygon(*thinned.T.tolist()) if len(thinned) > 2 else traced


def ellipse(x: float, y: float, radius_x: float, radius_y: float) -> Outline:
    """An upright ellipse, as a polygon of `ELLIPSE_VERTICES` vertices."""
    turns = [2 * math.pi * i / ELLIPSE_VERTICES for i in range(ELLIPSE_VERTICES)]
    return polygon([x + radius_x * math.cos(t) for t in turns], [y + radius_y * math.sin(t) for t in turns])


def bounds(outline: Outline) -> tuple[float, float, float, float] | None:
    """x0, y0, x1, y1 of an outline; None where it has no points of its own (mask, none)."""
    if not outline.points:
        return None
    xs, ys = zip(*outline.points, strict=True)
    radius = outline.radius_px or 0.0
    return min(xs) - radius, min(ys) - radius, max(xs) + radius, max(ys) + radius


def refuse_outside(lesions: Iterable[Lesion], rows: int, columns: int) -> None:
    """Raises BadData for a lesion that lies wholly outside an image of this size, or that has a coordinate that is no number."""
    for lesion in lesions:
        edges = bounds(lesion.outline)
        if edges is None:
            continue
        x0, y0, x1, y1 = edges
        if not all(math.isfinite(edge) for edge in edges):
            raise BadData(f"lesion {lesion.lesion_id} has a coordinate that is no number")
        if x1 < -0.5 or y1 < -0.5 or x0 > columns - 0.5 or y0 > rows - 0.5:
            raise BadData(
                f"lesion {lesion.lesion_id} lies outside its image (x {x0:g}..{x1:g}, y {y0:g}..{y1:g} in {columns} x {rows} pixels);"
                " the image was resized, or the table belongs to another copy"
            )
