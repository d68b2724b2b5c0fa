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
    centre = np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2])
    target = centre if source_centre is None else np.asarray(source_centre, float)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    linear = np.array([[cos, sin], [-sin, cos]]) @ np.diag([1 / zoom[0], (-1 if up_down else 1) / zoom[1]])
    return np.column_stack([linear, target - linear @ (centre + shift)])


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


def maps(geometry: Geometry, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The geometry as two float32 H W arrays: x and y in the source of each pixel of the result."""
    height, width = shape
    x, y = np.arange(width, dtype=np.float32)[None, :], np.arange(height, dtype=np.float32)[:, None]
    planes = []
    for row, number in zip(geometry.matrix.astype(np.float32), range(2), strict=True):
        plane = row[0] * x + (row[1] * y + row[2])
        if geometry.bend is not None:
            plane += _bumps(height) @ geometry.bend[number] @ _bumps(width).T
        planes.append(plane)
    return planes[0], planes[1]


@lru_cache(maxsize=16)
def _bumps(length: int) -> np.ndarray:
    """float32 length ELASTIC_GRID: how much each knot of the coarse grid counts at each pixel; rows sum to 1."""
    place = np.linspace(0, ELASTIC_GRID - 1, length)[:, None] - np.arange(ELASTIC_GRID)[None, :]
    weight = np.exp(-2 * place**2)
    return (weight / weight.sum(1, keepdims=True)).astype(np.float32)
