"""Cuts with a promise: at most so many cancers are ruled out, at most so many others ruled in, the rest is left to a reader.

The k-th lowest score of m cancers is a rule-out cut: of all cancers, a share that follows a Beta(k, m - k + 1) distribution lies below
it, whatever the distribution of the scores (Wilks 1941). So that share exceeds `level` with probability P(Binomial(m, level) < k), and
k is the largest rank for which this is at most `delta`. For one class at a time this is conformal prediction by class (Mondrian),
valid for the training set at hand and not on average over training sets alone (Vovk 2012). What it rests on: the patients of that
class in validation, and those met later, are independent draws from one population, and the scores were made without looking at them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.units import Scores, scores_at

DELTA = 0.10
RULE_OUT, RULE_IN = "rule out", "rule in"


def safe_rank(count: int, level: float, delta: float = DELTA) -> int:
    """The largest k such that the k-th of `count` ordered scores leaves more than a share `level` beyond it with probability at
    most `delta`; 0 where even the first does. level, delta: in (0, 1)."""
    from scipy.special import bdtr

    return int(np.sum(bdtr(np.arange(count), count, level) <= delta))


def patients_needed(level: float, delta: float = DELTA) -> int:
    """How many patients of a class the first safe cut takes: (1 - level) ** count at most `delta`."""
    return math.ceil(math.log(delta) / math.log1p(-level) - 1e-9)


@dataclass(frozen=True, kw_only=True)
class Cut:
    """One cut of one fold (-1 where there are none), chosen on validation patients.

    bound: "rule out" (of cancers) or "rule in" (of others). level: the share of that class that may lie beyond it. n: patients of
    the class that it was chosen on. rank: which of their scores it is, from the outside; 0 where there is none, and reason says why.
    """

    bound: str
    level: float
    value: float | None
    n: int
    rank: int
    needed: int
    fold: int = -1
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"confidence": 1 - DELTA}


@dataclass(frozen=True, kw_only=True)
class Band:
    """Below `low` a patient is ruled out, above `high` ruled in, between them, both included, referred."""

    low: Cut
    high: Cut


def choose_band(validation: Scores, level: float, *, fold: int = -1) -> Band:
    """Both cuts, each on the validation patients of its class.

    Where they cross, both become the middle: each may be drawn back towards its own class without losing its promise.
    """
    of_cancers = _safe_score(validation.scores[validation.labels == 1], level)
    of_others = _safe_score(-validation.scores[validation.labels == 0], level)
    low, high = of_cancers, None if of_others is None else -of_others
    if low is not None and high is not None and high < low:
        low = high = (low + high) / 2
    return Band(low=_cut(RULE_OUT, low, validation, level, fold), high=_cut(RULE_IN, high, validation, level, fold))


def choose_bands(validation: Sequence[Prediction], folds: Iterable[int], level: float) -> dict[int, Band]:
    """Fold -> the band chosen on that fold's validation patients, each by her highest image score."""
    return {fold: choose_band(scores_at("patient", [p for p in validation if p.fold == fold]), level, fold=fold) for fold in folds}


@dataclass(frozen=True, kw_only=True, eq=False)
class Sorted:
    """Held-out patients with a known label, each with the cuts of the fold that held her out; NaN where that fold has none.

    patients: str (n,). labels: int (n,), 1 cancer. scores, low, high: float (n,). folds: int (n,).
    """

    patients: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    folds: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def out(self) -> np.ndarray:
        """Ruled out, bool (n,)."""
        return self.scores < self.low

    @property
    def called(self) -> np.ndarray:
        """Ruled in, bool (n,)."""
        return self.scores > self.high

    def has(self, bound: str) -> np.ndarray:
        """Whose fold has that cut, bool (n,)."""
        return np.isfinite(self.low if bound == RULE_OUT else self.high)

    def part(self, chosen: np.ndarray) -> Sorted:
        """The patients of a bool mask (n,)."""
        return Sorted(**{name: getattr(self, name)[chosen] for name in self.__dataclass_fields__})


def sort_patients(held_out: Sequence[Prediction], bands: Mapping[int, Band]) -> Sorted:
    """Held-out patients against the cuts of their folds."""
    scores = scores_at("patient", held_out)
    fold_of = {p.patient_id: p.fold for p in held_out}
    folds = np.array([fold_of[name] for name in scores.names], int)

    def cuts(side: str) -> np.ndarray:
        values = {fold: getattr(band, side).value for fold, band in bands.items()}
        return np.array([math.nan if (cut := values.get(fold)) is None else cut for fold in folds], float)

    return Sorted(patients=scores.patients, labels=scores.labels, scores=scores.scores, folds=folds, low=cuts("low"), high=cuts("high"))


def missing_cuts(cuts: Iterable[Cut]) -> str:
    """Why there are no cuts, in words for a report; empty where none is missing."""
    reasons = "; ".join(dict.fromkeys(cut.reason for cut in cuts if cut.reason))
    return f"no cut: {reasons}" if reasons else ""


def too_many_for_the_level(beyond: int, count: int, level: float) -> float:
    """Probability that as many of `count` patients lie beyond a cut that keeps its promise just so (exact, binomial)."""
    from scipy.special import bdtrc

    return float(bdtrc(beyond - 1, count, level))


def too_many_for_chance(beyond: int, counts: Sequence[int], cuts: Sequence[Cut]) -> float:
    """Probability that as many lie beyond the cuts, the luck in choosing these included, if later patients are like the validation ones.

    counts: held-out patients of the class per fold; cuts: theirs. Beyond one cut the number is beta-binomial; folds are taken as independent.
    """
    from scipy.stats import betabinom

    chances = np.ones(1)
    for count, cut in zip(counts, cuts, strict=True):
        chances = np.convolve(chances, betabinom.pmf(np.arange(count + 1), count, cut.rank, cut.n - cut.rank + 1))
    return float(min(1.0, chances[beyond:].sum()))


def _safe_score(scores: np.ndarray, level: float) -> float | None:
    rank = safe_rank(len(scores), level)
    return float(np.sort(scores)[rank - 1]) if rank else None


def _cut(bound: str, value: float | None, validation: Scores, level: float, fold: int) -> Cut:
    count = int(np.sum(validation.labels == (bound == RULE_OUT)))
    facts = {"bound": bound, "level": level, "n": count, "needed": patients_needed(level), "fold": fold}
    kind = "with" if bound == RULE_OUT else "without"
    reason = "" if value is not None else f"{count} validation patients {kind} cancer, {facts['needed']} needed"
    return Cut(value=value, rank=safe_rank(count, level), reason=reason, **facts)
