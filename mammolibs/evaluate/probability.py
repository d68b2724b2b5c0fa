"""Scores as probabilities: do they say how often the answer is yes?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mammolibs.evaluate.bootstrap import Statistic
from mammolibs.evaluate.ranked import Ranked
from mammolibs.evaluate.sums import mean_statistic, sums_statistic

BINS = 10
# Within so much of 0 and 1 a probability has no finite log odds that a fit could use.
FLOOR = 1e-6
NEWTON_STEPS = 12
# Newton's steps square the error: after one of this size it is some 1e-6.
SMALL_STEP = 1e-3


def probability_figures(ranked: Ranked) -> dict[str, Statistic]:
    """PROBABILITY_FIGURES by name; with a problem where scores leave [0, 1]."""
    if not (reason := probability_problem(ranked)):
        return {name: build(ranked) for name, build in PROBABILITY_FIGURES.items()}
    shares = Ranked(np.clip(ranked.scores, 0, 1), ranked.labels, ranked.patient_of, ranked.unit)
    return {name: replace(build(shares), problem=reason) for name, build in PROBABILITY_FIGURES.items()}


def probability_problem(ranked: Ranked) -> str:
    """Why the scores cannot be probabilities, in words for a report; empty where they can."""
    outside = int(np.sum((ranked.scores < 0) | (ranked.scores > 1)))
    return f"{outside} of {ranked.n} scores lie outside [0, 1]: they are no probabilities" if outside else ""


def brier(ranked: Ranked) -> Statistic:
    """Mean squared gap between probability and outcome (Brier 1950); lower is better, the share x (1 - share) of events says nothing."""
    statistic = mean_statistic(
        (ranked.scores - ranked.labels) ** 2, ranked.patient_of, ranked.unit, method="Brier score", events=ranked.events
    )
    return replace(statistic, problem="" if ranked.n else ranked.problem)


def reliability(scores: np.ndarray, labels: np.ndarray, *, bins: int = BINS) -> list[tuple[float, float, int]]:
    """Mean score, share positive and count in bins of equal count, from the lowest scores to the highest."""
    scores, labels = np.asarray(scores, float), np.asarray(labels)
    return [(float(scores[p].mean()), float(labels[p].mean()), len(p)) for p in equal_bins(scores, bins)]


def expected_calibration_error(ranked: Ranked, *, bins: int = BINS) -> Statistic:
    """Mean gap between score and share positive over bins of equal count (Naeini et al. 2015); never below 0, so small sets look worse."""
    held = np.zeros((ranked.n, max(1, min(bins, max(1, ranked.n // 5)))))
    for number, part in enumerate(equal_bins(ranked.scores, bins)):
        held[part, number] = 1.0
    gaps = held * (ranked.scores - ranked.labels)[:, None]

    def combine(count: np.ndarray, *by_bin: np.ndarray) -> np.ndarray:
        return np.abs(np.stack(by_bin)).sum(axis=0) / count

    columns = [np.ones(ranked.n), *gaps.T]
    method = f"expected calibration error, {held.shape[1]} bins of equal count"
    statistic = sums_statistic(columns, combine, ranked.patient_of, ranked.unit, method=method, events=ranked.events)
    return replace(statistic, problem="" if ranked.n else ranked.problem)


def calibration_slope(ranked: Ranked) -> Statistic:
    """Slope of the outcome's log odds on the score's (Cox 1958): 1 is right, below 1 the scores are too sure of themselves."""
    return _logistic(ranked, 1, "calibration slope: 1 is right, below 1 the scores are too extreme")


def calibration_intercept(ranked: Ranked) -> Statistic:
    """Log odds to be added to all scores so that their mean is right (calibration in the large): 0 is right, below 0 they are too high."""
    return _logistic(ranked, 0, "calibration in the large: 0 is right, below 0 the scores are too high")


def probabilistic_f1(ranked: Ranked) -> Statistic:
    """F1 of precision and recall in which each unit counts by its score, without any cut (Yacouby and Axman 2020)."""

    def combine(hits: np.ndarray, said: np.ndarray, positives: np.ndarray) -> np.ndarray:
        precision, recall = hits / said, hits / positives
        return 2 * precision * recall / (precision + recall)

    columns = [ranked.scores * ranked.labels, ranked.scores, ranked.labels]
    statistic = sums_statistic(
        columns, combine, ranked.patient_of, ranked.unit, method="probabilistic F1", events=ranked.events,
        independent=ranked.patients_of_each_class[0],
    )  # fmt: skip
    return replace(statistic, problem="" if ranked.events else ranked.problem)


def equal_bins(scores: np.ndarray, bins: int = BINS) -> list[np.ndarray]:
    """Places of the scores in bins of equal count, lowest first; at least five a bin."""
    order = np.argsort(scores, kind="stable")
    return [p for p in np.array_split(order, min(bins, max(1, len(order) // 5))) if len(p)]


def _logistic(ranked: Ranked, wanted: int, method: str) -> Statistic:
    """A logistic regression of the outcome in every round at once: with a slope, or (wanted 0) with the slope held at 1.

    Newton's method from the solution for everybody, which no round is far from. That one is searched for with care first:
    Newton's steps from a slope of 1 run away where scores are much too sure. There all rounds share their probabilities,
    so the first step needs sums over patients alone.
    """
    share = np.clip(ranked.scores, FLOOR, 1 - FLOOR)
    odds = np.log(share / (1 - share))
    powers = np.stack([np.ones_like(odds), odds, odds**2], axis=1).astype(np.float32)
    codes = np.searchsorted(ranked.patients, ranked.patient_of)

    def by_patient(columns: np.ndarray) -> np.ndarray:
        return np.stack([np.bincount(codes, weights=column, minlength=len(ranked.patients)) for column in columns.T], axis=1)

    events_of = by_patient(powers[:, :2] * ranked.labels[:, None])

    def solve(weights: np.ndarray, b: np.ndarray) -> np.ndarray:
        w = np.take(weights, codes, axis=1)
        events = weights @ events_of
        for _ in range(NEWTON_STEPS):
            p = _expit(b.astype(np.float32) @ powers[:, :2].T)
            weighted = w * p
            gradient = events - weighted @ powers[:, :2]
            weighted *= np.subtract(1, p, out=p)
            step = _newton_step(gradient, weighted @ powers, wanted)
            b = b + step
            if np.nanmax(np.abs(step), initial=0) < SMALL_STEP:
                break
        # Where the classes do not overlap the slope has no end: such a round has no figure.
        return np.where(np.abs(step).max(axis=1, keepdims=True) < SMALL_STEP, b, np.nan)

    independent = min(ranked.patients_of_each_class)
    statistic = Statistic(
        unit=ranked.unit, n=ranked.n, events=ranked.events, patients=ranked.patients, independent=independent, steps=independent,
        method=method, evaluate=lambda weights: np.full(len(weights), np.nan), scale="real", problem=ranked.problem,
    )  # fmt: skip
    if statistic.problem:
        return statistic
    if wanted and _separated(ranked):
        return replace(statistic, problem="the classes do not overlap: no slope fits")
    with np.errstate(all="ignore"):
        start = solve(np.ones((1, len(ranked.patients)), np.float32), _search(odds, ranked.labels, wanted)[None])[0]
    if not np.all(np.isfinite(start)):
        return replace(statistic, problem="the classes do not overlap: no slope fits")
    p = _expit(powers[:, :2] @ start)[:, None]
    gradient_of, curvature_of = by_patient(powers[:, :2] * (ranked.labels[:, None] - p)), by_patient(powers * p * (1 - p))

    def evaluate(weights: np.ndarray) -> np.ndarray:
        return solve(weights, start + _newton_step(weights @ gradient_of, weights @ curvature_of, wanted))[:, wanted]

    return replace(statistic, evaluate=evaluate)


def _expit(odds: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), in the place of x: three times as fast as scipy's, which no figure needs to the last bit."""
    with np.errstate(over="ignore"):
        np.exp(np.negative(odds, out=odds), out=odds)
    odds += 1
    return np.reciprocal(odds, out=odds)


