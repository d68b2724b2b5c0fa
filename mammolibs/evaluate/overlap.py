"""How well a mask covers the truth: Dice and IoU, how far their borders lie apart, and the cut at which the mean Dice is best."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

CUTS = tuple(round(0.05 * step, 2) for step in range(1, 20))


def dice_iou(predicted: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Dice and IoU of two masks of one shape (nonzero is lesion). Both empty: 1, one empty: 0."""
    predicted, truth = np.asarray(predicted) != 0, np.asarray(truth) != 0
    if predicted.shape != truth.shape:
        raise ValueError(f"masks of shapes {predicted.shape} and {truth.shape} cannot be compared")
    shared = int(np.sum(predicted & truth))
    total = int(predicted.sum()) + int(truth.sum())
    if total == 0:
        return 1.0, 1.0
    return 2 * shared / total, shared / (total - shared)


def surface_distances(predicted: np.ndarray, truth: np.ndarray, spacing_mm: float) -> tuple[float, float] | None:
    """How far the borders of two masks of one shape (nonzero is lesion) lie apart, in mm; None where either is empty.

    spacing_mm: width of a pixel. First the average symmetric surface distance (Heimann et al. 2009): the mean, over the border
    pixels of both masks, of the distance to the nearest border pixel of the other. Then the 95 % Hausdorff distance (Huttenlocher
    et al. 1993): the larger of the two directions' 95th percentiles. A border pixel is one of the mask with a neighbour, of four,
    outside it; beyond the picture all is outside.
    """
    from scipy.ndimage import distance_transform_edt

    predicted, truth = np.asarray(predicted) != 0, np.asarray(truth) != 0
    if predicted.shape != truth.shape:
        raise ValueError(f"masks of shapes {predicted.shape} and {truth.shape} cannot be compared")
    if not predicted.any() or not truth.any():
        return None
    rows, columns = (np.flatnonzero((predicted | truth).any(axis)) for axis in (1, 0))
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    borders = [_border(mask[part]) for mask in (predicted, truth)]
    there, back = (distance_transform_edt(~borders[1 - k])[borders[k]] * spacing_mm for k in (0, 1))
    return float(np.concatenate([there, back]).mean()), float(max(np.percentile(there, 95), np.percentile(back, 95)))


def _border(mask: np.ndarray) -> np.ndarray:
    padded = np.pad(mask, 1)
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inside


@dataclass
class DiceSweep:
    """Mean Dice over lesion images at each cut, one image at a time; no map is kept."""

    cuts: tuple[float, ...] = CUTS
    images: int = 0
    _sums: np.ndarray = field(default=None, repr=False)

    def add(self, probability: np.ndarray, truth: np.ndarray) -> None:
        """Take in one image. probability: float H W in [0, 1]; truth: H W, nonzero is lesion. Empty truths are passed over."""
        truth = np.asarray(truth) != 0
        if not truth.any():
            return
        if self._sums is None:
            self._sums = np.zeros(len(self.cuts))
        self._sums += [dice_iou(np.asarray(probability) > cut, truth)[0] for cut in self.cuts]
        self.images += 1

    def best(self) -> tuple[float, float | None]:
        """The cut of the highest mean Dice and that Dice; (0.5, None) where no lesion image was seen."""
        if not self.images:
            return 0.5, None
        means = self._sums / self.images
        index = int(np.argmax(means))
        return self.cuts[index], float(means[index])
