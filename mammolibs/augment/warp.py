"""All geometry of one image as one map, sampled once: the image linearly, the mask by its nearest pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

ELASTIC_GRID = 5


@dataclass(frozen=True, eq=False)
class Geometry:
    """matrix: float64 2 3, from pixels of the result to pixels of the source. bend: float32 2 h w, displacement
    in source pixels on a coarse grid that is spread over the result, or None."""

    matrix: np.ndarray
    bend: np.ndarray | None


def affine(
    shape: tuple[int, int],
    *,
    degrees: float = 0.0,
    zoom: tuple[float, float] = (1.0, 1.0),
    source_centre: tuple[float, float] | None = None,
    shift: tuple[float, float] = (0.0, 0.0),
    up_down: bool = False,
) -> np.ndarray:
    """float64 2 3 from pixels of the result to pixels of the source, both `shape` (height, width).

    The result's centre shows `source_centre` (x, y; by default the centre), moved by `shift`,
    enlarged by zoom (x, y), turned by `degrees`.
    """
    # In plain floats: arrays of two or six numbers take longer to make than to reckon with.
    x, y = (shape[1] - 1) / 2, (shape[0] - 1) / 2
    source_x, source_y = source_centre or (x, y)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    wide, high = zoom[0], -zoom[1] if up_down else zoom[1]
    rows = (cos / wide, sin / high, source_x), (-sin / wide, cos / high, source_y)
    x, y = x + shift[0], y + shift[1]
    return np.array([(across, down, source - across * x - down * y) for across, down, source in rows])


def warp(image: np.ndarray, mask: np.ndarray | None, geometry: Geometry) -> tuple[np.ndarray, np.ndarray | None]:
    """Image (float32 H W, linearly) and mask (8 bit H W or None, nearest pixel) seen through the geometry; 0 beyond their border."""
    if geometry.bend is None:
        size = image.shape[::-1]
        looks = [cv2.warpAffine(plane, geometry.matrix, size, flags=how | cv2.WARP_INVERSE_MAP) for plane, how in _planes(image, mask)]
    else:
        across, down = maps(geometry, image.shape)
        looks = [cv2.remap(plane, across, down, how, borderMode=cv2.BORDER_CONSTANT) for plane, how in _planes(image, mask)]
    return looks[0], looks[1] if mask is not None else None


def _planes(image: np.ndarray, mask: np.ndarray | None) -> list[tuple[np.ndarray, int]]:
    return [(image, cv2.INTER_LINEAR)] + ([(mask, cv2.INTER_NEAREST)] if mask is not None else [])


def maps(geometry: Geometry, shape: tuple[int, int]) -> np.ndarray:
    """The geometry as a float32 2 H W array: x and y in the source of each pixel of the result.

    Each is a matrix product down @ amounts @ along.T of what `_basis` holds for rows and columns: all
    passes over the pixels in one. The knots' weights sum to 1, so what is the same in all rows, a part
    for the column and a constant, counts once if it is added to every knot.
    """
    matrix = geometry.matrix
    amounts = np.zeros((2, ELASTIC_GRID + 1, ELASTIC_GRID + 2), np.float32)
    if geometry.bend is not None:
        amounts[:, :-1, :-2] = geometry.bend
    amounts[:, :-1, -2], amounts[:, :-1, -1], amounts[:, -1, -1] = matrix[:, :1], matrix[:, 2:], matrix[:, 1]
    down, along = _basis(shape[0])[:, :-1], _basis(shape[1])
    return down @ (amounts @ along.T)


@lru_cache(maxsize=16)
def _basis(length: int) -> np.ndarray:
    """float32 length ELASTIC_GRID + 2: how much each knot of the coarse grid counts at each pixel (sums to 1), the pixel's place, and 1."""
    pixels = np.arange(length)
    place = np.linspace(0, ELASTIC_GRID - 1, length)[:, None] - np.arange(ELASTIC_GRID)[None, :]
    weight = np.exp(-2 * place**2)
    return np.column_stack([weight / weight.sum(1, keepdims=True), pixels, np.ones(length)]).astype(np.float32)
