"""AUC, sensitivity at specificity, Dice: against second implementations, by hand, and with asymmetric numbers."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as sklearn_roc

from mammolibs.evaluate import DiceSweep, auc_statistic, dice_iou, roc_curve, sensitivity_statistic
from mammolibs.evaluate.bootstrap import point


def tied(seed, n=300):
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.3).astype(int)
    return np.round(rng.normal(labels), 1), labels, np.char.add("p", rng.integers(0, 90, n).astype(str))


@pytest.mark.parametrize("seed", range(4))
def test_auc_with_ties_and_weights_equals_sklearn(seed):
    scores, labels, patients = tied(seed)
    statistic = auc_statistic(scores, labels, patients, "image")
    weights = np.random.default_rng(seed).integers(0, 4, (5, len(statistic.patients))).astype(np.float32)
    expected = [roc_auc_score(labels, scores, sample_weight=row[np.searchsorted(statistic.patients, patients)]) for row in weights]
    np.testing.assert_allclose(statistic.evaluate(weights), expected, atol=1e-12)


@pytest.mark.parametrize("specificity", [0.9, 0.95, 0.5])
def test_sensitivity_equals_the_best_point_of_a_roc_curve(specificity):
    scores, labels, patients = tied(9)
    false, true, _ = sklearn_roc(labels, scores, drop_intermediate=False)
    statistic = sensitivity_statistic(scores, labels, patients, "image", specificity=specificity)
    assert point(statistic) == pytest.approx(true[false <= 1 - specificity + 1e-9].max())


def test_sensitivity_by_hand():
    """Ten negatives 0..9: 90 % specificity leaves one of them above the cut, so the cut is 8; three of five lie above."""
    scores = np.array([*range(10), 3, 8, 8.5, 9.5, 20])
    labels = np.array([0] * 10 + [1] * 5)
    patients = np.array([f"p{i}" for i in range(15)])
    assert point(sensitivity_statistic(scores, labels, patients, "image", specificity=0.9)) == pytest.approx(3 / 5)
    assert point(sensitivity_statistic(scores, labels, patients, "image", specificity=0.95)) == pytest.approx(2 / 5)


def test_higher_scores_mean_more_suspicious():
    """Three of the four pairs are in order; turned round, or with the labels swapped, one is."""
    scores, labels, patients = np.array([0.9, 0.4, 0.5, 0.1]), np.array([1, 1, 0, 0]), np.array(list("abcd"))
    assert point(auc_statistic(scores, labels, patients, "image")) == 0.75
    assert point(auc_statistic(-scores, labels, patients, "image")) == 0.25
    assert point(auc_statistic(scores, 1 - labels, patients, "image")) == 0.25


def test_roc_curve_equals_sklearn():
    scores, labels, _ = tied(5)
    false, true, _ = roc_curve(scores, labels)
    expected_false, expected_true, _ = sklearn_roc(labels, scores, drop_intermediate=False)
    np.testing.assert_allclose(false, expected_false)
    np.testing.assert_allclose(true, expected_true)


def test_dice_and_iou_by_hand():
    truth, predicted = np.zeros((4, 5)), np.zeros((4, 5))
    truth[0, :4] = 1
    predicted[0, 3:] = 1
    assert dice_iou(predicted, truth) == (pytest.approx(2 / 6), pytest.approx(1 / 5))
    assert dice_iou(truth, truth) == (1.0, 1.0)
    assert dice_iou(predicted, 0 * truth) == (0.0, 0.0)
    assert dice_iou(0 * truth, 0 * truth) == (1.0, 1.0)
    with pytest.raises(ValueError, match="shapes"):
        dice_iou(truth, truth[:2])


def test_the_dice_sweep_finds_the_cut_that_fits():
    truth = np.zeros((20, 20), bool)
    truth[5:10, 5:12] = True
    probability = np.where(truth, 0.72, 0.31)
    sweep = DiceSweep()
    sweep.add(probability, truth)
    sweep.add(probability, 0 * truth)
    cut, best = sweep.best()
    assert 0.31 < cut < 0.72 and best == 1.0 and sweep.images == 1
    assert DiceSweep().best() == (0.5, None)
