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


def lesion_sensitivity_statistic(found: Detections, *, false_per_image: float, name: str = "lesion") -> Statistic:
    """Share of lesions found with a cut that leaves at most `false_per_image` false positives per image."""
    patients = np.unique(found.image_patients)
    order = np.argsort(-found.false_scores, kind="stable")
    false = found.false_scores[order]
    false_codes = np.searchsorted(patients, found.false_patients[order])
    image_counts = np.bincount(np.searchsorted(patients, found.image_patients), minlength=len(patients))
    rank = np.argsort(-found.lesion_scores, kind="stable")
    lesions = found.lesion_scores[rank]
    lesion_codes = np.searchsorted(patients, found.lesion_patients[rank])
    # Per possible cut (the first false positive that is one too many, or none): how many lesions score above it.
    cuts = np.append(false, -np.inf)
    above = np.searchsorted(-lesions, -cuts, "left")

    def evaluate(weights: np.ndarray) -> np.ndarray:
        budget = false_per_image * (weights @ image_counts.astype(np.float32)) + 1e-3
        passed = running_weights(np.take(weights, false_codes, axis=1))[:, 1:]
        cut = (passed <= budget[:, None]).sum(axis=1)
        hits = running_weights(np.take(weights, lesion_codes, axis=1))
        return hits[np.arange(len(weights)), above[cut]].astype(np.float64) / hits[:, -1]

    return Statistic(
        unit="lesion",
        n=len(lesions),
        events=len(lesions),
        patients=patients,
        independent=len(np.unique(found.lesion_patients)),
        steps=len(np.unique(found.lesion_patients)),
        is_count=True,
        method=f"{name} sensitivity at {false_per_image:g} false positives per image over {len(found.image_patients)} images, the cut read off their own curve",
        evaluate=evaluate,
        problem="" if len(lesions) else f"no {name} with a known place on {len(found.image_patients)} images",
    )


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
