"""Which proposed region found which lesion: the one hit rule of this project.

A region hits a lesion where its centroid lies inside the lesion's outline (polygon, else
circle, else box), or within FLOOR_MM of the lesion's centre (so that tiny annotations can
be hit at all; FLOOR_SHARE of the image's height where the spacing is unknown), or where
the two boxes overlap with an IoU above OVERLAP. Of several lesions hit, the one with the
nearest centre counts. A lesion whose place is unknown cannot be hit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from mammolibs.evaluate.predictions import Box, LesionTruth, Region

FLOOR_MM = 2.0
FLOOR_SHARE = 0.01
OVERLAP = 0.1


def match_regions(
    regions: Sequence[Region], lesions: Sequence[LesionTruth], spacing_mm: float | None = None, *, height: int = 0
) -> tuple[Region, ...]:
    """The regions in their order, each with `hit` set: index of the lesion that it found, or -1.

    All coordinates in pixels of the original image; height: of that image, in pixels.
    """
    floor_px = FLOOR_MM / spacing_mm if spacing_mm else FLOOR_SHARE * height
    return tuple(replace(region, hit=_hit(region, lesions, floor_px)) for region in regions)


def _hit(region: Region, lesions: Sequence[LesionTruth], floor_px: float) -> int:
    hits = []
    for index, lesion in enumerate(lesions):
        if lesion.placed and _is_hit(region, lesion, floor_px):
            hits.append((_distance(region, lesion), index))
    return min(hits)[1] if hits else -1


def _is_hit(region: Region, lesion: LesionTruth, floor_px: float) -> bool:
    x, y = region.centre_x, region.centre_y
    if _distance(region, lesion) <= floor_px or _is_inside(x, y, lesion):
        return True
    box = lesion_box(lesion)
    return box is not None and box_iou(region.box, box) > OVERLAP


def _is_inside(x: float, y: float, lesion: LesionTruth) -> bool:
    if lesion.outline:
        return point_in_polygon(x, y, lesion.outline)
    if lesion.radius_px is not None:
        return math.hypot(x - lesion.centre_x, y - lesion.centre_y) <= lesion.radius_px
    if lesion.box is not None:
        x0, y0, x1, y1 = lesion.box
        return x0 <= x <= x1 and y0 <= y <= y1
    return False


def _distance(region: Region, lesion: LesionTruth) -> float:
    return math.hypot(region.centre_x - lesion.centre_x, region.centre_y - lesion.centre_y)


def lesion_box(lesion: LesionTruth) -> Box | None:
    """x0, y0, x1, y1 round the lesion; None where only its centre, or nothing, is known."""
    if lesion.box is not None:
        return lesion.box
    if lesion.outline:
        xs, ys = zip(*lesion.outline, strict=True)
        return min(xs), min(ys), max(xs), max(ys)
    if lesion.placed and lesion.radius_px is not None:
        r = lesion.radius_px
        return lesion.centre_x - r, lesion.centre_y - r, lesion.centre_x + r, lesion.centre_y + r
    return None


def point_in_polygon(x: float, y: float, outline: Sequence[tuple[float, float]]) -> bool:
    """True where the point lies inside, by counting the edges that a ray to the right crosses."""
    inside = False
    for (x0, y0), (x1, y1) in zip(outline, [*outline[1:], outline[0]], strict=True):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            inside = not inside
    return inside


def box_iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes x0, y0, x1, y1; 0 where either is empty."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / area
