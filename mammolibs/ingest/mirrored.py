"""Boxes that were drawn on a mirrored copy of their image, laid back by where the breast is."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from mammolibs.catalog import SOURCES
from mammolibs.catalog.outlines import box
from mammolibs.errors import BadFile
from mammolibs.prepare import BreastRegion, Located, find_breast
from mammolibs.records import ImageRow, Lesion, Mammogram, Outline

# Shares of a box's area on the breast: below the first it lies beside it, from the second on it lies on it.
BESIDE_SHARE = 0.1
ON_BREAST_SHARE = 0.5


def may_be_mirrored(row: ImageRow) -> bool:
    """Whether the row's source says so of its boxes. A derived copy is drawn as its image was after it had been settled."""
    source = SOURCES.get(row.source)
    return bool(row.lesions) and not row.parent_id and source is not None and source.mirrored_places


def settle(row: ImageRow, located: Located) -> ImageRow:
    """The row with its boxes on the breast, for sources of which some boxes lie mirrored; every other row as it is.

    A box beside the breast is mirrored where its mirror image lies on it, and loses its place where
    neither does. A breast as wide as its image holds both: there a mirrored box is not found out.
    """
    return _settle(row, located.region, located.mirrored) if may_be_mirrored(row) else row


def settle_shown(row: ImageRow, mammogram: Mammogram) -> ImageRow:
    """As `settle`, of an image whose breast nobody has looked for yet; as it is where there is none."""
    if not may_be_mirrored(row):
        return row
    try:
        region = find_breast(mammogram.pixels, mammogram.padding, name=row.path)
    except BadFile:
        return row
    return _settle(row, region, flipped=False)


def _settle(row: ImageRow, region: BreastRegion, flipped: bool) -> ImageRow:
    return replace(row, lesions=tuple(_settled(lesion, region, flipped) for lesion in row.lesions))


def _settled(lesion: Lesion, region: BreastRegion, flipped: bool) -> Lesion:
    """flipped: the region was found on the image mirrored left to right."""
    if lesion.outline.shape != "box":
        return lesion
    (x0, y0), (x1, y1) = lesion.outline.points
    edge = region.shape[1] - 1
    here, there = (x0, y0, x1, y1), (edge - x1, y0, edge - x0, y1)
    own, other = (_share(region, place) for place in ((there, here) if flipped else (here, there)))
    if own >= BESIDE_SHARE:
        return lesion
    return replace(lesion, outline=box(*there) if other >= ON_BREAST_SHARE else Outline(shape="none"))


def _share(region: BreastRegion, place: tuple[float, float, float, float]) -> float:
    """How much of a box lies on the breast, counted in the region's cells."""
    x0, y0, x1, y1 = (max(0, math.floor(value / region.reduce)) for value in place)
    cells = region.mask[min(y0, y1) : max(y0, y1) + 1, min(x0, x1) : max(x0, x1) + 1]
    return float(np.mean(cells)) if cells.size else 0.0
