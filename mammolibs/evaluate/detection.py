"""FROC: lesions found against false positives per image.

Each lesion counts once, with the highest score among the regions that hit it; further
regions on a found lesion count neither way. False positives are regions that hit nothing,
on all images, with lesions or without. One cut for all images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mammolibs.evaluate.bootstrap import Statistic
from mammolibs.evaluate.predictions import LesionTruth, Prediction, Region
from mammolibs.evaluate.ranked import running_weights

Score = Callable[[Region], float]


def by_probability(region: Region) -> float:
    return region.probability


@dataclass(frozen=True, kw_only=True, eq=False)
class Detections:
    """lesion_scores: float (lesions,), -inf where nothing hit it. false_scores: float (false positives,).
    *_patients: the cluster of each lesion, false positive and image, str."""

    lesion_scores: np.ndarray
    lesion_patients: np.ndarray
    false_scores: np.ndarray
    false_patients: np.ndarray
    image_patients: np.ndarray


def collect(
    predictions: Sequence[Prediction],
    *,
    score: Score = by_probability,
    wanted: Callable[[LesionTruth], bool] = lambda lesion: True,
) -> Detections:
    """Lesions and false positives of the images whose lesions are all known by place.

    wanted: which lesions count (malignant ones, say); regions on the others count neither way.
    """
    lesion_scores, lesion_patients, false_scores, false_patients, images = [], [], [], [], []
    for p in predictions:
        if not is_located(p):
            continue
        images.append(p.patient_id)
        best = np.full(len(p.lesions), -np.inf)
        for region in p.regions:
            if region.hit < 0:
                false_scores.append(score(region))
                false_patients.append(p.patient_id)
            else:
                best[region.hit] = max(best[region.hit], score(region))
        for lesion, value in zip(p.lesions, best, strict=True):
            if wanted(lesion):
                lesion_scores.append(value)
                lesion_patients.append(p.patient_id)
    return Detections(
        lesion_scores=np.asarray(lesion_scores, float),
        lesion_patients=np.asarray(lesion_patients, str),
        false_scores=np.asarray(false_scores, float),
        false_patients=np.asarray(false_patients, str),
        image_patients=np.asarray(images, str),
    )


def is_located(prediction: Prediction) -> bool:
    """True where the image is known to have no lesion, or the place of each of its lesions is known."""
    if prediction.has_lesion == 1:
        return bool(prediction.lesions) and all(lesion.placed for lesion in prediction.lesions)
    return prediction.has_lesion == 0 and all(lesion.placed for lesion in prediction.lesions)


class RankedDetections:
    """Lesions and false positives in order, sorted once, as `Ranked` is for units; what FROC figures are counted along."""

    def __init__(self, found: Detections):
        self.found = found
        self.patients = np.unique(found.image_patients)
        order = np.argsort(-found.false_scores, kind="stable")
        self.false = found.false_scores[order]
        self._false_codes = np.searchsorted(self.patients, found.false_patients[order])
        self._images = np.bincount(np.searchsorted(self.patients, found.image_patients), minlength=len(self.patients)).astype(np.float32)
        rank = np.argsort(-found.lesion_scores, kind="stable")
        self.lesions = found.lesion_scores[rank]
        self._lesion_codes = np.searchsorted(self.patients, found.lesion_patients[rank])

    def counts(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weights: of images (rounds,); running, of false positives (rounds, F + 1) and of lesions (rounds, L + 1), from the highest score."""
        false = running_weights(np.take(weights, self._false_codes, axis=1))
        return weights @ self._images, false, running_weights(np.take(weights, self._lesion_codes, axis=1))

    def statistic(self, evaluate: Callable[[np.ndarray], np.ndarray], method: str, name: str, *, is_count: bool = False) -> Statistic:
        found, ill = self.found, len(np.unique(self.found.lesion_patients))
        return Statistic(
            unit="lesion", n=len(self.lesions), events=len(self.lesions), patients=self.patients, independent=ill, steps=ill,
            is_count=is_count, method=f"{method} over {len(found.image_patients)} images", evaluate=evaluate,
            problem="" if len(self.lesions) else f"no {name} with a known place on {len(found.image_patients)} images",
        )  # fmt: skip


