"""Where the breast is: looked for on a small image, so that a full mammogram costs milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from mammolibs.errors import BadFile
from mammolibs.prepare.contract import Contract

LEAST_CELLS = 96
LEAST_SIDE = 16
FILM_FILL = 0.95
TISSUE_RATIO = 1.5


@dataclass(frozen=True, kw_only=True, eq=False)
class BreastRegion:
    """mask: bool, one cell for each `reduce` x `reduce` pixels, True on the breast. core: its inner
    part, without the rim in which the blur mixes tissue and air. box: x0, y0, x1, y1 in pixels of the image, ends exclusive,
    padded by one cell. shape: height, width of the image."""

    mask: Any
    core: Any
    box: tuple[int, int, int, int]
    reduce: int
    shape: tuple[int, int]


def find_breast(
    pixels: np.ndarray, padding: np.ndarray | None = None, *, contract: Contract | None = None, name: str = "image"
) -> BreastRegion:
    """The breast as a filled small mask and a box.

    pixels: H W, float or integer, dark is air. padding: bool H W, True where there is no image.
    The small image (area means) is blurred, and its square root, in which fat lies nearer to
    dense tissue than to air, is cut by Otsu's threshold. Opening takes away strips and tape
    that touch the breast; the largest component that is left is the breast.

    Raises BadFile (file `name`) where nothing looks like a breast.
    """
    contract = contract or Contract()
    reduce = max(1, min(contract.finder_reduce, min(pixels.shape[:2]) // LEAST_CELLS))
    small, live = _small(pixels, padding, reduce, name)
    level = np.sqrt(cv2.GaussianBlur(small, (0, 0), contract.finder_blur_cells) if contract.finder_blur_cells else small)
    tissue = _largest(_threshold(level, live), contract.finder_open_share)
    if tissue.mean() < contract.finder_least_share:
        raise _no_breast(name, f"the largest bright region covers {tissue.mean():.1%} of the image")
    mask = _fill(_grow(tissue, contract.finder_grow_cells) & (live | tissue))
    shape = pixels.shape[:2]
    return BreastRegion(mask=mask, core=_inner(_fill(tissue)), box=_box(mask, reduce, shape), reduce=reduce, shape=shape)


def mask_on_pixels(region: BreastRegion) -> np.ndarray:
    """The region's mask at full resolution inside its box, smooth between the cells: bool H W."""
    x0, y0, x1, y1 = region.box
    cells = region.mask[y0 // region.reduce : -(-y1 // region.reduce), x0 // region.reduce : -(-x1 // region.reduce)]
    size = (cells.shape[1] * region.reduce, cells.shape[0] * region.reduce)
    soft = cv2.resize(cells.astype(np.uint8) * 255, size, interpolation=cv2.INTER_LINEAR)
    # The image's last pixels may make no whole cell
    short = max(0, y1 - y0 - size[1]), max(0, x1 - x0 - size[0])
    soft = cv2.copyMakeBorder(soft, 0, short[0], 0, short[1], cv2.BORDER_REPLICATE) if any(short) else soft
    return soft[: y1 - y0, : x1 - x0] > 127


def _small(pixels: np.ndarray, padding: np.ndarray | None, reduce: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Area means scaled to [0, 1], and where there is film or detector: bool. Only whole cells are seen."""
    rows, columns = pixels.shape[0] // reduce, pixels.shape[1] // reduce
    if min(rows, columns) < LEAST_SIDE:
        raise _no_breast(name, f"the image has {pixels.shape[0]} x {pixels.shape[1]} pixels")
    values = pixels if pixels.dtype in (np.float32, np.uint8, np.uint16) else pixels.astype(np.float32)
    small = cv2.resize(values[: rows * reduce, : columns * reduce], (columns, rows), interpolation=cv2.INTER_AREA).astype(np.float32)
    dead = np.zeros(small.shape, bool)
    if padding is not None and padding.any():
        dead = padding[reduce // 2 : rows * reduce : reduce, reduce // 2 : columns * reduce : reduce].copy()
        small[dead] = small[~dead].min() if (~dead).any() else 0
    low, high = float(small.min()), float(small.max())
    if not np.isfinite(high - low) or high <= low:
        raise _no_breast(name, "all pixels are equal")
    small = (small - low) / (high - low)
    return small, (small > 1e-4) & ~dead


def _threshold(level: np.ndarray, live: np.ndarray) -> np.ndarray:
    """True where tissue may be. A scanned film may lie in a black frame: where the first cut finds
    the film and not the breast, the film alone is cut again."""
    tissue = level > otsu(level)
    film = live & tissue
    if live.mean() < 1 and film.sum() >= FILM_FILL * live.sum():
        cut = otsu(level[live])
        bright, dark = level[live & (level > cut)], level[live & (level <= cut)]
        if bright.size and dark.size and bright.mean() > TISSUE_RATIO * dark.mean():
            return level > cut
    return tissue


def otsu(values: np.ndarray, bins: int = 256) -> float:
    """The threshold that separates two classes best (N. Otsu, 1979); values above it are the upper class."""
    low, high = np.float32(values.min()), np.float32(values.max())
    # OpenCV's range is without its end
    counts = cv2.calcHist([np.ravel(values).astype(np.float32)], [0], None, [bins], [low, np.nextafter(high, np.float32(np.inf))])
    counts, edges = counts.ravel().astype(np.float64), np.linspace(low, high, bins + 1)
    centres = (edges[:-1] + edges[1:]) / 2
    weight, moment = np.cumsum(counts)[:-1], np.cumsum(counts * centres)[:-1]
    total, mass = counts.sum(), float(counts @ centres)
    between = (mass * weight - moment * total) ** 2 / np.maximum(weight * (total - weight), 1)
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    return float(edges[int(best.mean()) + 1])


def _largest(tissue: np.ndarray, open_share: float) -> np.ndarray:
    """The largest component after opening, grown back into what the opening took from its rim."""
    side = 2 * round(open_share * min(tissue.shape) / 2) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    x, y, width, height = cv2.boundingRect(tissue.view(np.uint8))
    whole = tissue[y : y + height, x : x + width].astype(np.uint8)
    # Air round the image: else a strip along its border would count as wide
    framed = cv2.copyMakeBorder(whole, side, side, side, side, cv2.BORDER_CONSTANT, value=0)
    opened = cv2.morphologyEx(framed, cv2.MORPH_OPEN, kernel)[side:-side, side:-side].copy()
    count, labels, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=4)
    largest = np.zeros(tissue.shape, bool)
    if count > 1:
        core = (labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())).astype(np.uint8)
        grown = cv2.dilate(core, cv2.getStructuringElement(cv2.MORPH_RECT, (3, 3)))
        largest[y : y + height, x : x + width] = grown & whole
    return largest


def _grow(mask: np.ndarray, cells: int) -> np.ndarray:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * cells + 1, 2 * cells + 1))
    return cv2.dilate(mask.astype(np.uint8), kernel).astype(bool)


def _fill(mask: np.ndarray) -> np.ndarray:
    """Without holes: everything that its outer contour encloses."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros(mask.shape, np.uint8)
    cv2.drawContours(filled, contours, -1, 1, cv2.FILLED)
    return filled.astype(bool)


def _inner(mask: np.ndarray) -> np.ndarray:
    """Without its outermost cells; the image's own border is no rim."""
    inner = cv2.erode(mask.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_RECT, (3, 3))).astype(bool)
    return inner if inner.any() else mask


def _box(mask: np.ndarray, reduce: int, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    sides = ((xs[-1], mask.shape[1], shape[1]), (ys[-1], mask.shape[0], shape[0]))
    ends = [int(last) + 2 if last + 2 < cells else -(-size // reduce) for last, cells, size in sides]
    x0, y0 = (max(0, int(first) - 1) * reduce for first in (xs[0], ys[0]))
    return x0, y0, min(shape[1], ends[0] * reduce), min(shape[0], ends[1] * reduce)


def _no_breast(name: str, reason: str) -> BadFile:
    return BadFile(name, f"no breast found ({reason})", "look at it; leave it out of the data if it is no mammogram")
