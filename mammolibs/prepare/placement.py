"""From the original image to its canvas and back: points exactly, masks by the one resampler.

Pixel centres lie at integers, so a scaled coordinate is (x + 0.5) * scale - 0.5, which is
also where OpenCV's resize puts it.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from mammolibs.prepare.resample import resample
from mammolibs.records import Placement

# A sum in float32 may miss an exact half by its rounding.
HALF = 0.5 - 1e-6


def place(original: tuple[int, int], crop: tuple[int, int, int, int], mirrored: bool, canvas: tuple[int, int]) -> Placement:
    """The placement that fits `crop` (x0, y0, x1, y1) onto the canvas with one scale for both axes.

    The crop is thought to be extended, to the right and below as it lies on the canvas, to
    the next multiple of the canvas's ratio of sides: then the scale is exact on both axes.
    """
    height, width = crop[3] - crop[1], crop[2] - crop[0]
    divisor = math.gcd(*canvas)
    unit = max(-(-height * divisor // canvas[0]), -(-width * divisor // canvas[1]))
    return Placement(original=original, crop=crop, mirrored=mirrored, scale=divisor / unit, canvas=canvas)


def extended_size(placement: Placement) -> tuple[int, int]:
    """Height and width in original pixels of what the whole canvas shows."""
    return round(placement.canvas[0] / placement.scale), round(placement.canvas[1] / placement.scale)


def breast_box(placement: Placement) -> tuple[int, int, int, int]:
    """The crop on the canvas: x0, y0, x1, y1 in canvas pixels, ends exclusive."""
    x0, y0, x1, y1 = placement.crop
    return (
        0,
        0,
        min(placement.canvas[1], math.ceil((x1 - x0) * placement.scale)),
        min(placement.canvas[0], math.ceil((y1 - y0) * placement.scale)),
    )


def to_canvas(points: np.ndarray, placement: Placement) -> np.ndarray:
    """Original (x, y) -> canvas (x, y): float64 N 2. Points outside the crop land outside the canvas or in the padding."""
    points = np.asarray(points, np.float64).reshape(-1, 2)
    x0, y0, x1, _ = placement.crop
    across = (x1 - 1) - points[:, 0] if placement.mirrored else points[:, 0] - x0
    return np.stack([(across + 0.5) * placement.scale - 0.5, (points[:, 1] - y0 + 0.5) * placement.scale - 0.5], 1)


def to_original(points: np.ndarray, placement: Placement) -> np.ndarray:
    """Canvas (x, y) -> original (x, y): float64 N 2; the exact inverse of `to_canvas`."""
    points = np.asarray(points, np.float64).reshape(-1, 2)
    x0, y0, x1, _ = placement.crop
    across = (points[:, 0] + 0.5) / placement.scale - 0.5
    return np.stack([(x1 - 1) - across if placement.mirrored else across + x0, (points[:, 1] + 0.5) / placement.scale - 0.5 + y0], 1)


def image_to_canvas(image: np.ndarray, placement: Placement) -> np.ndarray:
    """The image H W on the canvas, in its own dtype (float32, uint16 or uint8): right in `breast_box`, where
    the last pixels go on with the image's own or, beyond those, with its border repeated; further out anything."""
    x0, y0, x1, _ = placement.crop
    height, width = _covering(placement)[0]
    crop = image[y0 : y0 + height, max(0, x1 - width) : x1] if placement.mirrored else image[y0 : y0 + height, x0 : x0 + width]
    return _onto_canvas(crop, placement, cv2.BORDER_REPLICATE)


def mask_to_canvas(mask: np.ndarray, placement: Placement) -> np.ndarray:
    """A mask H W of the original (bool, or above 0) on the canvas: uint8 H W, 1 where at least half of the pixel is covered."""
    x0, y0, x1, y1 = placement.crop
    crop = (mask[y0:y1, x0:x1] > 0).astype(np.float32)
    return (_onto_canvas(crop, placement, cv2.BORDER_CONSTANT) >= HALF).view(np.uint8)


def cells_to_canvas(cells: np.ndarray, reduce: int, start: tuple[int, int], placement: Placement) -> np.ndarray:
    """A small mask of the image as it lies on the canvas, mirrored if that is, on the canvas: bool H W.

    cells: bool, one for `reduce` x `reduce` pixels. start: x, y in those pixels of the canvas's corner.
    """
    step = reduce * placement.scale
    shift = [(reduce / 2 - at) * placement.scale - 0.5 for at in start]
    matrix = np.array([[step, 0, shift[0]], [0, step, shift[1]]])
    x0, y0, x1, y1 = breast_box(placement)
    whole = np.zeros(placement.canvas, bool)
    soft = cv2.warpAffine(cells.astype(np.uint8) * 255, matrix, (x1, y1), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    np.greater(soft, 127, out=whole[:y1, :x1])
    return whole


def mask_to_original(mask: np.ndarray, placement: Placement) -> np.ndarray:
    """A canvas mask on the original image: uint8 H W with 0 and 1, 0 outside the crop."""
    height, width = extended_size(placement)
    x0, y0, x1, y1 = placement.crop
    soft = resample(np.where(mask, np.float32(1), np.float32(0)), (height, width))[: y1 - y0, : x1 - x0]
    whole = np.zeros(placement.original, np.uint8)
    whole[y0:y1, x0:x1] = (cv2.flip(soft, 1) if placement.mirrored else soft) >= HALF
    return whole


def _covering(placement: Placement) -> tuple[tuple[int, int], tuple[int, int]]:
    """The least part from the canvas's corner on that holds the crop, as height and width in original and in canvas
    pixels, both whole numbers: its resampled pixels are those of the whole canvas. The whole where the image grows,
    as there a pixel looks at its neighbours."""
    extended, canvas = extended_size(placement), placement.canvas
    if placement.scale > 1:
        return extended, canvas
    x0, y0, x1, y1 = placement.crop
    common = math.gcd(extended[0], canvas[0])
    cell, cell_on_canvas = extended[0] // common, canvas[0] // common
    rows, columns = -(-(y1 - y0) // cell), -(-(x1 - x0) // cell)
    return (rows * cell, columns * cell), (rows * cell_on_canvas, columns * cell_on_canvas)


def _onto_canvas(crop: np.ndarray, placement: Placement, border: int) -> np.ndarray:
    """The crop as it lies on the canvas, 0 beyond what covers it."""
    (height, width), covered = _covering(placement)
    crop = cv2.flip(crop, 1) if placement.mirrored else crop
    below, right = height - crop.shape[0], width - crop.shape[1]
    crop = cv2.copyMakeBorder(crop, 0, below, 0, right, border) if below or right else crop
    if covered == placement.canvas:
        return resample(crop, covered)
    whole = np.zeros(placement.canvas, crop.dtype)
    whole[: covered[0], : covered[1]] = resample(crop, covered)
    return whole
