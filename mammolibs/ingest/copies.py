"""One image as its copies: turned, resized, with CLAHE, on the breast's own intensity scale; its lesions go along."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from mammolibs.augment.warp import Geometry, affine, warp
from mammolibs.catalog.outlines import bounds
from mammolibs.ingest.reading import read_mask
from mammolibs.prepare import Contract, Located, full_resolution, rasterize
from mammolibs.prepare.resample import resample
from mammolibs.records import Lesion, Mammogram, Outline

CLAHE_TILES = 8
CLAHE_STEPS = 8
WHITE = 65535
# Of 16 bits per level of 8 bits.
LEVEL = 257
# Sides come out of sines and cosines: 1e-6 pixel too long is no pixel more.
SIDE_TOLERANCE_PX = 1e-6


@dataclass(frozen=True, eq=False)
class View:
    """From an image of height, width `original` to its copy of height, width `shape`.

    The image is turned by `degrees` on a canvas that holds all of it (`turned`: height,
    width), then resized. Beyond its border is air, 0.
    """

    degrees: float
    original: tuple[int, int]
    turned: tuple[int, int]
    shape: tuple[int, int]
    geometry: Geometry

    @property
    def as_is(self) -> bool:
        """True where the copy has the image's own pixels."""
        return self.degrees == 0 and self.shape == self.original

    @property
    def scale(self) -> float:
        """Pixels of the copy per pixel of the image; the two axes differ by the rounding of their lengths alone."""
        return math.sqrt(math.prod(self.shape) / math.prod(self.turned))

    def edge(self, wall: str) -> str:
        """Where a chest wall at the left or right edge of the image lies on the copy; empty where it runs across.

        A tilted wall is not where the breast's form says: of 40 films turned by 10 degrees
        half were taken for the other side.
        """
        across = math.cos(math.radians(self.degrees))
        if abs(across) < SIDE_TOLERANCE_PX:
            return ""
        return wall if across > 0 else {"left": "right", "right": "left"}[wall]

    def see(self, pixels: np.ndarray) -> np.ndarray:
        """An image H W, any real dtype, as float32 through the view: bilinear where it turns, area means where it shrinks."""
        pixels = pixels.astype(np.float32)
        if self.degrees:
            roomy = np.zeros([max(sides) for sides in zip(self.original, self.turned, strict=True)], np.float32)
            roomy[: self.original[0], : self.original[1]] = pixels
            pixels = warp(roomy, None, self.geometry)[0][: self.turned[0], : self.turned[1]]
        return resample(np.ascontiguousarray(pixels), self.shape)

    def points(self, points: np.ndarray) -> np.ndarray:
        """(x, y) of the image -> (x, y) of the copy: float64 N 2."""
        points = np.asarray(points, np.float64).reshape(-1, 2)
        matrix = self.geometry.matrix
        turned = np.linalg.solve(matrix[:, :2], (points - matrix[:, 2]).T).T
        factors = np.array(self.shape[::-1]) / np.array(self.turned[::-1])
        return (turned + 0.5) * factors - 0.5


def make_view(original: tuple[int, int], degrees: float, longest_px: int | None) -> View:
    """The view that turns an image of (height, width) clockwise by `degrees` and shrinks it as its longer side shrinks to `longest_px`."""
    height, width = original
    cos, sin = (abs(function(math.radians(degrees))) for function in (math.cos, math.sin))
    turned = tuple(math.ceil(side - SIDE_TOLERANCE_PX) for side in (width * sin + height * cos, width * cos + height * sin))
    roomy = max(height, turned[0]), max(width, turned[1])
    # Image and turned image both begin at the canvas's first pixel; their middles are laid upon each other.
    matrix = affine(
        roomy,
        degrees=degrees,
        source_centre=((width - 1) / 2, (height - 1) / 2),
        shift=((turned[1] - roomy[1]) / 2, (turned[0] - roomy[0]) / 2),
    )
    factor = min(1.0, longest_px / max(original)) if longest_px else 1.0
    shape = max(1, round(turned[0] * factor)), max(1, round(turned[1] * factor))
    return View(degrees, original, turned, shape, Geometry(matrix, None))


