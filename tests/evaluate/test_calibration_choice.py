"""Logistic, temperature or isotonic: each against a second implementation, and the choice against truths where each is right."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import log_loss

from mammolibs.evaluate import Calibration, Chosen, Draws, choose_calibration
from mammolibs.evaluate.analysis import Evidence
from mammolibs.evaluate.calibration_choice import calibration_choice, cross_validated_losses, fit_isotonic, fit_temperature


def drawn(n, chance, seed=0):
    """Two images of each patient. chance: raw -> share malignant."""
    rng = np.random.default_rng(seed)
    raw = rng.uniform(0.02, 0.98, n)
    labels = (rng.random(n) < chance(raw)).astype(int)
    features = np.stack([np.log(raw / (1 - raw)), np.zeros(n)], axis=1)
    return features, raw, labels, np.arange(n) // 2


def steps(raw):
    return np.where(raw < 0.3, 0.02, np.where(raw < 0.6, 0.5, 0.55))


def test_temperature_solves_its_equation():
    features, raw, labels, _ = drawn(2000, lambda raw: raw**3 / (raw**3 + (1 - raw) ** 3))
    fitted = fit_temperature(features, raw, labels)
    odds = np.log(raw / (1 - raw))
    root = brentq(lambda b: np.sum((labels - 1 / (1 + np.exp(-b * odds))) * odds), 0.1, 20)
    assert fitted.slopes[0] == pytest.approx(root, abs=1e-3) and fitted.intercept == 0.0
    assert fitted.slopes[0] == pytest.approx(3.0, abs=0.3)


def test_isotonic_equals_sklearn_and_survives_json():
    features, raw, labels, _ = drawn(500, steps)
    fitted = fit_isotonic(features, raw, labels)
    again = Calibration.from_dict(json.loads(json.dumps(fitted.to_dict())))
    assert again == fitted and not again.is_identity
    new = np.linspace(0, 1, 301)
    theirs = IsotonicRegression(y_min=0.5 / 501, y_max=1 - 0.5 / 501, out_of_bounds="clip").fit(raw, labels).predict(new)
    np.testing.assert_allclose(again.apply(np.zeros((301, 2)), new), theirs, atol=1e-12)
    assert np.all(np.diff(theirs) >= 0) and theirs.min() > 0 and theirs.max() < 1


@pytest.mark.parametrize(("chance", "wanted"), [(lambda raw: raw, "logistic"), (steps, "isotonic")])
def test_the_kind_that_is_true_is_taken(chance, wanted):
    fitted = choose_calibration(*drawn(2000, chance))
    assert fitted.choice.startswith(wanted) and bool(fitted.knots) == (wanted == "isotonic")
    assert "cross-validated" in fitted.choice


def test_few_patients_choose_nothing():
    features, raw, labels, patients = drawn(2000, steps)
    fitted = choose_calibration(features[:40], raw[:40], labels[:40], patients[:40])
    assert "logistic by default" in fitted.choice and fitted.slopes
    assert choose_calibration(np.zeros((0, 2)), np.zeros(0), np.zeros(0, int), np.zeros(0, str)).is_identity


def test_an_image_is_judged_by_fits_that_have_not_seen_its_patient():
    """Labels that are the patients' own coin, and a raw value that names the patient: whoever has seen her could know."""
    rng = np.random.default_rng(3)
    patients = np.repeat(np.arange(200), 2)
    labels = np.repeat(rng.integers(0, 2, 200), 2)
    raw = np.repeat(np.linspace(0.01, 0.99, 200), 2)
    losses = cross_validated_losses(np.zeros((400, 2)), raw, labels, patients)
    assert losses["isotonic"].mean() > 0.65
    seen = fit_isotonic(np.zeros((400, 2)), raw, labels).apply(np.zeros((400, 2)), raw)
    assert log_loss(labels, seen) < losses["isotonic"].mean()
    order = rng.permutation(400)
    again = cross_validated_losses(np.zeros((400, 2)), raw[order], labels[order], patients[order])
    np.testing.assert_allclose(again["logistic"], losses["logistic"][order], atol=1e-6)


def test_the_report_says_what_was_taken_and_what_each_loses(make_predictions):
    validation = make_predictions(150, seed=4, split="validation", malignant_share=0.4)
    held_out = make_predictions(10)
    chosen = {-1: Chosen(calibrations=(Calibration(name="image score", choice="logistic: so and so"),))}
    draws = Draws([p.patient_id for p in held_out], rounds=100)
    part = calibration_choice(Evidence(held_out=held_out, validation=validation, draws=draws, chosen=chosen, split_hash="x"))
    found = part.result["validation"]
    assert found["choice"] == "logistic: so and so" and found["log_loss_logistic"]["n"] == 600
    for name in ("logistic", "temperature", "isotonic"):
        figure = found[f"log_loss_{name}"]
        assert 0 < figure["low"] < figure["value"] < figure["high"] and figure["events"] > 60
    assert found["log_loss_isotonic"]["value"] < found["log_loss_logistic"]["value"], "the maker's raw scores know more than its regions"
    few = [replace(p, fold=1) for p in validation[:20]]
    part = calibration_choice(Evidence(held_out=held_out, validation=few, draws=draws))
    assert part.result["fold 1"]["choice"] == "not recorded"
    assert calibration_choice(Evidence(held_out=held_out, validation=[], draws=draws)) is None
