"""One image of a collection, small for the eye, with what its pixels say. No torch: a worker that reads must start at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from mammolibs.errors import BadFile
from mammolibs.imaging.preview import preview
from mammolibs.ingest import read_lesions, read_row, settle_shown
from mammolibs.prepare import breast_spacing_mm, find_breast
from mammolibs.prepare.resample import resample
from mammolibs.records import ImageRow
from mammolibs.shards import ShardIndex, open_shards, read_sample
from mammolibs.storage import Store

HEIGHT_PX = 320
LEVELS = 20


@dataclass(frozen=True, eq=False, kw_only=True)
class View:
    """What is shown of one image.

    picture: uint8 H W, at most `HEIGHT_PX` rows. lesions: bool H W, the lesions that have a
    place, or None. size: height, width of the image that was read. levels: float64
    `LEVELS`, the share of the breast's pixels in equal steps from dark (0) to bright (1),
    or None where no breast was found. lesion_mm: diameters of the discs with the lesions' areas.
    """

    picture: np.ndarray
    lesions: np.ndarray | None
    size: tuple[int, int]
    levels: np.ndarray | None
    lesion_mm: tuple[float, ...] = ()


def view_row(row: ImageRow) -> View:
    """The image of a catalog row as it is displayed. Raises what reading it and its lesions raises."""
    mammogram = read_row(row)
    pixels, spacing_mm = mammogram.pixels, breast_spacing_mm(mammogram)
    raster = read_lesions(settle_shown(row, mammogram), pixels.shape)
    picture = preview(pixels, HEIGHT_PX)
    return View(
        picture=picture,
        lesions=_shrunk(raster.labels, picture.shape) if raster.drawn else None,
        size=pixels.shape,
        levels=_levels(_breast_pixels(pixels, mammogram.padding)),
        lesion_mm=_diameters((lesion.radius_px for lesion in raster.lesions), spacing_mm),
    )


def view_sample(place: tuple[str, int]) -> View:
    """Sample `row` of the shard set at a location, as a network is given it; place: location, row. Raises what reading it raises."""
    location, row = place
    sample = read_sample(*_shard_set(location), row)
    pixels = sample.image.astype(np.float32) / 65535
    picture = preview(pixels, HEIGHT_PX)
    radii = (lesion.get("radius_original_px") for lesion in sample.extra.get("lesions", ()))
    return View(
        picture=picture,
        lesions=_shrunk(sample.mask, picture.shape) if sample.mask is not None and sample.mask.any() else None,
        size=pixels.shape,
        levels=_levels(pixels[sample.image > 0]),
        lesion_mm=_diameters(radii, sample.extra.get("spacing_mm")),
    )


@lru_cache(maxsize=4)
def _shard_set(location: str) -> tuple[Store, ShardIndex]:
    """Opened once in each process: the index of a large set takes seconds to read."""
    return open_shards(location)


def _shrunk(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Every pixel that a lesion touches, so that the smallest stays visible."""
    return resample((mask > 0).astype(np.float32), shape) > 0


def _breast_pixels(pixels: np.ndarray, padding: Any) -> np.ndarray:
    """One pixel of each cell inside the breast; none where no breast is found."""
    try:
        region = find_breast(pixels, padding)
    except BadFile:
        return np.empty(0, np.float32)
    start, (rows, columns) = region.reduce // 2, region.core.shape
    return pixels[start :: region.reduce, start :: region.reduce][:rows, :columns][region.core]


def _levels(inside: np.ndarray) -> np.ndarray | None:
    return np.histogram(inside, bins=LEVELS, range=(0, 1))[0] / inside.size if inside.size else None


def _diameters(radii_px: Iterable[float | None], spacing_mm: float | None) -> tuple[float, ...]:
    return tuple(2 * radius * spacing_mm for radius in radii_px if radius and spacing_mm)
