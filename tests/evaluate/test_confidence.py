"""Scores that are too sure of themselves are named, honest ones are not."""

import csv
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from mammolibs.evaluate import Draws, estimate
from mammolibs.evaluate.analysis import Evidence
from mammolibs.evaluate.bootstrap import point
from mammolibs.evaluate.confidence import confidence, judge_confidence, noise_errors
from mammolibs.evaluate.probability import calibration_intercept, calibration_slope, expected_calibration_error
from mammolibs.evaluate.ranked import Ranked
from mammolibs.evaluate.score_report import score_result
from mammolibs.evaluate.score_table import ScoreColumns, read_scores

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from benches import fault_overconfident  # noqa: E402


def honest(n=600, seed=0, stretch=1.0):
    """Probabilities that outcomes are drawn from, then said with log odds so many times too far apart; two rows a patient."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-1.0, 1.5, n)
    labels = (rng.random(n) < expit(odds)).astype(int)
    return Ranked(expit(stretch * odds), labels, np.array([f"p{i // 2:04d}" for i in range(n)]), "image")


def test_planted_each_time_and_no_clean_run_alarms():
    for seed in range(2):
        assert len(fault_overconfident.alarms(seed, True, rounds=200)) == 1
        assert fault_overconfident.alarms(seed, False, rounds=200) == ()


def test_the_alarm_says_what_how_big_and_where_to_look():
    ranked = honest(stretch=2.5)
    found = judge_confidence(ranked, Draws(ranked.patients, rounds=300), called="scores")
    [alarm] = found.alarms
    slope = found.figures["calibration_slope"]
    assert "overconfident" in alarm and f"{slope.value:.2f} [{slope.low:.2f}, {slope.high:.2f}]" in alarm
    assert "times too far apart" in alarm and "reliability curve" in alarm and "600 images" in alarm


@pytest.mark.parametrize("stretch", [0.5, 1.0, 2.0, 4.0, 8.0])
def test_slope_of_scores_that_are_far_too_sure_is_found(stretch):
    """Newton's steps from 1 once ran away here, and the report said that no slope fits."""
    ranked = honest(stretch=stretch)
    theirs = LogisticRegression(C=1e9, tol=1e-10, max_iter=1000).fit(logit(np.clip(ranked.scores, 1e-6, 1 - 1e-6))[:, None], ranked.labels)
    assert point(calibration_slope(ranked)) == pytest.approx(theirs.coef_[0, 0], rel=1e-3)
    assert np.isfinite(point(calibration_intercept(ranked)))


def test_separated_classes_still_have_no_slope():
    labels = np.arange(60) % 2
    ranked = Ranked(np.where(labels == 1, 0.8, 0.2) + np.arange(60) / 1000, labels, np.arange(60), "image")
    assert "no slope fits" in estimate(calibration_slope(ranked)).reason
    assert judge_confidence(ranked, Draws(ranked.patients, rounds=100)).alarms == ()


def test_noise_is_what_right_scores_show():
    rng = np.random.default_rng(0)
    ranked = honest(400)
    truth = [
        point(expected_calibration_error(Ranked(ranked.scores, (rng.random(400) < ranked.scores).astype(int), ranked.patient_of, "image")))
        for _ in range(200)
    ]
    assert noise_errors(ranked).mean() == pytest.approx(np.mean(truth), rel=0.15)


def test_too_high_throughout_is_an_error_beyond_noise():
    ranked = honest()
    high = Ranked(expit(logit(ranked.scores) + 1.5), ranked.labels, ranked.patient_of, "image")
    [alarm] = judge_confidence(high, Draws(high.patients, rounds=300)).alarms
    assert "off by" in alarm and "overconfident" not in alarm and "where noise makes" in alarm


@pytest.mark.parametrize("kind", ["one class", "equal", "three patients", "no rows"])
def test_what_cannot_be_judged_says_why(make_predictions, kind):
    rows = make_predictions(3 if kind == "three patients" else 20, malignant_share=0.0 if kind == "one class" else 0.5)
    rows = [replace(p, image_score=0.5) for p in rows] if kind == "equal" else [] if kind == "no rows" else rows
    part = confidence(Evidence(held_out=rows, validation=[], draws=Draws([p.patient_id for p in rows], rounds=100)))
    if kind == "no rows":
        assert part is None
    else:
        assert part.alarms == () and part.result["calibration_error_by_noise"]["value"] is None
        assert part.result["calibration_error_by_noise"]["reason"]


@pytest.mark.parametrize(("stretch", "scale", "alarms"), [(2.5, 1, 1), (1.0, 1, 0), (2.5, 10, 0)])
def test_a_table_of_scores_is_judged_where_they_can_be_probabilities(tmp_path, stretch, scale, alarms):
    ranked = honest(400, stretch=stretch)
    with open(tmp_path / "table.csv", "w", newline="") as file:
        rows = zip(ranked.scores * scale, ranked.labels, ranked.patient_of, strict=True)
        csv.writer(file).writerows([("score", "truth", "patient"), *rows])
    table = read_scores(tmp_path / "table.csv", ScoreColumns(score="score", truth="truth", patient="patient"))
    result = score_result(table, Draws(table.patients, rounds=100), threshold=None, prevalence=None)
    assert len(result["alarms"]) == alarms and ("confidence" in result) == (scale == 1)
