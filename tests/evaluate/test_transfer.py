"""The transfer card against closed forms: Bayes' rule, order statistics, the likelihood of a mixture."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import beta, norm

from mammolibs.errors import BadConfig
from mammolibs.evaluate import Chosen, Draws, Threshold
from mammolibs.evaluate.analysis import Evidence
from mammolibs.evaluate.bootstrap import point
from mammolibs.evaluate.decisions import decide
from mammolibs.evaluate.ranked import Ranked
from mammolibs.evaluate.ranking import at_recall_rate
from mammolibs.evaluate.refit import prevalence_found, prevalence_without_labels, refit_from_labels
from mammolibs.evaluate.transfer import SETTINGS, calls_of, transfer
from mammolibs.pipeline.options import PipelineEvalOptions


def chosen(cut, reason=""):
    return Chosen(thresholds=(Threshold(name="exam_score", value=cut, rule="90 % specificity", reason=reason),))


def evidence(held_out, validation=(), cuts=None, prevalence=None):
    draws = Draws([p.patient_id for p in held_out], rounds=200)
    facts = {"chosen": cuts or {-1: chosen(0.3)}, "split_hash": "x", "prevalence": prevalence}
    return Evidence(held_out=held_out, validation=validation, draws=draws, **facts)


def test_figures_elsewhere_are_bayes_rule(make_predictions):
    rows = make_predictions(80, seed=1, malignant_share=0.4)
    result = transfer(evidence(rows, prevalence=0.02)).result
    highest = {p.exam_id: max(q.image_score for q in rows if q.exam_id == p.exam_id) for p in rows}
    ill = {p.exam_id for p in rows if p.label == 1}
    sensitivity = np.mean([score > 0.3 for exam, score in highest.items() if exam in ill])
    specificity = np.mean([score <= 0.3 for exam, score in highest.items() if exam not in ill])
    assert result["at_the_cut"]["sensitivity"]["value"] == pytest.approx(sensitivity)
    assert result["at_the_cut"]["specificity"]["value"] == pytest.approx(specificity)
    assert set(result["elsewhere"]) == {"as asked", *SETTINGS}
    for part in result["elsewhere"].values():
        p = part["prevalence"]
        recalled = p * sensitivity + (1 - p) * (1 - specificity)
        expected = {"recalled_per_1000": 1000 * recalled, "found_per_1000": 1000 * p * sensitivity, "ppv": p * sensitivity / recalled}
        expected["npv"] = (1 - p) * specificity / (1 - recalled)
        for name, value in expected.items():
            assert part[name]["value"] == pytest.approx(value), name
            assert part[name]["low"] < value < part[name]["high"] and part[name]["unit"] == "exam"


def test_each_fold_is_recalled_at_its_own_cut(make_predictions):
    rows = make_predictions(40, folds=2)
    calls = calls_of(rows, evidence(rows, cuts={0: chosen(0.1), 1: chosen(0.9)}))
    cut = np.where(np.isin(calls.exams.names, [f"{p.patient_id} {p.exam_id}" for p in rows if p.fold == 0]), 0.1, 0.9)
    np.testing.assert_array_equal(calls.called, calls.exams.scores > cut)
    assert len(calls_of(rows, evidence(rows, cuts={0: chosen(0.1)})).called) == 20


def test_predictive_values_keep_their_odds_interval_at_every_prevalence():
    ranked = drawn(300)
    draws = Draws(ranked.patients, rounds=300)
    common, rare = (decide(ranked, ranked.scores > 0.8, p, "here", draws)["ppv"] for p in (0.5, 0.005))

    def odds(share):
        return share / (1 - share)

    for end in ("value", "low", "high"):
        assert odds(getattr(rare, end)) / odds(0.005) == pytest.approx(odds(getattr(common, end)))
    assert rare.low > 0.005, "a call still says more than none"


def drawn(n, share=0.3, seed=0):
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < share).astype(int)
    return Ranked(norm.cdf(rng.normal(1.5 * labels)), labels, np.arange(n), "exam")


@pytest.mark.parametrize("labelled", [50, 200])
def test_a_refitted_cut_spreads_like_an_order_statistic(labelled):
    """The k-th of m negatives leaves a share below it that is Beta(k, m + 1 - k), whatever the scores."""
    found = refit_from_labels(drawn(6000, share=0.0004), labelled)["specificity"]
    k = int(np.ceil(0.9 * labelled))
    expected = beta(k, labelled + 1 - k)
    assert found.value == pytest.approx(expected.median(), abs=0.01)
    assert (found.low, found.high) == pytest.approx(expected.ppf([0.025, 0.975]), abs=0.02)


def test_few_labels_spread_wider_and_patients_stay_whole():
    ranked = drawn(600)
    few, many = (refit_from_labels(ranked, count)["specificity"] for count in (25, 200))
    assert few.high - few.low > 2 * (many.high - many.low)
    twice = Ranked(np.repeat(ranked.scores, 2), np.repeat(ranked.labels, 2), np.repeat(ranked.patient_of, 2), "exam")
    clustered = refit_from_labels(twice, 200)["specificity"]
    assert clustered.high - clustered.low > 1.25 * (many.high - many.low)


def test_prevalence_is_the_likeliest_and_the_fixed_point_of_em():
    ranked = drawn(800, share=0.15)
    odds = norm.ppf(ranked.scores)
    ratios = np.exp(1.5 * odds - 1.5**2 / 2)
    [found] = prevalence_without_labels(ratios[None])
    exactly = {"bounds": (1e-9, 1 - 1e-9), "method": "bounded", "options": {"xatol": 1e-9}}
    likeliest = minimize_scalar(lambda p: -np.sum(np.log(1 + p * (ratios - 1))), **exactly).x
    assert found == pytest.approx(likeliest, abs=1e-6)
    assert np.mean(found * ratios / (1 - found + found * ratios)) == pytest.approx(found, abs=1e-6)
    assert found == pytest.approx(ranked.labels.mean(), abs=0.05)
    names = [str(number) for number in range(800)]
    for prevalence in (0.005, 0.2):
        told = prevalence_found(dict(zip(names, ratios, strict=True)), "", ranked, names, prevalence)
        assert told.low <= prevalence <= told.high and told.value == pytest.approx(prevalence, abs=0.04)


def test_a_matched_recall_rate_is_right_where_the_mix_is_the_same():
    ranked = drawn(5000)
    cut = np.quantile(ranked.scores, 0.8)
    same = at_recall_rate(ranked, 0.2, ranked.labels.mean())
    assert point(same["specificity"]) == pytest.approx(np.mean(ranked.scores[ranked.labels == 0] <= cut), abs=0.002)
    assert point(same["sensitivity"]) == pytest.approx(np.mean(ranked.scores[ranked.labels == 1] > cut), abs=0.002)
    rare = at_recall_rate(ranked, 0.2, 0.005)
    assert point(rare["specificity"]) == pytest.approx(0.8, abs=0.01), "nearly all who are recalled are well"


@pytest.mark.parametrize("kind", ["one class", "no cut", "equal", "three patients"])
def test_what_cannot_be_told_says_why(make_predictions, kind):
    rows = make_predictions(3 if kind == "three patients" else 20, malignant_share=0.0 if kind == "one class" else 0.5)
    rows = [replace(p, image_score=0.5) for p in rows] if kind == "equal" else rows
    cuts = {-1: chosen(None, "no validation image")} if kind == "no cut" else None
    part = transfer(evidence(rows, cuts=cuts))
    figures = [f for f in part.result["elsewhere"]["screening, few"].values() if isinstance(f, dict)]
    figures += [f for f in part.result["few_labels"]["25"].values() if isinstance(f, dict)]
    bare = [f for f in part.result["no_labels"]["screening, few"].values() if isinstance(f, dict)]
    assert all(f["value"] is not None or f["reason"] for f in figures + bare)
    assert all(f["value"] is None for f in bare), "no validation rows: no recall rate and no calibration"
    if kind in ("one class", "no cut", "three patients"):
        assert figures[0]["value"] is None
    assert transfer(replace(evidence(rows), chosen={})) is None


def test_the_flag_takes_a_share():
    assert PipelineEvalOptions(prevalence=0.006).prevalence == 0.006
    with pytest.raises(BadConfig, match="share between 0 and 1"):
        PipelineEvalOptions(prevalence=6.0)
