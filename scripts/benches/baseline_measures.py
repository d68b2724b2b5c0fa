"""Simple measures of a breast: intensity, shape and texture, and how much they differ from the other side.

What a careful student would try before any network; 46 numbers per image on its canvas.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.stats import kurtosis, skew

from mammolibs.records import UNKNOWN, Sample

LEVELS = 16
STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))


def breast_mask(sample: Sample) -> np.ndarray:
    """Where the breast lies on the canvas: bool H W. Air is 0, and holes in the tissue are filled."""
    return ndimage.binary_fill_holes(np.asarray(sample.image) > 0)


def measures(sample: Sample) -> dict[str, float]:
    """Name -> finite number, in the same order for every image."""
    image = np.asarray(sample.image, np.float64) / 65535
    mask = breast_mask(sample)
    if mask.sum() < 50:
        mask = np.ones_like(mask)
    values = {**_intensity(image[mask]), **_shape(mask, sample), **_texture(image, mask), **_scales(image, mask)}
    return {name: float(value) if np.isfinite(value) else 0.0 for name, value in values.items()}


def _intensity(inside: np.ndarray) -> dict[str, float]:
    counts = np.histogram(inside, bins=64, range=(0, 1))[0] / len(inside)
    values = {f"percentile_{p}": np.percentile(inside, p) for p in (5, 25, 50, 75, 95, 99)}
    values |= {f"share_above_{cut:g}": np.mean(inside > cut) for cut in (0.5, 0.6, 0.7, 0.8)}
    entropy = -np.sum(counts[counts > 0] * np.log2(counts[counts > 0]))
    return values | {"mean": inside.mean(), "sd": inside.std(), "skew": skew(inside), "kurtosis": kurtosis(inside), "entropy": entropy}


def _shape(mask: np.ndarray, sample: Sample) -> dict[str, float]:
    rows, columns = np.nonzero(mask)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    edge = mask & ~ndimage.binary_erosion(mask)
    scale = sample.placement.scale if sample.placement else 1.0
    return {
        "area_original": mask.sum() / scale**2,
        "height_original": height / scale,
        "width_to_height": width / height,
        "extent": mask.sum() / (height * width),
        "roughness": edge.sum() ** 2 / mask.sum(),
        "centre_x": (columns.mean() - columns.min()) / width,
        "centre_y": (rows.mean() - rows.min()) / height,
    }


def _texture(image: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """Grey-level co-occurrence (Haralick 1973) at two distances, over four directions."""
    grey = np.clip((image * LEVELS).astype(int), 0, LEVELS - 1)
    i, j = np.mgrid[0:LEVELS, 0:LEVELS]
    values = {}
    for distance in (1, 4):
        pairs = np.zeros((LEVELS, LEVELS))
        for dy, dx in STEPS:
            moved, there = (np.roll(a, (dy * distance, dx * distance), (0, 1)) for a in (grey, mask))
            both = mask & there
            np.add.at(pairs, (grey[both], moved[both]), 1)
        pairs = (pairs + pairs.T) / max(2 * pairs.sum(), 1)
        centre = np.sum(i * pairs)
        spread = np.sum((i - centre) ** 2 * pairs)
        values |= {
            f"contrast_{distance}": np.sum((i - j) ** 2 * pairs),
            f"homogeneity_{distance}": np.sum(pairs / (1 + np.abs(i - j))),
            f"energy_{distance}": np.sum(pairs**2),
            f"correlation_{distance}": np.sum((i - centre) * (j - centre) * pairs) / max(spread, 1e-9),
        }
    return values


def _scales(image: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """Blob energy at four scales, gradients, local contrast, brightest smooth spot, slope of the power spectrum."""
    inner = ndimage.binary_erosion(mask, iterations=4)
    inner = inner if inner.sum() > 50 else mask
    values = {}
    for sigma in (1, 2, 4, 8):
        response = -(sigma**2) * ndimage.gaussian_laplace(image, sigma)[inner]
        values |= {f"blob_sd_{sigma}": response.std(), f"blob_top_{sigma}": np.percentile(response, 99.5)}
    slope = ndimage.gaussian_gradient_magnitude(image, 1.5)[inner]
    smooth = ndimage.gaussian_filter(image, 6)[inner]
    local = ndimage.gaussian_filter(image**2, 4) - ndimage.gaussian_filter(image, 4) ** 2
    deviation = np.sqrt(np.maximum(local, 0))[inner]
    values |= {"gradient_mean": slope.mean(), "gradient_sd": slope.std(), "gradient_top": np.percentile(slope, 99)}
    values |= {"brightest_spot": smooth.max(), "spot_contrast": smooth.max() - smooth.mean()}
    return values | {"local_sd_mean": deviation.mean(), "local_sd_sd": deviation.std(), "spectrum_slope": _spectrum_slope(image, mask)}


def _spectrum_slope(image: np.ndarray, mask: np.ndarray) -> float:
    flat = np.where(mask, image - image[mask].mean(), 0)
    power = np.abs(np.fft.fft2(flat)) ** 2
    fy, fx = np.meshgrid(*(np.fft.fftfreq(n) for n in image.shape), indexing="ij")
    frequency = np.hypot(fy, fx)
    edges = np.geomspace(0.03, 0.4, 13)
    means = [power[(frequency >= low) & (frequency < high)].mean() for low, high in zip(edges, edges[1:], strict=False)]
    return float(np.polyfit(np.log(edges[:-1]), np.log(np.maximum(means, 1e-12)), 1)[0])


def with_differences(samples: list[Sample], own: np.ndarray) -> np.ndarray:
    """Each image's measures beside its difference from the other breast in the same view of the same exam.

    own: float (n, f), one row per sample. Returns float (n, 2 f); the difference is 0 where there is no other side.
    """
    sides = {(s.exam_id, s.view, s.laterality): row for row, s in enumerate(samples) if s.laterality != UNKNOWN}
    gaps = np.zeros_like(own)
    for row, s in enumerate(samples):
        other = sides.get((s.exam_id, s.view, {"L": "R", "R": "L"}.get(s.laterality, "")))
        if other is not None:
            gaps[row] = own[row] - own[other]
    return np.concatenate([own, gaps], axis=1)


def out_of_fold_scores(features: np.ndarray, labels: np.ndarray, folds: np.ndarray, *, strength: float = 10.0) -> np.ndarray:
    """Probability of malignancy of each image, from a ridge-logistic fitted on the images of the other folds.

    labels: 1, 0, or -1 for unknown, which nothing is fitted on. NaN where the other folds hold one class only.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    scores = np.full(len(labels), np.nan)
    for fold in np.unique(folds[folds >= 0]):
        train, test = (folds != fold) & (labels >= 0), folds == fold
        if len(np.unique(labels[train])) == 2:
            model = make_pipeline(StandardScaler(), LogisticRegression(C=1 / strength, max_iter=2000))
            scores[test] = model.fit(features[train], labels[train]).predict_proba(features[test])[:, 1]
    return scores
