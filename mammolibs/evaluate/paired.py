"""Two scores of the same units: is the difference of their AUCs more than chance?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from mammolibs.evaluate.ranked import Ranked

ROUNDS = 2000


@dataclass(frozen=True, kw_only=True)
class PairedTest:
    """difference: AUC of the first minus that of the second. standard_error: None for a permutation. p: two-sided."""

    difference: float
    standard_error: float | None
    p: float
    method: str


def delong(first: Ranked, second: Ranked) -> PairedTest:
    """DeLong, DeLong and Clarke-Pearson (1988); where patients have several units, with Obuchowski's sums over patients (1997).

    Both rankings hold the same units in the same order. Raises ValueError where they do not, or where one class is missing.
    """
    _check(first, second)
    components = [_components(r.scores, r.labels) for r in (first, second)]
    area = [float(np.mean(of_positives)) for of_positives, _ in components]
    difference = area[0] - area[1]
    of_positives = components[0][0] - components[1][0] - difference
    of_negatives = components[0][1] - components[1][1] - difference
    codes = np.searchsorted(first.patients, first.patient_of)
    count = len(first.patients)
    ill = first.labels == 1
    by_ill = np.bincount(codes[ill], weights=of_positives, minlength=count)
    by_well = np.bincount(codes[~ill], weights=of_negatives, minlength=count)
    positives, negatives = int(ill.sum()), int((~ill).sum())
    with_ill, with_well = first.patients_of_each_class
    if min(with_ill, with_well) < 2:
        raise ValueError("a variance needs two patients of each class")
    variance = (
        with_ill / (with_ill - 1) * np.sum(by_ill**2) / positives**2
        + with_well / (with_well - 1) * np.sum(by_well**2) / negatives**2
        + 2 * count / (count - 1) * np.sum(by_ill * by_well) / (positives * negatives)
    )
    error = math.sqrt(max(float(variance), 0.0))
    clustered = "" if count == first.n else ", sums over patients (Obuchowski)"
    return PairedTest(difference=difference, standard_error=error, p=_two_sided(difference, error), method=f"DeLong{clustered}")


def permutation(first: Ranked, second: Ranked, *, rounds: int = ROUNDS, seed: int = 0) -> PairedTest:
    """Ranks of the two scores are exchanged for whole patients at random (Venkatraman and Begg 1996, by patient). Raises as `delong`."""
    from scipy.stats import rankdata

    _check(first, second)
    # Doubled, so that the ranks of ties are whole numbers too: they are counted: sorting them in each round took five times as long.
    a, b = ((2 * rankdata(r.scores)).astype(int) for r in (first, second))
    ill = first.labels == 1
    difference = _area(a, ill) - _area(b, ill)
    codes = np.searchsorted(first.patients, first.patient_of)
    rng = np.random.default_rng(seed)
    as_far = 0
    for _ in range(rounds):
        swap = (rng.random(len(first.patients)) < 0.5)[codes]
        gap = _area(np.where(swap, b, a), ill) - _area(np.where(swap, a, b), ill)
        as_far += abs(gap) >= abs(difference) - 1e-12
    method = f"permutation of whole patients, {rounds} rounds, seed {seed}"
    return PairedTest(difference=difference, standard_error=None, p=(1 + as_far) / (1 + rounds), method=method)


def both_tests(first: Ranked, second: Ranked, *, seed: int = 0) -> list[dict[str, Any]]:
    """`delong` and `permutation` in JSON's types: unit, n, events, difference, p, method; p None and a reason where one cannot be made."""
    found = []
    for test, how in ((delong, {}), (permutation, {"seed": seed})):
        entry: dict[str, Any] = {"unit": first.unit, "n": first.n, "events": first.events}
        try:
            result = test(first, second, **how)
            entry |= {"difference": result.difference, "p": result.p, "method": result.method}
        except ValueError as error:
            entry |= {"difference": None, "p": None, "method": test.__name__, "reason": str(error)}
        found.append(entry)
    return found


def _check(first: Ranked, second: Ranked) -> None:
    same = np.array_equal(first.labels, second.labels) and np.array_equal(first.patient_of, second.patient_of)
    if not same:
        raise ValueError("the two do not hold the same units in the same order")
    if not 0 < first.events < first.n:
        raise ValueError("one class only")


def _components(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per positive the share of negatives below it, per negative the share of positives above it; ties count half."""
    from scipy.stats import rankdata

    ill = labels == 1
    whole = rankdata(scores)
    positives, negatives = int(ill.sum()), int((~ill).sum())
    return (whole[ill] - rankdata(scores[ill])) / negatives, 1 - (whole[~ill] - rankdata(scores[~ill])) / positives


def _area(ranks: np.ndarray, ill: np.ndarray) -> float:
    """AUC of whole numbers from 0 to twice as many as there are; ties count half."""
    positives, negatives = (np.bincount(ranks[kind], minlength=2 * len(ranks) + 1) for kind in (ill, ~ill))
    below = np.cumsum(negatives) - negatives / 2
    return float(positives @ below / (positives.sum() * negatives.sum()))


def _two_sided(value: float, error: float) -> float:
    if error == 0.0:
        return 1.0 if value == 0.0 else 0.0
    return math.erfc(abs(value) / error / math.sqrt(2))
