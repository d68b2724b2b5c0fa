"""How well a score ranks: AUC, sensitivity at a specificity, the ROC curve. Higher means more suspicious."""

from __future__ import annotations

import numpy as np

from mammolibs.evaluate.bootstrap import Statistic


def _independent(patients: np.ndarray, labels: np.ndarray) -> int:
    return min(len(np.unique(patients[labels == 1])), len(np.unique(patients[labels == 0])))


def _problem(scores: np.ndarray, labels: np.ndarray, unit: str) -> str:
    if len(labels) == 0:
        return f"no {unit} with a known label"
    for kind, name in ((1, "positive"), (0, "negative")):
        if not np.any(labels == kind):
            return f"no {name} {unit} among {len(labels)}, one class only"
    return "all scores are equal" if np.ptp(scores) == 0 else ""


def _facts(scores: np.ndarray, labels: np.ndarray, patients: np.ndarray, unit: str) -> dict:
    return {
        "unit": unit,
        "n": len(labels),
        "events": int(np.sum(labels == 1)),
        "patients": np.unique(patients),
        "independent": _independent(patients, labels),
        "problem": _problem(scores, labels, unit),
    }


def auc_statistic(scores: np.ndarray, labels: np.ndarray, patients: np.ndarray, unit: str, *, method: str = "AUC") -> Statistic:
    """Area under the ROC curve: the share of (positive, negative) pairs in the right order, ties count half.

    scores: float (n,). labels: int (n,), 1 or 0. patients: str (n,), the cluster of each.
    """
    scores, labels, patients = np.asarray(scores, float), np.asarray(labels), np.asarray(patients, str)
    facts = _facts(scores, labels, patients, unit)
    codes = np.searchsorted(facts["patients"], patients)
    order = np.argsort(scores[labels == 0], kind="stable")
    negatives, negative_codes = scores[labels == 0][order], codes[labels == 0][order]
    positives, positive_codes = scores[labels == 1], codes[labels == 1]
    below = np.searchsorted(negatives, positives, "left")
    through = np.searchsorted(negatives, positives, "right")

    def evaluate(weights: np.ndarray) -> np.ndarray:
        passed = running_weights(np.take(weights, negative_codes, axis=1))
        own = np.take(weights, positive_codes, axis=1)
        pairs = np.einsum("rp,rp->r", own, passed[:, below] + passed[:, through], dtype=np.float64) / 2
        return pairs / (own.sum(axis=1, dtype=np.float64) * passed[:, -1])

    positive_patients, negative_patients = (len(np.unique(patients[labels == kind])) for kind in (1, 0))
    return Statistic(evaluate=evaluate, method=method, steps=positive_patients * negative_patients, **facts)


def sensitivity_statistic(
    scores: np.ndarray, labels: np.ndarray, patients: np.ndarray, unit: str, *, specificity: float
) -> Statistic:
    """Largest share of positives above a cut that leaves at least `specificity` of the negatives at or below it."""
    scores, labels, patients = np.asarray(scores, float), np.asarray(labels), np.asarray(patients, str)
    facts = _facts(scores, labels, patients, unit)
    codes = np.searchsorted(facts["patients"], patients)
    order = np.argsort(scores, kind="stable")
    scores, labels, codes = scores[order], labels[order], codes[order]
    negatives, positives = scores[labels == 0], scores[labels == 1]
    missed = np.searchsorted(positives, negatives, "right")

    def evaluate(weights: np.ndarray) -> np.ndarray:
        passed = running_weights(np.take(weights, codes[labels == 0], axis=1))[:, 1:]
        lost = running_weights(np.take(weights, codes[labels == 1], axis=1))
        wanted = passed[:, -1:] * np.float32(specificity - 1e-6)
        cut = np.minimum((passed < wanted).sum(axis=1), passed.shape[1] - 1)
        rows = np.arange(len(weights))
        share = 1 - lost[rows, missed[cut]].astype(np.float64) / lost[:, -1]
        return np.where(passed[:, -1] > 0, share, np.nan)

    facts |= {"steps": facts["independent"], "is_count": True}
    return Statistic(evaluate=evaluate, method=f"sensitivity at {specificity * 100:g} % specificity, the cut read off these images' own curve", **facts)


def running_weights(weights: np.ndarray) -> np.ndarray:
    """Running sums with a leading 0, float32 (rounds, n + 1); whole numbers, so exact up to 2^24."""
    total = np.zeros((weights.shape[0], weights.shape[1] + 1), np.float32)
    np.cumsum(weights, axis=1, out=total[:, 1:])
    return total


def roc_curve(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """False-positive rate, true-positive rate and cut (score > cut is called positive), from (0, 0) to (1, 1)."""
    scores, labels = np.asarray(scores, float), np.asarray(labels)
    cuts = np.concatenate([np.unique(scores)[::-1], [-np.inf]])
    negatives, positives = np.sort(scores[labels == 0]), np.sort(scores[labels == 1])
    false = 1 - np.searchsorted(negatives, cuts, "right") / max(len(negatives), 1)
    true = 1 - np.searchsorted(positives, cuts, "right") / max(len(positives), 1)
    return false, true, cuts
