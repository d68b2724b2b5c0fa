"""Intervals: known widths, clusters that count, coverage, and what cannot be computed."""

from dataclasses import replace

import numpy as np
import pytest

from mammolibs.errors import BadConfig, BadData
from mammolibs.evaluate import Draws, auc_statistic, difference, estimate, mean_statistic, measure, measure_all, paired_difference


def test_interval_of_a_mean_has_the_textbook_width():
    values = np.random.default_rng(0).beta(4, 4, 400)
    figure = estimate(mean_statistic(values, np.arange(400).astype(str), "image", method="mean"))
    half = 1.966 * values.std(ddof=1) / 20
    assert figure.value == pytest.approx(values.mean())
    assert figure.high - figure.low == pytest.approx(2 * half, rel=0.06)


def test_same_seed_same_interval(make_predictions):
    rows = make_predictions(20)
    assert measure(rows, "image_auc", seed=3) == measure(rows, "image_auc", seed=3)
    assert measure(rows, "image_auc", seed=3) != measure(rows, "image_auc", seed=4)


def test_copies_of_an_image_do_not_shrink_the_interval():
    rng = np.random.default_rng(1)
    labels, patients = (np.arange(80) < 30).astype(int), np.arange(80).astype(str)
    scores = rng.normal(labels)
    once = estimate(auc_statistic(scores, labels, patients, "image"))
    copied = estimate(auc_statistic(np.tile(scores, 5), np.tile(labels, 5), np.tile(patients, 5), "image"))
    naive = estimate(auc_statistic(np.tile(scores, 5), np.tile(labels, 5), np.arange(400).astype(str), "image"))
    assert (copied.value, copied.low, copied.high) == pytest.approx((once.value, once.low, once.high))
    assert naive.high - naive.low < 0.55 * (once.high - once.low)


def test_intervals_cover_the_truth():
    """AUC of unit-variance normals one apart is 0.760; 60 patients of two correlated images, 300 repeats."""
    rng = np.random.default_rng(7)
    covered = 0
    for repeat in range(300):
        ill = np.repeat(rng.random(60) < 0.4, 2)
        scores = ill + np.sqrt(0.5) * (np.repeat(rng.normal(size=60), 2) + rng.normal(size=120))
        patients = np.repeat(np.arange(60), 2).astype(str)
        statistic = auc_statistic(scores, ill.astype(int), patients, "image")
        figure = estimate(statistic, Draws(statistic.patients, rounds=200, seed=repeat))
        covered += figure.low <= 0.7602 <= figure.high
    assert 0.91 <= covered / 300 <= 0.985


def test_a_perfect_score_is_not_taken_for_certain():
    labels = np.array([1] * 6 + [0] * 20)
    figure = estimate(auc_statistic(labels.astype(float), labels, np.arange(26).astype(str), "image"))
    assert figure.value == 1.0 and figure.high == 1.0
    assert 0.4 < figure.low < 0.8


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: [replace(p, label=0) for p in rows], "no positive image"),
        (lambda rows: [replace(p, label=1) for p in rows], "no negative image"),
        (lambda rows: [replace(p, label=-1) for p in rows], "no image with a known label"),
        (lambda rows: [replace(p, image_score=0.5) for p in rows], "all scores are equal"),
        (lambda rows: [replace(p, label=i % 2) for i, p in enumerate(rows) if p.patient_id < "p0003"], "only 3 patients"),
        (lambda rows: [], "no image with a known label"),
    ],
)
def test_what_cannot_be_computed_says_why(change, words, make_predictions):
    rows = change(make_predictions(30))
    figures = measure_all(rows)
    for name in ("image_auc", "sensitivity_at_90_specificity"):
        figure = figures["pipeline"][name]
        assert figure.value is None and figure.low is None and words in figure.reason
    assert all(f.value is not None or f.reason for block in figures.values() for f in block.values())


def test_paired_difference_is_tighter_than_two_single_ones(make_predictions):
    rows = make_predictions(60, seed=5)
    rng = np.random.default_rng(0)
    near = [replace(p, image_score=float(np.clip(p.image_score + rng.normal(0, 0.01), 0, 1))) for p in rows]
    gap = paired_difference(rows, near, "image_auc")
    single = measure(rows, "image_auc")
    assert gap.low <= 0 <= gap.high
    assert gap.high - gap.low < 0.3 * (single.high - single.low)
    worse = [replace(p, image_score=1 - p.image_score) for p in rows]
    assert paired_difference(rows, worse, "image_auc").low > 0
    assert paired_difference(worse, rows, "image_auc").high < 0


def test_paired_difference_wants_the_same_images(make_predictions):
    rows = make_predictions(10)
    with pytest.raises(BadData, match="1 images"):
        paired_difference(rows, rows[1:], "image_auc")
    with pytest.raises(BadConfig, match="image_auc"):
        paired_difference(rows, rows, "accuracy")


def test_difference_of_two_means_has_the_textbook_width():
    rng = np.random.default_rng(2)
    a, patients = rng.random(300), np.arange(300).astype(str)
    b = np.clip(a + rng.normal(0.02, 0.05, 300), 0, 1)
    gap = difference(*(mean_statistic(v, patients, "image", method="mean") for v in (b, a)))
    assert gap.value == pytest.approx((b - a).mean())
    assert gap.high - gap.low == pytest.approx(2 * 1.968 * (b - a).std(ddof=1) / np.sqrt(300), rel=0.08)
