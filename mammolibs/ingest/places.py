"""Places of normal tissue: inside the breast, away from every lesion, decided by a seed and the image's id."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import cv2
import numpy as np

from mammolibs.prepare import Contract, FullResolution, LesionShape, Located, patch_side_px

DEPTH_SHARE = 0.25


def normal_places(
    image_id: str,
    seed: int,
    count: int,
    contract: Contract,
    full: FullResolution,
    located: Located,
    lesions: Sequence[LesionShape],
) -> list[tuple[float, float]]:
    """Up to `count` patch centres (x, y) in original pixels, apart from each other where there is room.

    A centre lies at least a quarter of a patch inside the skin, and its patch touches no
    lesion's box; fewer come back where the breast has no room for more.
    """
    side, reduce = patch_side_px(contract, full.spacing_mm, full.breast_height_px), located.region.reduce
    free = _deep(located.region.mask, DEPTH_SHARE * side / reduce)
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(f"{seed} {image_id}".encode()).digest()[:8], "little"))
    width = located.region.shape[1]
    for lesion in lesions:
        if lesion.box:
            _block(free, _seen(lesion.box, located.mirrored, width), side, reduce)
    places = []
    roomy = free.copy()
    for _ in range(count):
        cells = np.argwhere(roomy if roomy.any() else free)
        if not len(cells):
            break
        row, column = cells[rng.integers(len(cells))]
        x, y = ((v + 0.5) * reduce - 0.5 for v in (float(column), float(row)))
        _block(roomy, (x, y, x + 1, y + 1), side, reduce)
        places.append((width - 1 - x if located.mirrored else x, y))
    return places


def _deep(mask: np.ndarray, cells: float) -> np.ndarray:
    """Cells at least so far from the skin; the image's own border is no skin."""
    wide = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    return cv2.distanceTransform(wide, cv2.DIST_L2, 3)[1:-1, 1:-1] > max(cells, 0.5)


def _seen(box: tuple[int, int, int, int], mirrored: bool, width: int) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = box
    return (width - x1, y0, width - x0, y1) if mirrored else box


def _block(free: np.ndarray, box: tuple[float, float, float, float], side: int, reduce: int) -> None:
    """Close all cells whose patch would touch the box."""
    margin = side / 2 + reduce
    x0, y0 = (max(0, int((v - margin) // reduce)) for v in box[:2])
    x1, y1 = (max(0, int(-(-(v + margin) // reduce))) for v in box[2:])
    free[y0:y1, x0:x1] = False
