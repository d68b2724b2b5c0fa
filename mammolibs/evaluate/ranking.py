"""How well a score ranks: areas under curves, sensitivity and specificity at each other. Higher means more suspicious.

All of them are counted along one `Ranked`. A cut calls what scores at or above it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mammolibs.evaluate.bootstrap import Statistic
from mammolibs.evaluate.ranked import Ranked

Counts = Callable[[np.ndarray, np.ndarray], np.ndarray]
# Whole numbers are compared with shares of whole numbers, which rounding may leave a little short.
SLACK = 1e-6


def auc_statistic(scores: np.ndarray, labels: np.ndarray, patients: np.ndarray, unit: str, *, method: str = "AUC") -> Statistic:
    """`auc` of units that are ranked for it alone."""
    return auc(Ranked(scores, labels, patients, unit), method=method)


def sensitivity_statistic(scores: np.ndarray, labels: np.ndarray, patients: np.ndarray, unit: str, *, specificity: float) -> Statistic:
    """`sensitivity_at` of units that are ranked for it alone."""
    return sensitivity_at(Ranked(scores, labels, patients, unit), specificity)


def auc(ranked: Ranked, *, method: str = "AUC") -> Statistic:
    """Area under the ROC curve: the share of (positive, negative) pairs in the right order, ties count half."""
    held = np.flatnonzero(np.diff(ranked.counts(_once(ranked))[0][0])) + 1

    def count(true: np.ndarray, false: np.ndarray) -> np.ndarray:
        own = true[:, held] - true[:, held - 1]
        behind = 2 * false[:, -1:] - false[:, held] - false[:, held - 1]
        pairs = np.einsum("rg,rg->r", own, behind, dtype=np.float64) / 2
        return pairs / (true[:, -1].astype(np.float64) * false[:, -1])

    return _statistic(ranked, count, method, steps=int(np.prod(ranked.patients_of_each_class)))


def partial_auc(ranked: Ranked, most_false: float = 0.1) -> Statistic:
    """Area under the ROC curve up to a false-positive rate, on McClish's scale (1989): 0.5 is chance, 1 is perfect."""

    def count(true: np.ndarray, false: np.ndarray) -> np.ndarray:
        all_true, all_false = true[:, -1:].astype(np.float64), false[:, -1:].astype(np.float64)
        reach = 2 + int((false <= most_false * all_false).sum(axis=1).max(initial=0))
        true, false = true[:, :reach] / all_true, false[:, :reach] / all_false
        width = np.diff(np.minimum(false, most_false), axis=1)
        run, rise = np.diff(false, axis=1), np.diff(true, axis=1)
        reached = true[:, :-1] + rise * np.divide(width, run, out=np.zeros_like(run), where=run > 0)
        area = np.sum(width * (true[:, :-1] + reached), axis=1) / 2
        chance = most_false**2 / 2
        return 0.5 * (1 + (area - chance) / (most_false - chance))

    method = f"partial AUC up to a false-positive rate of {most_false:g}, McClish's scale (0.5 is chance)"
    return _statistic(ranked, count, method, steps=int(np.prod(ranked.patients_of_each_class)))


def average_precision(ranked: Ranked) -> Statistic:
    """Area under the precision-recall curve as a sum over its steps, without interpolation; chance is the share of positives."""
    held = np.flatnonzero(np.diff(ranked.counts(_once(ranked))[0][0])) + 1

    def count(true: np.ndarray, false: np.ndarray) -> np.ndarray:
        own, hits = (true[:, held] - true[:, held - 1]).astype(np.float64), true[:, held].astype(np.float64)
        called = hits + false[:, held]
        return np.sum(own * np.divide(hits, called, out=np.zeros_like(hits), where=called > 0), axis=1) / true[:, -1]

    return _statistic(ranked, count, "average precision (area under the precision-recall curve)")


