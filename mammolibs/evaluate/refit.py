"""A cut at another site: refitted from a few labels, from none by the recall rate, and the share of ill patients found without labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mammolibs.evaluate.calibration import RAW, RAW_FLOOR, Calibration, fit_calibration, raw_log_odds
from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.ranked import Ranked
from mammolibs.evaluate.result import plural
from mammolibs.evaluate.thresholds import specificity_cut
from mammolibs.evaluate.units import scores_at
from mammolibs.records import Estimate

LABELLED = (25, 50, 100, 200)
SPECIFICITY = 0.90
ROUNDS = 1000
UNLABELLED = 1000
PREVALENCE_ROUNDS = 200
BISECTIONS = 30
MIDDLE = (0.025, 0.975)


def refit_from_labels(ranked: Ranked, labelled: int, *, rounds: int = ROUNDS, seed: int = 0) -> dict[str, Estimate]:
    """What a cut achieves that was chosen for SPECIFICITY on so many labelled units: median and middle 95 % over draws.

    Whole patients are drawn with replacement until there are `labelled` units; what the cut achieves is read off all units, so these
    stand for the other site. Draws without a negative are left out.
    """
    facts = {"n": ranked.n, "events": ranked.events, "unit": ranked.unit}
    chosen = f"cut for {SPECIFICITY * 100:g} % specificity chosen on {labelled} labelled {plural(ranked.unit)}"
    method = f"{chosen}, drawn by patient, {rounds} times; median and middle 95 %"
    if ranked.problem:
        none = Estimate(value=None, method=method, reason=ranked.problem, **facts)
        return {"specificity": none, "sensitivity": none}
    ill = ranked.labels == 1
    cuts = np.array([specificity_cut(drawn, SPECIFICITY) for drawn in _labelled(ranked, labelled, rounds, seed) if len(drawn)])
    below, above = np.sort(ranked.scores[~ill]), np.sort(ranked.scores[ill])
    achieved = {
        "specificity": np.searchsorted(below, cuts, "right") / len(below),
        "sensitivity": 1 - np.searchsorted(above, cuts, "right") / len(above),
    }
    return {name: _middle(values, method, facts) for name, values in achieved.items()}


def _labelled(ranked: Ranked, labelled: int, rounds: int, seed: int) -> list[np.ndarray]:
    """Scores of the negatives among `labelled` units, for each round."""
    rng = np.random.default_rng(seed)
    codes = np.searchsorted(ranked.patients, ranked.patient_of)
    units = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    drawn = []
    for _ in range(rounds):
        held = np.concatenate([units[code] for code in rng.integers(0, len(units), labelled)])[:labelled]
        drawn.append(ranked.scores[held[ranked.labels[held] == 0]])
    return drawn


def exam_ratios(held_out: Sequence[Prediction], validation: Sequence[Prediction]) -> tuple[dict[str, float], str]:
    """Exam -> how many times likelier its highest score is among malignant exams than among others; and why there are none.

    The log odds of a malignant exam are calibrated on the validation exams of the same fold; the odds there, divided by those of all
    validation exams, are that ratio whatever the prevalence.
    """
    ratios: dict[str, float] = {}
    for fold in sorted({p.fold for p in held_out}):
        known = scores_at("exam", [p for p in validation if p.fold == fold])
        fitted = exam_calibration(known.scores, known.labels)
        if fitted.reason:
            return {}, fitted.reason
        exams = scores_at("exam", [p for p in held_out if p.fold == fold])
        said = np.clip(fitted.apply(np.zeros((len(exams.scores), 1)), exams.scores), RAW_FLOOR, 1 - RAW_FLOOR)
        share = known.labels.mean()
        values = said / (1 - said) * (1 - share) / share
        ratios |= dict(zip(exams.names, values.tolist(), strict=True))
    return ratios, ""


def exam_calibration(scores: np.ndarray, labels: np.ndarray) -> Calibration:
    """From an exam's highest image score to the share of such exams that are malignant."""
    return fit_calibration(raw_log_odds(scores)[:, None], scores, labels, RAW, name="exam score", counted="malignant validation exams")


def prevalence_without_labels(ratios: np.ndarray) -> np.ndarray:
    """The likeliest share of positives float (rounds,), of likelihood ratios float (rounds, n) of units whose truth nobody knows.

    The fixed point of the EM steps of Saerens, Latinne and Decaestecker (2002), prior = mean of the posteriors under it. The likelihood
    is concave in the share, so halving the interval finds the same point.
    """
    low, high = np.zeros(len(ratios)), np.ones(len(ratios))
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        rising = ((ratios - 1) / (1 + middle[:, None] * (ratios - 1))).mean(axis=1) > 0
        low, high = np.where(rising, middle, low), np.where(rising, high, middle)
    return np.round((low + high) / 2, 8)


def prevalence_found(
    ratios: Mapping[str, float], problem: str, exams: Ranked, names: Sequence[str], prevalence: float, seed: int = 0
) -> Estimate:
    """The prevalence that UNLABELLED exams would seem to have where `prevalence` of them are malignant: median and middle 95 %.

    names: of the exams, in their order. Malignant exams and others are drawn with replacement, each from its own kind.
    """
    source = f"{UNLABELLED} unlabelled exams (Saerens et al. 2002)"
    method = f"likeliest prevalence of {source}, {PREVALENCE_ROUNDS} draws; median and middle 95 %"
    facts = {"n": exams.n, "events": exams.events, "unit": exams.unit}
    if reason := problem or ("" if exams.problem == "all scores are equal" else exams.problem):
        return Estimate(value=None, method=method, reason=reason, **facts)
    values = np.array([ratios[name] for name in names])
    rng = np.random.default_rng(seed)
    ill = rng.random((PREVALENCE_ROUNDS, UNLABELLED)) < prevalence
    drawn = np.where(ill, rng.choice(values[exams.labels == 1], ill.shape), rng.choice(values[exams.labels == 0], ill.shape))
    return _middle(prevalence_without_labels(drawn), method, facts)


def _middle(values: np.ndarray, method: str, facts: Mapping) -> Estimate:
    if not len(values):
        return Estimate(value=None, method=method, reason="no draw could be judged", **facts)
    low, high = np.quantile(values, MIDDLE)
    return Estimate(value=float(np.median(values)), low=float(low), high=float(high), method=method, **facts)