def _newton_step(gradient: np.ndarray, curvature: np.ndarray, wanted: int) -> np.ndarray:
    """Step of intercept and slope: float64 (rounds, 2). gradient: (rounds, 2); curvature: (rounds, 3), by the powers of the log odds."""
    (g0, g1), (h0, h1, h2) = gradient.T.astype(np.float64), curvature.T.astype(np.float64)
    if wanted:
        step = np.stack([h2 * g0 - h1 * g1, h0 * g1 - h1 * g0], axis=1) / (h0 * h2 - h1**2)[:, None]
    else:
        step = np.stack([g0 / h0, np.zeros(len(g0))], axis=1)
    return np.clip(step, -4, 4)


def _separated(ranked: Ranked) -> bool:
    positive, negative = ranked.scores[ranked.labels == 1], ranked.scores[ranked.labels == 0]
    return positive.min() >= negative.max() or positive.max() <= negative.min()


def _search(odds: np.ndarray, labels: np.ndarray, wanted: int) -> np.ndarray:
    """Intercept and slope (1 where it is not wanted) near the best fit for everybody."""
    from scipy.optimize import minimize
    from scipy.special import expit

    def loss(b: np.ndarray) -> tuple[float, np.ndarray]:
        z = b[0] + b[1] * odds
        error = expit(z) - labels
        return float(np.mean(np.logaddexp(0, z) - labels * z)), np.array([error.mean(), error @ odds / len(odds)])

    share = labels.mean()
    start = [np.log(share / (1 - share)), 0.0] if wanted else [0.0, 1.0]
    return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(None, None), (None, None) if wanted else (1.0, 1.0)]).x


PROBABILITY_FIGURES: dict[str, Callable[[Ranked], Statistic]] = {
    "brier": brier,
    "calibration_error": expected_calibration_error,
    "calibration_slope": calibration_slope,
    "calibration_intercept": calibration_intercept,
    "probabilistic_f1": probabilistic_f1,
}