def sensitivity_at(ranked: Ranked, specificity: float) -> Statistic:
    """Largest share of positives at or above a cut that leaves at least `specificity` of the negatives below it."""

    def count(true: np.ndarray, false: np.ndarray) -> np.ndarray:
        allowed = false[:, -1:].astype(np.float64) * (1 - specificity) + SLACK
        cut = (false <= allowed).sum(axis=1) - 1
        share = true[np.arange(len(true)), cut].astype(np.float64) / true[:, -1]
        return np.where(false[:, -1] > 0, share, np.nan)

    method = f"sensitivity at {specificity * 100:g} % specificity, the cut read off these {ranked.unit}s' own curve"
    return _statistic(ranked, count, method, is_count=True)


def specificity_at(ranked: Ranked, sensitivity: float) -> Statistic:
    """Largest share of negatives below a cut that leaves at least `sensitivity` of the positives at or above it."""

    def count(true: np.ndarray, false: np.ndarray) -> np.ndarray:
        wanted = true[:, -1:].astype(np.float64) * sensitivity - SLACK
        cut = (true < wanted).sum(axis=1)
        share = 1 - false[np.arange(len(true)), cut].astype(np.float64) / false[:, -1]
        return np.where(true[:, -1] > 0, share, np.nan)

    method = f"specificity at {sensitivity * 100:g} % sensitivity, the cut read off these {ranked.unit}s' own curve"
    return _statistic(ranked, count, method, is_count=True)


def at_recall_rate(ranked: Ranked, share: float, prevalence: float) -> dict[str, Statistic]:
    """Sensitivity and specificity of the lowest cut that recalls at most `share` of all, where `prevalence` of them are positive."""

    def cuts(true: np.ndarray, false: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found, raised = true / true[:, -1:].astype(np.float64), false / false[:, -1:].astype(np.float64)
        recalled = prevalence * found + (1 - prevalence) * raised
        cut, each = np.maximum((recalled <= share + SLACK).sum(axis=1) - 1, 0), np.arange(len(true))
        undefined = np.where(np.isfinite(recalled[:, -1]), 0.0, np.nan)
        return found[each, cut] + undefined, 1 - raised[each, cut] + undefined

    where = f"at the cut that recalls {share * 100:.3g} % where {prevalence * 100:.3g} % are positive"
    sensitivity = _statistic(ranked, lambda true, false: cuts(true, false)[0], f"sensitivity {where}", is_count=True)
    specificity = _statistic(ranked, lambda true, false: cuts(true, false)[1], f"specificity {where}", is_count=True)
    return {"sensitivity": sensitivity, "specificity": specificity}


def roc_curve(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """False-positive rate, true-positive rate and cut (score > cut is called positive), from (0, 0) to (1, 1)."""
    scores, labels = np.asarray(scores, float), np.asarray(labels)
    cuts = np.concatenate([np.unique(scores)[::-1], [-np.inf]])
    negatives, positives = np.sort(scores[labels == 0]), np.sort(scores[labels == 1])
    false = 1 - np.searchsorted(negatives, cuts, "right") / max(len(negatives), 1)
    true = 1 - np.searchsorted(positives, cuts, "right") / max(len(positives), 1)
    return false, true, cuts


def _once(ranked: Ranked) -> np.ndarray:
    return np.ones((1, len(ranked.patients)), np.float32)


def _statistic(ranked: Ranked, count: Counts, method: str, *, steps: int | None = None, is_count: bool = False) -> Statistic:
    """A figure of the running counts. steps: how finely it is divided; by default as patients of the rarer class."""
    independent = min(ranked.patients_of_each_class)
    return Statistic(
        unit=ranked.unit,
        n=ranked.n,
        events=ranked.events,
        patients=ranked.patients,
        independent=independent,
        method=method,
        evaluate=lambda weights: count(*ranked.counts(weights)),
        steps=independent if steps is None else steps,
        is_count=is_count,
        problem=ranked.problem,
    )