def lesion_sensitivity_statistic(found: Detections, *, false_per_image: float, name: str = "lesion") -> Statistic:
    """Share of lesions found with a cut that leaves at most `false_per_image` false positives per image."""
    ranked = RankedDetections(found)
    # Per possible cut (the first false positive that is one too many, or none): how many lesions score above it.
    above = np.searchsorted(-ranked.lesions, -np.append(ranked.false, -np.inf), "left")

    def evaluate(weights: np.ndarray) -> np.ndarray:
        images, false, hits = ranked.counts(weights)
        budget = false_per_image * images + 1e-3
        cut = (false[:, 1:] <= budget[:, None]).sum(axis=1)
        return hits[np.arange(len(weights)), above[cut]].astype(np.float64) / hits[:, -1]

    method = f"{name} sensitivity at {false_per_image:g} false positives per image, the cut read off these images' own curve,"
    return ranked.statistic(evaluate, method, name, is_count=True)


def froc_area_statistic(found: Detections, *, most_false: float = 2.0, name: str = "lesion") -> Statistic:
    """Mean lesion sensitivity over 0 to `most_false` false positives per image: the area under that part of the FROC, scaled to [0, 1]."""
    ranked = RankedDetections(found)
    above = np.searchsorted(-ranked.lesions, -np.append(ranked.false, -np.inf), "left")

    def evaluate(weights: np.ndarray) -> np.ndarray:
        images, false, hits = ranked.counts(weights)
        budget = (most_false * images)[:, None].astype(np.float64)
        width = np.diff(np.minimum(false, budget), axis=1)
        area = np.sum(width * hits[:, above[:-1]], axis=1) + (budget[:, 0] - width.sum(axis=1)) * hits[:, above[-1]]
        return area / (budget[:, 0] * hits[:, -1])

    return ranked.statistic(evaluate, f"mean {name} sensitivity from 0 to {most_false:g} false positives per image", name)


def lesion_precision_statistic(found: Detections, *, name: str = "lesion") -> Statistic:
    """Average precision of the regions: over lesions from the highest score on, the share of regions so far that are on a lesion."""
    ranked = RankedDetections(found)
    seen = ranked.lesions[np.isfinite(ranked.lesions)]
    through = np.searchsorted(-seen, -seen, "right")
    false_through = np.searchsorted(-ranked.false, -seen, "right")

    def evaluate(weights: np.ndarray) -> np.ndarray:
        _, false, hits = ranked.counts(weights)
        own = np.diff(hits[:, : len(seen) + 1], axis=1).astype(np.float64)
        called = hits[:, through] + false[:, false_through]
        precision = np.divide(hits[:, through], called, out=np.zeros_like(called), where=called > 0)
        return np.sum(own * precision, axis=1) / hits[:, -1]

    return ranked.statistic(evaluate, f"{name} average precision of regions, a missed {name} counts 0,", name)


def froc_curve(found: Detections) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """False positives per image, lesion sensitivity and cut (score > cut), from the strictest cut to none."""
    scores = np.concatenate([found.lesion_scores[np.isfinite(found.lesion_scores)], found.false_scores])
    cuts = np.concatenate([np.unique(scores)[::-1], [-np.inf]])
    false = np.sort(found.false_scores)
    lesions = np.sort(found.lesion_scores)
    above_false = len(false) - np.searchsorted(false, cuts, "right")
    above_lesions = len(lesions) - np.searchsorted(lesions, cuts, "right")
    return above_false / max(len(found.image_patients), 1), above_lesions / max(len(lesions), 1), cuts


def cut_at(found: Detections, false_per_image: float) -> float:
    """The lowest cut (score > cut) that leaves at most `false_per_image` false positives per image; -inf where all may stay."""
    allowed = int(np.floor(false_per_image * len(found.image_patients) + 1e-9))
    false = np.sort(found.false_scores)[::-1]
    return float(false[allowed]) if allowed < len(false) else float("-inf")
