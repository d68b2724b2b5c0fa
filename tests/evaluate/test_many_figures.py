"""The figures of a table of scores: against second implementations with weights, by hand, and where they cannot be computed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from mammolibs.evaluate import Draws, estimate
from mammolibs.evaluate.bootstrap import estimate_all, point
from mammolibs.evaluate.decisions import at_cut, confusion
from mammolibs.evaluate.probability import calibration_intercept, calibration_slope, expected_calibration_error, probability_figures
from mammolibs.evaluate.ranked import Ranked
from mammolibs.evaluate.ranking import auc, average_precision, partial_auc, sensitivity_at, specificity_at


def tied(seed, n=300):
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.3).astype(int)
    scores = 1 / (1 + np.exp(1.5 - np.round(rng.normal(labels), 1)))
    return Ranked(scores, labels, np.char.add("p", rng.integers(0, 90, n).astype(str)), "image")


def weights_of(ranked, seed=0, rounds=5):
    weights = np.random.default_rng(seed).integers(0, 4, (rounds, len(ranked.patients))).astype(np.float32)
    return weights, weights[:, np.searchsorted(ranked.patients, ranked.patient_of)]


ORACLES = {
    "auc": (auc, lambda y, s, w: roc_auc_score(y, s, sample_weight=w)),
    "partial": (partial_auc, lambda y, s, w: roc_auc_score(y, s, sample_weight=w, max_fpr=0.1)),
    "precision": (average_precision, lambda y, s, w: average_precision_score(y, s, sample_weight=w)),
    "brier": (lambda r: probability_figures(r)["brier"], lambda y, s, w: brier_score_loss(y, s, sample_weight=w)),
}


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize("seed", range(3))
def test_figures_with_ties_and_weights_equal_sklearn(name, seed):
    build, oracle = ORACLES[name]
    ranked = tied(seed)
    weights, of_image = weights_of(ranked, seed)
    expected = [oracle(ranked.labels, ranked.scores, row) for row in of_image]
    np.testing.assert_allclose(build(ranked).evaluate(weights), expected, atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_slope_and_intercept_are_where_the_likelihood_is_highest(seed):
    ranked = tied(seed)
    weights, of_image = weights_of(ranked, seed, rounds=2)
    odds = np.log(ranked.scores / (1 - ranked.scores))
    for build, free in ((calibration_slope, True), (calibration_intercept, False)):
        for found, row in zip(build(ranked).evaluate(weights), of_image, strict=True):

            def loss(b, row=row, free=free):
                z = b[0] + (b[1] if free else 1.0) * odds
                return np.sum(row * (np.logaddexp(0, z) - ranked.labels * z))

            best = minimize(loss, [0.0, 1.0], method="BFGS", options={"gtol": 1e-9}).x
            assert found == pytest.approx(best[1 if free else 0], abs=1e-5)


def test_true_probabilities_have_slope_one_and_intercept_nought_and_overconfident_ones_have_not():
    rng = np.random.default_rng(4)
    odds = rng.normal(-1, 1.2, 20_000)
    labels = (rng.random(20_000) < 1 / (1 + np.exp(-odds))).astype(int)
    patients = np.arange(20_000).astype(str)
    right, bold = (Ranked(1 / (1 + np.exp(-k * odds)), labels, patients, "image") for k in (1, 2))
    assert point(calibration_slope(right)) == pytest.approx(1, abs=0.05)
    assert point(calibration_intercept(right)) == pytest.approx(0, abs=0.05)
    assert point(calibration_slope(bold)) == pytest.approx(0.5, abs=0.03)
    assert point(expected_calibration_error(right)) < 0.01 < 0.05 < point(expected_calibration_error(bold))


def test_decisions_by_hand():
    """Ten units, cut 5: three of four ill called, two of six others too."""
    scores, labels = np.array([9, 8, 5, 1, 7, 6, 4, 3, 2, 0.0]), np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    ranked = Ranked(scores, labels, np.arange(10).astype(str), "image")
    assert confusion(ranked, 5) == {"true_positives": 3, "false_positives": 2, "false_negatives": 1, "true_negatives": 4}
    found = {name: point(figure) for name, figure in at_cut(ranked, 5, 0.01, "given").items()}
    assert found["sensitivity"] == pytest.approx(3 / 4) and found["specificity"] == pytest.approx(4 / 6)
    assert found["recall_rate"] == pytest.approx(0.01 * 3 / 4 + 0.99 * 2 / 6)
    assert found["ppv"] == pytest.approx(0.0075 / (0.0075 + 0.33))
    assert found["npv"] == pytest.approx(0.66 / (0.66 + 0.0025))
    assert point(sensitivity_at(ranked, 4 / 6)) == pytest.approx(3 / 4)
    assert point(specificity_at(ranked, 3 / 4)) == pytest.approx(4 / 6)
    assert point(specificity_at(ranked, 1.0)) == pytest.approx(1 / 6)


def test_at_the_sets_own_prevalence_predictive_values_are_the_observed_shares():
    ranked = tied(2)
    cut, prevalence = 0.4, ranked.events / ranked.n
    counts = confusion(ranked, cut)
    found = at_cut(ranked, cut, prevalence, "given")
    called = counts["true_positives"] + counts["false_positives"]
    assert point(found["ppv"]) == pytest.approx(counts["true_positives"] / called)
    assert point(found["recall_rate"]) == pytest.approx(called / ranked.n)


def test_probabilistic_f1_of_hard_calls_is_the_plain_f1():
    from sklearn.metrics import f1_score

    ranked = tied(5)
    hard = Ranked((ranked.scores > 0.4).astype(float), ranked.labels, ranked.patient_of, "image")
    assert point(probability_figures(hard)["probabilistic_f1"]) == pytest.approx(f1_score(hard.labels, hard.scores))


def test_figures_of_one_ranking_share_their_counts_and_are_as_they_are_alone():
    ranked = tied(7)
    draws = Draws(ranked.patient_of, rounds=200)
    figures = {"auc": auc(ranked), "ap": average_precision(ranked), "brier": probability_figures(ranked)["brier"]}
    assert estimate_all(figures, draws) == {name: estimate(figure, draws) for name, figure in figures.items()}


@pytest.mark.parametrize(
    ("scores", "labels", "words"),
    [
        (np.linspace(0, 1, 20), np.zeros(20, int), "no positive image among 20"),
        (np.full(20, 0.5), np.arange(20) % 2, "all scores are equal"),
        (np.linspace(-3, 3, 20), np.arange(20) % 2, "no probabilities"),
        (np.linspace(0, 1, 20), (np.arange(20) > 9).astype(int), "do not overlap"),
    ],
)
def test_what_cannot_be_computed_says_why_and_the_rest_is(scores, labels, words):
    ranked = Ranked(scores, labels, np.arange(20).astype(str), "image")
    figures = estimate_all({"auc": auc(ranked), "slope": calibration_slope(ranked), **probability_figures(ranked)})
    assert any(words in f.reason for f in figures.values() if f.value is None)
    assert all((f.value is None) == (f.low is None) and (f.value is not None or f.reason) for f in figures.values())
