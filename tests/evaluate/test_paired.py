"""Two AUCs on the same patients: against the definition, against clusters by brute force, and its error rate."""

from __future__ import annotations

import numpy as np
import pytest

from mammolibs.evaluate import difference
from mammolibs.evaluate.paired import both_tests, delong, permutation
from mammolibs.evaluate.ranked import Ranked
from mammolibs.evaluate.ranking import auc


def pair(seed, n=120, gap=0.0, patients=None):
    rng = np.random.default_rng(seed)
    labels = (np.arange(n) < n // 3).astype(int)
    shared = rng.normal(size=n)
    first, second = (np.round(labels * lift + shared + rng.normal(size=n), 1) for lift in (1 + gap, 1))
    who = np.arange(n).astype(str) if patients is None else patients
    return Ranked(first, labels, who, "image"), Ranked(second, labels, who, "image")


@pytest.mark.parametrize("seed", range(5))
def test_delong_equals_its_definition_by_brute_force(seed):
    first, second = pair(seed)
    kernels = [np.sign(r.scores[r.labels == 1][:, None] - r.scores[r.labels == 0]) / 2 + 0.5 for r in (first, second)]
    gap = kernels[0] - kernels[1]
    positives, negatives = gap.shape
    variance = np.var(gap.mean(axis=1), ddof=1) / positives + np.var(gap.mean(axis=0), ddof=1) / negatives
    found = delong(first, second)
    assert found.difference == pytest.approx(gap.mean(), abs=1e-10)
    assert found.standard_error == pytest.approx(np.sqrt(variance), abs=1e-10)


def test_copies_of_each_unit_leave_the_test_as_it_was():
    first, second = pair(3, gap=0.7)
    once = delong(first, second)
    many = delong(*(Ranked(np.tile(r.scores, 4), np.tile(r.labels, 4), np.tile(r.patient_of, 4), "image") for r in (first, second)))
    assert (many.difference, many.p) == (pytest.approx(once.difference), pytest.approx(once.p))
    assert "patients" in many.method and "patients" not in once.method


def test_delong_and_the_bootstrap_agree_on_how_sure_a_difference_is():
    patients = np.repeat(np.arange(100), 3).astype(str)
    first, second = pair(8, n=300, gap=0.3, patients=np.random.default_rng(0).permutation(patients))
    interval = difference(auc(first), auc(second))
    half = (interval.high - interval.low) / 2
    assert 1.96 * delong(first, second).standard_error == pytest.approx(half, rel=0.12)


def test_under_no_difference_both_tests_reject_as_often_as_they_say():
    runs = [pair(seed, n=90) for seed in range(300)]
    rejected = np.mean([delong(a, b).p < 0.05 for a, b in runs])
    assert 0.02 <= rejected <= 0.085
    drawn = [permutation(a, b, rounds=60, seed=i).p for i, (a, b) in enumerate(runs[:120])]
    assert np.mean(np.array(drawn) < 0.1) <= 0.18 and np.mean(drawn) == pytest.approx(0.5, abs=0.1)


def test_a_real_difference_is_seen_by_both():
    first, second = pair(1, n=600, gap=1.0)
    assert delong(first, second).p < 1e-4 and permutation(first, second, rounds=400).p < 0.01


def test_both_tests_are_of_the_difference_that_is_reported():
    for seed in range(5):
        first, second = pair(seed, n=40, gap=0.5)
        told = difference(auc(first), auc(second)).value
        assert permutation(first, second, rounds=1).difference == pytest.approx(told, abs=1e-12)
        assert delong(first, second).difference == pytest.approx(told, abs=1e-12)


def test_one_patient_proves_nothing():
    first, second = pair(1, n=30, gap=2.0, patients=np.full(30, "only"))
    assert permutation(first, second, rounds=20).p == 1.0
    with pytest.raises(ValueError, match="two patients of each class"):
        delong(first, second)
    without, drawn = both_tests(first, second)
    assert (without["p"], without["reason"]) == (None, "a variance needs two patients of each class") and drawn["p"] == 1.0


def test_other_units_are_refused():
    first, second = pair(1)
    with pytest.raises(ValueError, match="same units"):
        delong(first, Ranked(second.scores, second.labels[::-1], second.patient_of, "image"))
    with pytest.raises(ValueError, match="one class"):
        permutation(*(Ranked(r.scores, np.ones(120, int), r.patient_of, "image") for r in (first, second)))
