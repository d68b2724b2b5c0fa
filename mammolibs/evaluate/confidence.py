"""Are scores surer of themselves than the outcomes bear out? Two tests, and an alarm where the answer is beyond chance and large."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mammolibs.evaluate.analysis import Evidence, Part
from mammolibs.evaluate.bootstrap import Draws, estimate, problem_of
from mammolibs.evaluate.document import Item, Section, Text
from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.probability import calibration_slope, equal_bins, expected_calibration_error, probability_problem
from mammolibs.evaluate.ranked import Ranked
from mammolibs.evaluate.result import block, plural
from mammolibs.evaluate.sections import figure_table
from mammolibs.evaluate.units import scores_at
from mammolibs.records import Estimate

# Each of the two tests raises a false alarm once in a thousand reports.
LEVEL = 0.001
# What is told at all: log odds at least 1.4 times too far apart, or scores off by a twentieth more than noise makes them.
LARGEST_SLOPE = 0.7
SMALLEST_EXCESS = 0.05
MINIMUM_PATIENTS = 10
NOISE_ROUNDS = 4000
TITLE = "Are the scores too sure of themselves?"
RULE = (
    f"An alarm needs both: a chance of {LEVEL:g} or less that noise alone does this, and a size that matters, a calibration slope of "
    f"{LARGEST_SLOPE:g} or less or a calibration error of {SMALLEST_EXCESS:g} or more beyond noise."
)

LOOK = (
    "Look at the reliability curve, at how many patients the scores were calibrated on, and at whether these patients are of the same kind."
)


@dataclass(frozen=True, kw_only=True)
class Confidence:
    """figures: `calibration_slope`, `calibration_error`, and `calibration_error_by_noise`: what scores that are right would show on
    these patients, its mean and the middle 95 %. alarms: sentences, empty where nothing was found."""

    figures: Mapping[str, Estimate]
    alarms: tuple[str, ...] = ()


def judge_confidence(ranked: Ranked, draws: Draws, *, fitted_on: int = 0, called: str = "scores") -> Confidence:
    """Test the scores as probabilities of the outcome, patients as clusters.

    fitted_on: patients of the rarer class that the scores were calibrated on; what chance did there widens the noise here. 0: none are
    known of. called: what the scores are, in words.
    """
    slope, error = calibration_slope(ranked), expected_calibration_error(ranked)
    figures = {"calibration_slope": estimate(slope, draws), "calibration_error": estimate(error, draws)}
    problem = probability_problem(ranked) or problem_of(slope)
    rarer = min(ranked.patients_of_each_class)
    if not problem and rarer < MINIMUM_PATIENTS:
        problem = f"{rarer} patients of the rarer class, {MINIMUM_PATIENTS} needed to tell noise from a fault"
    if problem:
        facts = {"n": ranked.n, "events": ranked.events, "unit": ranked.unit}
        unknown = Estimate(value=None, method="calibration error by noise", reason=problem, **facts)
        return Confidence(figures=figures | {"calibration_error_by_noise": unknown})
    wider = float(np.sqrt(1 + rarer / fitted_on)) if fitted_on else 1.0
    noise = wider * noise_errors(ranked, seed=draws.seed)
    figures["calibration_error_by_noise"] = _told_noise(noise, ranked, wider)
    by_slope = _slope_found(figures["calibration_slope"], slope.independent, wider)
    what = "; and ".join(text for text in (by_slope, _error_found(ranked, figures["calibration_error"], noise)) if text)
    counted = f"{ranked.n} {plural(ranked.unit)}, {ranked.events} positive"
    alarm = f"The {called} cannot be read as probabilities ({counted}): {what}. {LOOK}"
    return Confidence(figures=figures, alarms=(alarm,) if what else ())


def noise_errors(ranked: Ranked, *, rounds: int = NOISE_ROUNDS, seed: int = 0) -> np.ndarray:
    """Calibration errors float (rounds,) that chance alone makes where every score is right.

    The gaps of whole patients between outcome and score change sign at random (the wild bootstrap of Wu 1986, by cluster): sizes and
    what belongs together stay, a common direction does not.
    """
    codes = np.searchsorted(ranked.patients, ranked.patient_of)
    gaps = ranked.labels - ranked.scores
    by_bin = [np.bincount(codes[held], weights=gaps[held], minlength=len(ranked.patients)) for held in equal_bins(ranked.scores)]
    signs = np.random.default_rng(seed).integers(0, 2, (rounds, len(ranked.patients))).astype(np.float32) * 2 - 1
    return np.abs(signs @ np.stack(by_bin, axis=1).astype(np.float32)).sum(axis=1).astype(float) / ranked.n


def _told_noise(noise: np.ndarray, ranked: Ranked, wider: float) -> Estimate:
    low, high = np.quantile(noise, [0.025, 0.975])
    more = f", times {wider:.2f} for the patients that they were calibrated on" if wider > 1 else ""
    method = f"calibration error of scores that are right, signs of patients' gaps at random, {len(noise)} rounds{more}; mean, middle 95 %"
    facts = {"n": ranked.n, "events": ranked.events, "unit": ranked.unit}
    return Estimate(value=float(noise.mean()), low=float(low), high=float(high), method=method, **facts)


def _slope_found(slope: Estimate, independent: int, wider: float) -> str:
    from scipy.special import stdtrit

    if slope.value is None or slope.high is None or slope.value > LARGEST_SLOPE:
        return ""
    at_alarm, at_interval = stdtrit(independent - 1, [1 - LEVEL, 0.975])
    if slope.value + wider * (slope.high - slope.value) * at_alarm / at_interval >= 1:
        return ""
    told = f"the calibration slope is {slope.value:.2f} [{slope.low:.2f}, {slope.high:.2f}] where 1 is right"
    if slope.value <= 0:
        return f"{told}: higher scores are not likelier to be true"
    return f"they are overconfident, {told}, so log odds are {1 / slope.value:.1f} times too far apart"


def _error_found(ranked: Ranked, error: Estimate, noise: np.ndarray) -> str:
    if error.value <= float(np.quantile(noise, 1 - LEVEL)) or error.value - float(noise.mean()) < SMALLEST_EXCESS:
        return ""
    mean, share = float(ranked.scores.mean()), float(ranked.labels.mean())
    return (
        f"they are off by {error.value:.2f} [{error.low:.2f}, {error.high:.2f}] on average where noise makes {noise.mean():.2f} "
        f"(mean score {mean:.2f}, share positive {share:.2f})"
    )


def confidence(evidence: Evidence) -> Part | None:
    """Image scores as probabilities, with an alarm where they are surer than outcomes bear out; None without a held-out image."""
    if not evidence.held_out:
        return None
    ranked = scores_at("image", evidence.held_out).ranked
    found = judge_confidence(ranked, evidence.draws, fitted_on=_fitted_on(evidence.validation), called="image scores")
    result = block(found.figures, evidence.split_hash)
    return Part(name="confidence", result=result, sections=(confidence_section(result, found.alarms),), alarms=found.alarms)


def _fitted_on(validation: Sequence[Prediction]) -> int:
    return min(scores_at("image", validation).ranked.patients_of_each_class) if validation else 0


def confidence_section(result: Mapping[str, Any], alarms: Sequence[str]) -> Section:
    """The same for a reader, with the rule of the alarm."""
    said: tuple[Item, ...] = tuple(Text(alarm, "warning") for alarm in alarms)
    return Section(TITLE, (*said, figure_table(result), Text(RULE, "note")))
