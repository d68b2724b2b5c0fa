"""Square patches of a fixed width on the breast, cut at full resolution."""

from __future__ import annotations

import numpy as np

from mammolibs.prepare.contract import Contract
from mammolibs.prepare.placement import resample
from mammolibs.prepare.sample import FullResolution


def patch_side_px(contract: Contract, spacing_mm: float | None, breast_height_px: float) -> int:
    """Width of a patch in original pixels: patch_mm, or a share of the breast's height where the spacing is unknown."""
    side = contract.patch_mm / spacing_mm if spacing_mm else contract.patch_height_share * breast_height_px
    return max(1, round(side))


def cut_patch(
    full: FullResolution,
    centre_xy: tuple[float, float],
    contract: Contract,
    spacing_mm: float | None = None,
    breast_height_px: float | None = None,
) -> np.ndarray:
    """The patch round a point: uint16 S S, S = patch_size_px; beyond the breast it is air, 0.

    centre_xy: in original pixels; the cut is at whole pixels, so it lies within half of one.
    The patch is mirrored as the canvas is. spacing_mm and breast_height_px are the image's own where not given.
    """
    side = patch_side_px(contract, spacing_mm or full.spacing_mm, breast_height_px or full.breast_height_px)
    x0, y0, x1, _ = full.crop
    across = (x1 - 1) - centre_xy[0] if full.mirrored else centre_xy[0] - x0
    left, top = round(across - (side - 1) / 2), round(centre_xy[1] - y0 - (side - 1) / 2)
    height, width = full.pixels.shape
    cut = np.zeros((side, side), np.uint16)
    inside = full.pixels[max(0, top) : max(0, min(height, top + side)), max(0, left) : max(0, min(width, left + side))]
    if inside.size:
        y, x = max(0, -top), max(0, -left)
        cut[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return resample(cut, (contract.patch_size_px, contract.patch_size_px))
