"""Outlines of lesions as pixels: circle, box, polygon or mask file, on the image and on the canvas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from mammolibs.errors import BadData, BadFile
from mammolibs.prepare.placement import mask_to_canvas, to_canvas
from mammolibs.records import Lesion, Placement

ASPECT_TOLERANCE = 0.01
SHIFT_BITS = 4
# A mask is grey at edges alone, where it was compressed or resized; a mammogram or a crop of one in a tenth of its pixels or more.
GREY_SHARE = 0.01
GREY_PER_DRAWN = 0.25


@dataclass(frozen=True, kw_only=True)
class LesionShape:
    """What the pixels of one lesion say. box: x0, y0, x1, y1, ends exclusive; centre: x, y;
    radius_px: of the disc with the same area; all in original pixels, None where the place is
    unknown. index: its number in the label map, 0 where it has no pixels there."""

    lesion_id: str
    kind: str
    pathology: str
    shape: str
    index: int = 0
    box: tuple[int, int, int, int] | None = None
    centre: tuple[float, float] | None = None
    radius_px: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Raster:
    """mask: uint8 H W, 1 on any lesion. labels: uint16 H W, 1 + the lesion's place in the list; where
    lesions overlap, the smaller one. lesions: one LesionShape each, in the list's order.
    drawn: True where at least one lesion has a place."""

    mask: Any
    labels: Any
    lesions: tuple[LesionShape, ...]

    @property
    def drawn(self) -> bool:
        return any(lesion.box for lesion in self.lesions)


def rasterize(
    lesions: Sequence[Lesion], shape: tuple[int, int], read_mask: Callable[[str], np.ndarray] | None = None, *, name: str = "image"
) -> Raster:
    """All lesions of one image as pixels. shape: height, width. read_mask: path -> array H W.

    What reaches beyond the image is cut off. Raises BadData where a lesion lies outside the
    image altogether, where a mask is empty, or where it differs in aspect by over 1 %; BadFile
    where a mask file is none.
    """
    labels = np.zeros(shape, np.uint16)
    drawn = [
        (index, lesion, *_draw(lesion, shape, read_mask, name)) for index, lesion in enumerate(lesions, 1) if lesion.outline.shape != "none"
    ]
    found = {}
    for index, lesion, (x, y), pixels in sorted(drawn, key=lambda d: -int(d[3].sum())):
        labels[y : y + pixels.shape[0], x : x + pixels.shape[1]][pixels] = index
        rows, columns = pixels.nonzero()
        found[index] = LesionShape(
            lesion_id=lesion.lesion_id,
            kind=lesion.kind,
            pathology=lesion.pathology,
            shape=lesion.outline.shape,
            index=index,
            box=(x + int(columns.min()), y + int(rows.min()), x + int(columns.max()) + 1, y + int(rows.max()) + 1),
            centre=(x + float(columns.mean()), y + float(rows.mean())),
            radius_px=float(np.sqrt(rows.size / np.pi)),
        )
    shapes = tuple(
        found.get(index) or LesionShape(lesion_id=lesion.lesion_id, kind=lesion.kind, pathology=lesion.pathology, shape="none")
        for index, lesion in enumerate(lesions, 1)
    )
    return Raster(mask=(labels > 0).astype(np.uint8), labels=labels, lesions=shapes)


def canvas_mask(mask: np.ndarray, lesions: Sequence[LesionShape], placement: Placement) -> np.ndarray:
    """The mask on the canvas: uint8 H W. A lesion too small for the canvas keeps the pixel at its centre."""
    canvas = mask_to_canvas(mask, placement)
    for lesion in lesions:
        if lesion.centre is None:
            continue
        x, y = np.rint(to_canvas(np.array([lesion.centre]), placement)[0]).astype(int)
        inside = 0 <= x < canvas.shape[1] and 0 <= y < canvas.shape[0]
        if inside and lesion.radius_px * placement.scale < 1.5:
            canvas[y, x] = 1
    return canvas


def describe(lesion: LesionShape, placement: Placement) -> dict[str, Any]:
    """One lesion for `Sample.extra`, JSON types: ids, and box, centre, radius on the canvas, centre and radius in the original."""
    told = {
        "lesion_id": lesion.lesion_id,
        "kind": lesion.kind,
        "pathology": lesion.pathology,
        "shape": lesion.shape,
        "box": None,
        "centre": None,
        "radius_px": None,
        "centre_original": None,
        "radius_original_px": None,
    }
    if lesion.box is None:
        return told
    x0, y0, x1, y1 = lesion.box
    corners = to_canvas(np.array([[x0 - 0.5, y0 - 0.5], [x1 - 0.5, y1 - 0.5]]), placement) + 0.5
    centre = to_canvas(np.array([lesion.centre]), placement)[0]
    low, high = corners.min(0), corners.max(0)
    return told | {
        "box": [round(float(v), 3) for v in (*low, *high)],
        "centre": [round(float(v), 3) for v in centre],
        "radius_px": round(lesion.radius_px * placement.scale, 3),
        "centre_original": [round(v, 3) for v in lesion.centre],
        "radius_original_px": round(lesion.radius_px, 3),
    }


def _draw(
    lesion: Lesion, shape: tuple[int, int], read_mask: Callable[[str], np.ndarray] | None, name: str
) -> tuple[tuple[int, int], np.ndarray]:
    """Where the lesion's pixels start (x, y), and those pixels: bool, cut to the image, at least one True."""
    outline = lesion.outline
    if outline.shape == "mask":
        start, pixels = (0, 0), _from_file(outline.path, shape, read_mask, lesion, name)
    elif outline.shape == "circle":
        start, pixels = _circle(outline.points[0], outline.radius_px, shape)
    else:
        points = np.array(outline.points, float).reshape(-1, 2)
        if outline.shape == "box":
            (x0, y0), (x1, y1) = points[0], points[1]
            points = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
        start, pixels = _polygon(points, shape)
    if not pixels.any():
        raise BadData(
            f"{name}: lesion {lesion.lesion_id} ({outline.shape}) lies outside the image of {shape[1]} x {shape[0]} pixels; correct its coordinates"
        )
    rows, columns = np.flatnonzero(pixels.any(1)), np.flatnonzero(pixels.any(0))
    return (start[0] + int(columns[0]), start[1] + int(rows[0])), pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _window(x0: float, y0: float, x1: float, y1: float, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    left, top = max(0, int(np.floor(x0))), max(0, int(np.floor(y0)))
    return left, top, max(left, min(shape[1], int(np.ceil(x1)) + 1)), max(top, min(shape[0], int(np.ceil(y1)) + 1))


def _circle(centre: tuple[float, float], radius: float, shape: tuple[int, int]) -> tuple[tuple[int, int], np.ndarray]:
    """Pixels whose centre lies within the radius; at least the one that holds the centre."""
    (x, y), radius = centre, max(float(radius or 0), 0.7072)
    x0, y0, x1, y1 = _window(x - radius, y - radius, x + radius, y + radius, shape)
    across, down = np.arange(x0, x1)[None, :] - x, np.arange(y0, y1)[:, None] - y
    return (x0, y0), across**2 + down**2 <= radius**2


def _polygon(points: np.ndarray, shape: tuple[int, int]) -> tuple[tuple[int, int], np.ndarray]:
    """Pixels in or on the polygon; its vertices count to 1/16 pixel."""
    x0, y0, x1, y1 = _window(*points.min(0), *points.max(0), shape)
    pixels = np.zeros((y1 - y0, x1 - x0), np.uint8)
    if pixels.size:
        fixed = np.rint((points - (x0, y0)) * (1 << SHIFT_BITS)).astype(np.int32)
        cv2.fillPoly(pixels, [fixed], 1, shift=SHIFT_BITS)
    return (x0, y0), pixels.astype(bool)


def _from_file(path: str, shape: tuple[int, int], read_mask: Callable[[str], np.ndarray] | None, lesion: Lesion, name: str) -> np.ndarray:
    """The mask file above half of its range, at the image's size."""
    if read_mask is None:
        raise BadData(f"{name}: lesion {lesion.lesion_id} is drawn in {path}, and no reader for mask files was given")
    mask = np.asarray(read_mask(path))
    mask = mask.max(-1) if mask.ndim == 3 else mask
    across, down = shape[1] / mask.shape[1], shape[0] / mask.shape[0]
    if abs(across / down - 1) > ASPECT_TOLERANCE:
        raise BadData(
            f"{path}: mask of {mask.shape[1]} x {mask.shape[0]} pixels for an image of {shape[1]} x {shape[0]} ({name}); its aspect differs by over 1 %"
        )
    top = float(mask.max())
    # 8, 12 or 16 bits, whatever the file stores them in; JPEG noise round 0 stays below half of that
    span = 1 if mask.dtype == bool or top <= 1 else next((r for r in (255, 4095) if top <= r), 65535)
    drawn = mask > span / 2
    grey = np.count_nonzero((mask > span / 4) & (mask < span * 3 / 4))
    if grey > max(GREY_SHARE * mask.size, GREY_PER_DRAWN * np.count_nonzero(drawn)):
        raise BadFile(
            path, f"is no mask (grey values in {grey / mask.size:.0%} of it)", "give the mask of the lesion, or leave the lesion out"
        )
    if not drawn.any():
        raise BadData(
            f"{path}: the mask of lesion {lesion.lesion_id} is empty (its highest value is {top:g}); draw it again or leave the lesion out"
        )
    if mask.shape != tuple(shape):
        drawn = (
            cv2.resize(drawn.astype(np.float32), (shape[1], shape[0]), interpolation=cv2.INTER_AREA if across < 1 else cv2.INTER_LINEAR)
            >= 0.5
        )
    return drawn
