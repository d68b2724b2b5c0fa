"""Which side the chest wall is on, and the intensities of the breast: what one image decides once."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mammolibs.errors import BadFile
from mammolibs.prepare.breast import BreastRegion, find_breast
from mammolibs.prepare.contract import Contract
from mammolibs.records import Mammogram

EDGE_SHARE = 0.06
CUT_SHARE = 0.5
CLEAR_DIFFERENCE = 0.05
PERCENTILE_PIXELS = 100_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Located:
    """A mammogram's breast, as all prepared pixels of it need it.

    region: on the mirrored image where `mirrored`. crop: x0, y0, x1, y1 in the original.
    low, high: the intensities that become 1 and 65535.
    """

    region: BreastRegion
    crop: tuple[int, int, int, int]
    mirrored: bool
    low: float
    high: float

    @property
    def breast_height_px(self) -> int:
        """Height of the breast's box in original pixels."""
        return self.crop[3] - self.crop[1]


def locate(mammogram: Mammogram, contract: Contract) -> Located:
    """Find the breast, decide its side and measure its intensities. A mirrored image gives the same, mirrored.

    Raises BadFile where no breast is found, or where it has one grey level only.
    """
    name = mammogram.facts.source_file
    pixels, padding = mammogram.pixels, mammogram.padding
    region = find_breast(pixels, padding, contract=contract, name=name)
    mirrored = (mammogram.chest_wall or chest_wall_side(region.mask, mammogram.laterality)) == "right"
    x0, y0, x1, y1 = region.box
    if mirrored:
        # The grid of cells starts at the left: looked for again, so that twins agree to the bit
        pixels, padding = cv2.flip(pixels, 1), None if padding is None else np.ascontiguousarray(padding[:, ::-1])
        region = find_breast(pixels, padding, contract=contract, name=name)
        x0, y0, x1, y1 = region.box
        x0, x1 = pixels.shape[1] - x1, pixels.shape[1] - x0
    low, high = _levels(pixels, region, contract, name)
    return Located(region=region, crop=(x0, y0, x1, y1), mirrored=mirrored, low=low, high=high)


def chest_wall_side(mask: np.ndarray, laterality: str = "unknown") -> str:
    """ "left" or "right", from the breast's mask H W.

    The chest wall cuts the breast off straight, so there the mask is high up to its very
    edge; at the nipple it narrows. Where both edges are alike the side with more of the
    breast counts. A tie is decided by the laterality (a right breast has it on the right, as
    films are hung), and so is a breast that both edges cut; where it is unknown, left.
    """
    columns = mask.any(0).nonzero()[0]
    inside = mask[:, columns[0] : columns[-1] + 1].sum(0).astype(float)
    edge = max(1, round(EDGE_SHARE * inside.size))
    first, last = (part.mean() / inside.max() for part in (inside[:edge], inside[-edge:]))
    if min(first, last) > CUT_SHARE and laterality in ("L", "R"):
        return "right" if laterality == "R" else "left"
    half = inside.size // 2
    halves = (inside[:half].sum() - inside[inside.size - half :].sum()) / inside.sum() if half else 0.0
    for difference in (first - last, halves):
        if abs(difference) > CLEAR_DIFFERENCE:
            return "left" if difference > 0 else "right"
    return "right" if laterality == "R" else "left"


def scale_levels(values: np.ndarray, breast: np.ndarray, located: Located) -> np.ndarray:
    """Intensities float32 H W on the contract's scale: uint16 H W, 1 to 65535 on the breast, exactly 0 outside."""
    slope = 65534 / (located.high - located.low)
    # A cast that saturates, in one pass
    scaled = cv2.addWeighted(values, slope, values, 0, 1 - located.low * slope, dtype=cv2.CV_16U)
    return np.maximum(scaled, 1, out=scaled) * breast


def _levels(pixels: np.ndarray, region: BreastRegion, contract: Contract, name: str) -> tuple[float, float]:
    """The percentiles over a regular grid of the breast's pixels, without the rim of air that the mask has."""
    x0, y0, x1, y1 = region.box
    step = max(1, round(((x1 - x0) * (y1 - y0) / PERCENTILE_PIXELS) ** 0.5))
    rows, columns = (
        np.minimum(np.arange(start, stop, step) // region.reduce, size - 1)
        for start, stop, size in ((y0, y1, region.core.shape[0]), (x0, x1, region.core.shape[1]))
    )
    inside = pixels[y0:y1:step, x0:x1:step][region.core[np.ix_(rows, columns)]]
    low, high = np.percentile(inside, (contract.low_percentile, contract.high_percentile))
    if not high > low:
        raise BadFile(name, "the breast has one grey level only", "look at it; leave it out of the data if it is no mammogram")
    return float(low), float(high)