def levels(mammogram: Mammogram, located: Located, contract: Contract, normalise: bool) -> np.ndarray:
    """The image as uint16 H W, what its file calls padding as air, 0.

    normalise: the contract's percentiles inside the breast become 1 and 65535, and
    everything outside the breast 0; else [0, 1] becomes 0 to 65535.
    """
    if not normalise:
        pixels = np.rint(mammogram.pixels * np.float32(WHITE)).astype(np.uint16)
        return pixels if mammogram.padding is None else np.where(mammogram.padding, np.uint16(0), pixels)
    full = full_resolution(mammogram, contract, located=located)
    x0, y0, x1, y1 = full.crop
    pixels = np.zeros(full.original, np.uint16)
    pixels[y0:y1, x0:x1] = full.pixels[:, ::-1] if full.mirrored else full.pixels
    return pixels


def equalise(pixels: np.ndarray, clip: float) -> np.ndarray:
    """Contrast-limited adaptive histogram equalisation of uint16 H W (K. Zuiderveld, 1994), on 8 x 8 tiles; air of exactly 0 stays 0.

    clip: OpenCV's clip limit, the steepest slope over that of a flat histogram. The histograms
    have 256 levels: with 65536 of them, most never used by images of 8 to 14 bits, the limit
    cuts nearly everything (a film of 8 bits changed by 0.1 % of the range instead of 3.4 %).
    The mean of equalisations whose levels begin an eighth of a level apart keeps what lies
    between the levels; values of 8 bits (multiples of 257) come out as OpenCV's own.
    """
    clahe = cv2.createCLAHE(clip, (CLAHE_TILES, CLAHE_TILES))
    total = np.zeros(pixels.shape, np.uint16)
    for step in range(CLAHE_STEPS):
        level = ((np.arange(WHITE + 1) + (step + 0.5) / CLAHE_STEPS * LEVEL) // LEVEL).astype(np.uint8)
        total += clahe.apply(level[pixels])
    return np.where(pixels > 0, np.rint(total * np.float32(LEVEL / CLAHE_STEPS)).astype(np.uint16), np.uint16(0))


def move_lesion(lesion: Lesion, view: View, write_mask: Callable[[np.ndarray], str], name: str) -> Lesion:
    """The lesion on the copy. write_mask: uint16 H W, 0 or 65535 -> the path that it was written to. name: the image's, for errors.

    Circles and polygons are moved by their points, and so is a box, which is a polygon once
    it is turned. Masks become mask files of the copy's size, and so does an outline that
    reaches beyond the image: on the copy there may be room where the image cut it off.

    Raises BadFile or BadData for a mask that cannot be used and for a lesion outside its image.
    """
    outline = lesion.outline
    if outline.shape == "none":
        moved = outline
    elif outline.shape == "mask" or _reaches_beyond(outline, view.original):
        moved = Outline(shape="mask", path=write_mask(_move_mask(lesion, view, name)))
    else:
        corners = outline.points
        if outline.shape == "box" and view.degrees:
            (x0, y0), (x1, y1) = corners
            corners = ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
        points = tuple((float(x), float(y)) for x, y in view.points(np.array(corners)))
        radius = None if outline.radius_px is None else outline.radius_px * view.scale
        moved = Outline(shape="polygon" if len(corners) != len(outline.points) else outline.shape, points=points, radius_px=radius)
    return replace(lesion, outline=moved, slice=None)


def _reaches_beyond(outline: Outline, shape: tuple[int, int]) -> bool:
    x0, y0, x1, y1 = bounds(outline)
    return min(x0, y0) < -0.5 or x1 > shape[1] - 0.5 or y1 > shape[0] - 0.5


def _move_mask(lesion: Lesion, view: View, name: str) -> np.ndarray:
    """65535 where at least half of a pixel of the copy is lesion; a lesion too small for that keeps the pixel at its centre."""
    raster = rasterize((lesion,), view.original, read_mask, name=name)
    mask = np.where(view.see(raster.mask) >= 0.5, np.uint16(WHITE), np.uint16(0))
    if not mask.any():
        x, y = np.rint(view.points(np.array(raster.lesions[0].centre))[0]).astype(int)
        mask[min(max(y, 0), mask.shape[0] - 1), min(max(x, 0), mask.shape[1] - 1)] = WHITE
    return mask
