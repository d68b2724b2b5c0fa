"""The linear probe finds what is there and nothing else."""

import numpy as np

from mammolibs.evaluate.probe import linear_probe


def features(seed, signal, n=200, d=12):
    rng = np.random.default_rng(seed)
    labels = (np.arange(n) % 3 == 0).astype(int)
    x = rng.normal(size=(n, d))
    x[:, 4] += signal * labels
    return x, labels, np.array([f"p{i // 2}" for i in range(n)])


def area(scores, labels):
    pairs = scores[labels == 1][:, None] - scores[labels == 0][None]
    return (pairs > 0).mean() + (pairs == 0).mean() / 2


def test_a_linear_signal_is_found_on_other_images():
    train, labels, patients = features(0, signal=3.0)
    other, truth, _ = features(1, signal=3.0)
    # Two normal classes 3 standard deviations apart: AUC = Phi(3 / sqrt(2)) = 0.983.
    assert abs(area(linear_probe(train, labels, patients, other), truth) - 0.983) < 0.02


def test_noise_stays_noise():
    train, labels, patients = features(2, signal=0.0)
    other, truth, _ = features(3, signal=0.0)
    assert 0.35 < area(linear_probe(train, labels, patients, other), truth) < 0.65


def test_unknown_labels_are_passed_over_and_one_class_is_no_probe():
    train, labels, patients = features(0, signal=3.0)
    other, _, _ = features(1, signal=3.0)
    more = np.concatenate([train, np.full((5, train.shape[1]), 1e6)])
    with_unknown = linear_probe(more, np.concatenate([labels, [-1] * 5]), np.concatenate([patients, ["q"] * 5]), other)
    np.testing.assert_allclose(with_unknown, linear_probe(train, labels, patients, other))
    assert linear_probe(train, np.zeros(len(train), int), patients, other) is None
