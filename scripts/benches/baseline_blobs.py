"""Bright blobs as lesion candidates, sorted by a random forest on local measures."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from benches.baseline_measures import breast_mask
from scipy import ndimage

from mammolibs.evaluate import Prediction, Region, match_regions
from mammolibs.prepare import to_original
from mammolibs.records import Sample

SIGMAS = (2.0, 3.0, 4.5, 6.5, 9.5, 14.0)
PER_IMAGE = 12
EDGE_PX = 5  # the film's dark rim and the skin line, which would outshine every lesion
TREES = 300


@dataclass(frozen=True, eq=False)
class Candidates:
    """places: float (n, 3): x, y, sigma on the canvas. features: float (n, f)."""

    places: np.ndarray
    features: np.ndarray


def find_candidates(sample: Sample) -> Candidates:
    """The strongest bright blobs of one breast (Laplacian of Gaussian over scales), at most PER_IMAGE, none within another."""
    image = np.asarray(sample.image, np.float64) / 65535
    mask = breast_mask(sample)
    core = ndimage.binary_erosion(mask, iterations=EDGE_PX)
    mask = core if core.any() else mask
    filled = _extend(image, mask)
    stack = np.stack([-(s**2) * ndimage.gaussian_laplace(filled, s) for s in SIGMAS])
    peaks = (stack == ndimage.maximum_filter(stack, size=(3, 5, 5))) & mask & (stack > 0)
    level, rows, columns = np.nonzero(peaks)
    chosen: list[int] = []
    for peak in np.argsort(-stack[peaks], kind="stable"):
        sigma, x, y = SIGMAS[level[peak]], columns[peak], rows[peak]
        if all(np.hypot(x - columns[c], y - rows[c]) > max(sigma, SIGMAS[level[c]]) for c in chosen):
            chosen.append(int(peak))
        if len(chosen) == PER_IMAGE:
            break
    places = np.array([(columns[c], rows[c], SIGMAS[level[c]]) for c in chosen], float).reshape(-1, 3)
    maps = _Maps(filled, mask, stack)
    features = [maps.at(int(x), int(y), SIGMAS.index(sigma)) for x, y, sigma in places]
    return Candidates(places, np.asarray(features, float).reshape(len(places), -1))


def _extend(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image with air replaced by the nearest tissue, so that the skin line is no blob."""
    nearest = ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True)
    return image[tuple(nearest)]


class _Maps:
    """The images that local measures are read from."""

    def __init__(self, image: np.ndarray, mask: np.ndarray, stack: np.ndarray):
        self.image, self.stack = image, stack
        self.depth = ndimage.distance_transform_edt(mask)
        rows, columns = np.nonzero(mask)
        self.box = columns.min(), rows.min(), max(np.ptp(columns), 1), max(np.ptp(rows), 1)
        self.mean, self.sd = image[mask].mean(), max(image[mask].std(), 1e-6)
        self.smooth = [ndimage.gaussian_filter(image, s) for s in SIGMAS]
        self.gradient = np.stack(np.gradient(ndimage.gaussian_filter(image, 1.5)))
        self.fine = np.abs(image - ndimage.gaussian_filter(image, 1.0))

    def at(self, x: int, y: int, level: int) -> list[float]:
        """The measures of one candidate: place, size, contrast, spread, convergence of gradients, response at each scale."""
        sigma = SIGMAS[level]
        x0, y0, width, height = self.box
        reach = int(np.ceil(3 * sigma))
        bottom, right = self.image.shape
        window = np.s_[max(y - reach, 0) : min(y + reach + 1, bottom), max(x - reach, 0) : min(x + reach + 1, right)]
        rows, columns = np.mgrid[window]
        distance = np.hypot(rows - y, columns - x)
        core, ring = distance <= 1.4 * sigma, (distance > 1.6 * sigma) & (distance <= 3 * sigma)
        values, fine = self.image[window], self.fine[window]
        inward = -(self.gradient[0][window] * (rows - y) + self.gradient[1][window] * (columns - x)) / np.maximum(distance, 1e-6)
        length = np.hypot(*(g[window] for g in self.gradient)) + 1e-9
        near, far = values[core], values[ring] if ring.any() else values[core]
        return [
            sigma, (x - x0) / width, (y - y0) / height, self.depth[y, x],
            near.mean(), near.std(), np.percentile(near, 10), np.percentile(near, 90), near.max(),
            near.mean() - far.mean(), (near.mean() - far.mean()) / self.sd, (near.mean() - self.mean) / self.sd, far.std(),
            np.mean((inward / length)[core]), np.mean((inward / length)[ring]) if ring.any() else 0.0, inward[core].mean(), inward[core].std(),
            fine[core].mean(), fine[core].max(), fine[core].mean() - (fine[ring].mean() if ring.any() else 0.0),
            self.mean, self.sd, *(m[y, x] for m in self.stack), *(m[y, x] - self.mean for m in self.smooth),
            self.stack[level, y, x] / self.sd,
        ]  # fmt: skip


def as_regions(sample: Sample, candidates: Candidates, truth: Prediction) -> tuple[Region, ...]:
    """The candidates in original pixels, each with the lesion that it hits; probability 0 for now."""
    regions = []
    for x, y, sigma in candidates.places:
        radius = np.sqrt(2) * sigma
        corners = np.array([[x, y], [x - radius, y - radius], [x + radius, y + radius]])
        (cx, cy), *ends = to_original(corners, sample.placement)
        (x0, y0), (x1, y1) = np.min(ends, axis=0), np.max(ends, axis=0)
        area = float(np.pi * (radius / sample.placement.scale) ** 2)
        box = (float(x0), float(y0), float(x1), float(y1))
        regions.append(Region(probability=0.0, score=0.0, centre_x=float(cx), centre_y=float(cy), box=box, area_px=area))
    return match_regions(regions, truth.lesions, truth.spacing_mm, height=truth.height)


def score_regions(
    candidates: list[Candidates], regions: list[tuple[Region, ...]], usable: np.ndarray, folds: np.ndarray, seed: int = 0
) -> list[tuple[Region, ...]]:
    """The regions with the probability that a forest, grown on the other folds' candidates, gives them.

    usable: bool per image, True where all its lesions are known by place: only those are learned from.
    """
    from sklearn.ensemble import RandomForestClassifier

    scored = list(regions)
    hits = [np.array([r.hit >= 0 for r in found], int) for found in regions]
    for fold in np.unique(folds[folds >= 0]):
        train = [i for i in np.flatnonzero((folds != fold) & usable) if len(hits[i])]
        test = [i for i in np.flatnonzero(folds == fold) if len(hits[i])]
        labels = np.concatenate([hits[i] for i in train]) if train else np.zeros(0)
        if len(np.unique(labels)) < 2 or not test:
            continue
        forest = RandomForestClassifier(TREES, min_samples_leaf=3, class_weight="balanced_subsample", random_state=seed, n_jobs=1)
        forest.fit(np.concatenate([candidates[i].features for i in train]), labels)
        for i in test:
            chances = forest.predict_proba(candidates[i].features)[:, 1]
            scored[i] = tuple(replace(r, probability=float(p), score=float(p)) for r, p in zip(regions[i], chances, strict=True))
    return scored
