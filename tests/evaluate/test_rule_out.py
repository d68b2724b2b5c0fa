"""Cuts with a promise: the promise holds where its assumption does, is said to be impossible where it is, and broken ones are told."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom, multivariate_normal, norm

from mammolibs.evaluate import Draws, Prediction
from mammolibs.evaluate.analysis import Evidence
from mammolibs.evaluate.conformal import choose_band, choose_bands, patients_needed, safe_rank, sort_patients, too_many_for_chance
from mammolibs.evaluate.result import is_figure
from mammolibs.evaluate.rule_out import alarms_of, checks_of, rule_out, slices_of
from mammolibs.evaluate.units import scores_at
from mammolibs.evaluate.workflow import Reader, recall_probabilities, workflow


def patients(labels, scores, *, split="test", fold=-1, name="p", **facts):
    """A patient with one image each."""
    return [
        Prediction(
            image_id=f"{name}{i}", patient_id=f"{name}{i}", exam_id=f"{name}{i}", source="synthetic", split=split, fold=fold, label=int(label),
            has_lesion=-1, image_score=float(score), raw_score=float(score), **facts,
        )
        for i, (label, score) in enumerate(zip(labels, scores, strict=True))
    ]  # fmt: skip


def drawn(rng, count, *, distance=1.5, share=0.3, **how):
    labels = (np.arange(count) < share * count).astype(int)
    return patients(labels, norm.cdf(rng.normal(distance * labels - 1)), **how)


def evidence(held_out, validation):
    return Evidence(held_out=held_out, validation=validation, draws=Draws([p.patient_id for p in held_out], rounds=100), split_hash="x")


def test_how_many_cancers_a_promise_takes():
    assert [patients_needed(level, 0.1) for level in (0.05, 0.1, 0.2)] == [45, 22, 11] and patients_needed(0.05, 0.05) == 59
    for level in (0.05, 0.1, 0.2):
        needed = patients_needed(level)
        assert safe_rank(needed - 1, level) == 0 and safe_rank(needed, level) == 1
        for count in (30, 200, 1000):
            rank = safe_rank(count, level)
            assert rank == max([k for k in range(1, count) if binom.cdf(k - 1, count, level) <= 0.1], default=0)


@pytest.mark.parametrize("level, count", [(0.05, 60), (0.1, 25), (0.1, 150), (0.2, 11)])
@pytest.mark.parametrize("step", [0.0, 0.5])
def test_the_promise_is_broken_as_rarely_as_it_says(level, count, step):
    """2,000 validation sets; the share of cancers truly below each cut is known. Ties (scores in steps) only make it safer."""
    cut = np.random.default_rng(1).normal(size=(2000, count))
    cut = np.sort(np.round(cut / step) * step if step else cut, axis=1)[:, safe_rank(count, level) - 1]
    beyond = norm.cdf(cut - step / 2)
    broken, exact = np.mean(beyond > level), binom.cdf(safe_rank(count, level) - 1, count, level)
    noise = 3 * np.sqrt(0.1 * 0.9 / 2000)
    assert broken <= 0.1 + noise
    if not step:
        assert abs(broken - exact) < noise


def test_the_cut_is_the_score_of_that_rank_and_spares_those_on_it():
    rng = np.random.default_rng(2)
    rows = drawn(rng, 400, split="validation")
    scores = scores_at("patient", rows)
    band = choose_band(scores, 0.1)
    cancers, others = (np.sort(scores.scores[scores.labels == kind]) for kind in (1, 0))
    assert (band.low.value, band.high.value) == (cancers[band.low.rank - 1], others[-band.high.rank])
    table = sort_patients([replace(p, split="test") for p in rows], {-1: band})
    assert np.sum(table.out & (table.labels == 1)) == band.low.rank - 1 and np.sum(table.called & (table.labels == 0)) == band.high.rank - 1


def test_cuts_that_cross_meet_and_keep_both_promises():
    rows = patients([1] * 50 + [0] * 50, [*np.linspace(0.8, 0.9, 50), *np.linspace(0.1, 0.2, 50)], split="validation")
    band = choose_band(scores_at("patient", rows), 0.1)
    assert band.low.value == band.high.value == pytest.approx(0.5, abs=0.02)
    table = sort_patients([replace(p, split="test") for p in rows], {-1: band})
    assert np.array_equal(table.out, table.labels == 0) and np.array_equal(table.called, table.labels == 1)


def test_each_fold_has_its_own_cut_and_one_without_is_left_out_and_named():
    rng = np.random.default_rng(3)
    sizes = {0: 100, 1: 200, 2: 12}
    validation = [p for k, n in sizes.items() for p in drawn(rng, n, split="validation", fold=k, name=f"v{k}_")]
    held_out = [p for k in sizes for p in drawn(rng, 50, fold=k, name=f"t{k}_")]
    bands = choose_bands(validation, sizes, 0.1)
    table = sort_patients(held_out, bands)
    for k, band in bands.items():
        assert np.all(table.low[table.folds == k] == band.low.value) if k < 2 else np.all(np.isnan(table.low[table.folds == k]))
    result = rule_out(evidence(held_out, validation)).result
    assert result["level"] == 0.2 and result["levels"]["0.1"]["ruled_out"]["n"] == 100
    assert [c["reason"] for c in result["cuts"] if c["bound"] == "rule out" and c["level"] == 0.1] == [
        "",
        "",
        "4 validation patients with cancer, 22 needed",
    ]


def test_luck_in_choosing_the_cut_is_counted_exactly():
    """Ranks of two samples from one population, counted in a simulation."""
    rng = np.random.default_rng(4)
    held, cut = rng.random((20000, 20)), np.sort(rng.random((20000, 30)), axis=1)[:, safe_rank(30, 0.1) - 1]
    band = choose_band(scores_at("patient", patients([1] * 30, rng.random(30), split="validation")), 0.1)
    beyond = np.sum(held < cut[:, None], axis=1)
    for least in (1, 2, 4):
        assert too_many_for_chance(least, [20], [band.low]) == pytest.approx(np.mean(beyond >= least), abs=0.01)


@pytest.mark.parametrize(
    "held_out, validation",
    [
        ([], []),
        (drawn(np.random.default_rng(0), 40), []),
        (patients([0] * 40, np.linspace(0, 1, 40)), patients([0] * 60, np.linspace(0, 1, 60), split="validation", name="v")),
        (patients([1] * 40, np.linspace(0, 1, 40)), patients([1] * 60, np.linspace(0, 1, 60), split="validation", name="v")),
        (patients([-1] * 40, np.linspace(0, 1, 40)), patients([-1] * 60, np.linspace(0, 1, 60), split="validation", name="v")),
        (patients([0, 1, 0], [0.1, 0.2, 0.3]), patients([1, 0, 1], [0.1, 0.2, 0.3], split="validation", name="v")),
        (patients([0, 1] * 30, [0.5] * 60), patients([0, 1] * 60, [0.5] * 120, split="validation", name="v")),
    ],
)  # fmt: skip
def test_what_cannot_be_computed_is_said(held_out, validation):
    for analysis in (rule_out, workflow):
        part = analysis(evidence(held_out, validation))
        assert not part.alarms and part.sections[0].items
        figures = [f for block in walk(part.result) for f in block.values() if is_figure(f)]
        assert figures and all(
            f["reason"] if f["value"] is None or f["low"] is None else f["low"] <= f["value"] <= f["high"] for f in figures
        )


def walk(value):
    if isinstance(value, dict):
        if any(is_figure(v) for v in value.values()):
            yield value
        for inner in value.values():
            yield from walk(inner)


def test_equal_scores_rule_nobody_out():
    held_out, validation = patients([0, 1] * 30, [0.5] * 60), patients([0, 1] * 60, [0.5] * 120, split="validation", name="v")
    figures = rule_out(evidence(held_out, validation)).result["levels"]["0.1"]
    assert (
        figures["ruled_out"]["value"] == 0
        and figures["referred"]["value"] == 1
        and figures["cancers_ruled_out"]["high"] == pytest.approx(0.116, abs=0.001)
    )


def test_a_site_whose_cancers_look_healthy_is_named_and_sound_data_give_no_alarm():
    found, false = 0, 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        validation = drawn(rng, 300, distance=2.0, split="validation", name="v")
        mine, other = (drawn(rng, 150, distance=2.0, name=maker, maker=maker) for maker in "AB")
        ill = [replace(p, image_score=float(norm.cdf(rng.normal(-1)))) if p.label else p for p in other]
        bands = choose_bands(validation, [-1], 0.1)

        def alarms(rows, bands=bands):
            table = sort_patients(rows, bands)
            checks = checks_of(table, bands, 0.1, "all")
            for name, members in slices_of(rows, table).items():
                checks += checks_of(table.part(members), bands, 0.1, name)
            return alarms_of(checks, 0.1)

        found += any("maker B" in alarm and "rule-out cut is broken" in alarm for alarm in alarms([*mine, *ill]))
        false += len(alarms([*mine, *other]))
    assert (found, false) == (20, 0)


def test_ways_of_working_follow_from_the_cuts_where_errors_are_independent():
    rng = np.random.default_rng(5)
    held_out, validation = drawn(rng, 200), drawn(rng, 300, split="validation", name="v")
    part = workflow(evidence(held_out, validation), Reader(sensitivity=0.8, specificity=0.9, prevalence=0.01))
    table = sort_patients(held_out, choose_bands(validation, [-1], part.result["level"]))
    out, called = ([np.mean(hits[table.labels == kind]) for kind in (0, 1)] for hits in (table.out, table.called))
    figures = part.result["correlations"]["0"]
    assert figures["triage"]["sensitivity"]["value"] == pytest.approx(0.8 * (1 - out[1]))
    assert figures["triage"]["cancers_lost"]["value"] == pytest.approx(0.8 * out[1])
    assert figures["triage"]["readings_saved"]["value"] == pytest.approx(0.99 * out[0] + 0.01 * out[1])
    assert figures["second_reader"]["sensitivity"]["value"] == pytest.approx(0.8 + 0.2 * called[1])
    assert figures["second_reader"]["recall_rate"]["value"] == pytest.approx(
        0.99 * (0.1 + 0.9 * called[0]) + 0.01 * (0.8 + 0.2 * called[1])
    )
    assert figures["decision_referral"]["sensitivity"]["value"] == pytest.approx(called[1] + 0.8 * (1 - out[1] - called[1]))
    assert part.result["reader_alone"]["recall_rate"]["value"] == pytest.approx(0.01 * 0.8 + 0.99 * 0.1)
    assert "No reader has read these images" in part.sections[0].items[0].text


def test_shared_errors_keep_the_reader_as_she_is_and_follow_the_binormal_model():
    held_out = patients([1] * 2000, np.linspace(0, 1, 2000))
    table = sort_patients(held_out, {})
    for correlation in (0.0, 0.3, 0.6):
        recalled = recall_probabilities(table, Reader(sensitivity=0.87), correlation)
        assert recalled.mean() == pytest.approx(0.87, abs=1e-3)
        low = table.scores < 0.1
        missed_by_both = multivariate_normal(cov=[[1, correlation], [correlation, 1]]).cdf([norm.ppf(0.1), -norm.ppf(0.87)])
        assert np.mean((1 - recalled) * low) == pytest.approx(missed_by_both, abs=1e-3)
