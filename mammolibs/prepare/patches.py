"""Square patches of a fixed width on the breast, cut at full resolution."""

from __future__ import annotations

import numpy as np

from mammolibs.prepare.contract import Contract
from mammolibs.prepare.resample import resample
from mammolibs.prepare.sample import FullResolution
from mammolibs.records import Placement


def patch_side_px(contract: Contract, spacing_mm: float | None, breast_height_px: float) -> int:
    """Width of a patch in original pixels: patch_mm, or a share of the breast's height where the spacing is unknown."""
    side = contract.patch_mm / spacing_mm if spacing_mm else contract.patch_height_share * breast_height_px
    return max(1, round(side))


def patch_placement(
    full: FullResolution,
    centre_xy: tuple[float, float],
    contract: Contract,
    spacing_mm: float | None = None,
    breast_height_px: float | None = None,
) -> Placement:
    """Where the patch round a point comes from. Its crop may reach beyond the image.

    centre_xy: in original pixels; the cut is at whole pixels, so it lies within half of one.
    spacing_mm and breast_height_px are the image's own where not given.
    """
    side = patch_side_px(contract, spacing_mm or full.spacing_mm, breast_height_px or full.breast_height_px)
    x0, y0, x1, _ = full.crop
    # Counted from the chest wall, so that twins are cut alike
    across = (x1 - 1) - centre_xy[0] if full.mirrored else centre_xy[0] - x0
    left, top = round(across - (side - 1) / 2), round(centre_xy[1] - y0 - (side - 1) / 2) + y0
    left = x1 - left - side if full.mirrored else left + x0
    size = contract.patch_size_px
    return Placement(
        original=full.original, crop=(left, top, left + side, top + side), mirrored=full.mirrored, scale=size / side, canvas=(size, size)
    )


def cut_patch(
    full: FullResolution,
    centre_xy: tuple[float, float],
    contract: Contract,
    spacing_mm: float | None = None,
    breast_height_px: float | None = None,
) -> np.ndarray:
    """The patch round a point: uint16 S S, S = patch_size_px, mirrored as the canvas is; beyond the breast it is air, 0.

    Arguments as in `patch_placement`.
    """
    crop = patch_placement(full, centre_xy, contract, spacing_mm, breast_height_px).crop
    x0, y0, x1, _ = full.crop
    left, top, side = (x1 - crop[2] if full.mirrored else crop[0] - x0), crop[1] - y0, crop[2] - crop[0]
    height, width = full.pixels.shape
    cut = np.zeros((side, side), np.uint16)
    inside = full.pixels[max(0, top) : max(0, min(height, top + side)), max(0, left) : max(0, min(width, left + side))]
    if inside.size:
        y, x = max(0, -top), max(0, -left)
        cut[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return resample(cut, (contract.patch_size_px, contract.patch_size_px))
