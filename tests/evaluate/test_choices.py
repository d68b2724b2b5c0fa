"""What is chosen on validation patients: thresholds and calibration, stored and applied as plain numbers."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mammolibs.errors import BadData
from mammolibs.evaluate import (
    Calibration,
    DiceSweep,
    Region,
    calibrate_regions,
    choose_mask_threshold,
    choose_region_threshold,
    choose_score_threshold,
    fit_calibration,
    fit_region_calibration,
    measure,
    region_features,
)
from mammolibs.evaluate.bootstrap import point
from mammolibs.evaluate.probability import brier, expected_calibration_error, reliability
from mammolibs.evaluate.ranked import Ranked

RAW = np.full(400, 0.5)


def made(n=400, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 2)) * [2.0, 0.5]
    labels = (rng.random(n) < 1 / (1 + np.exp(1.5 - features @ [0.8, 0.6]))).astype(int)
    return features, labels


def test_calibration_equals_sklearn_where_slopes_are_positive():
    features, labels = made()
    spread = features.std(axis=0)
    theirs = LogisticRegression(C=1.0, tol=1e-8).fit(features / spread, labels)
    ours = fit_calibration(features, RAW, labels)
    np.testing.assert_allclose(ours.apply(features, RAW), theirs.predict_proba(features / spread)[:, 1], atol=1e-3)


def test_calibration_survives_json_and_is_calibrated():
    features, labels = made(4000)
    fitted = fit_calibration(features, np.full(4000, 0.5), labels)
    again = Calibration.from_dict(json.loads(json.dumps(fitted.to_dict())))
    assert again == fitted
    scores = again.apply(features, np.full(4000, 0.5))
    assert abs(scores.mean() - labels.mean()) < 0.005
    ranked = Ranked(scores, labels, np.arange(4000), "image")
    assert point(expected_calibration_error(ranked)) < 0.03
    assert point(brier(ranked)) < labels.mean() * (1 - labels.mean())


def test_calibration_never_turns_a_score_upside_down():
    features, labels = made()
    fitted = fit_calibration(features * [1, -5], RAW, labels)
    assert fitted.slopes[0] > 0 and fitted.slopes[1] == 0.0
    assert "no feature" in fit_calibration(-features, RAW, labels).reason


@pytest.mark.parametrize("labels", [np.zeros(50, int), np.ones(50, int), np.array([1, 1] + [0] * 48)])
def test_without_both_classes_all_lie_near_the_share_of_events_in_their_order(labels):
    raw = np.linspace(0, 1, 50)
    fitted = fit_calibration(np.zeros((50, 2)), raw, labels)
    assert "near the share of events" in fitted.reason
    after = fitted.apply(np.zeros((50, 2)), raw)
    assert after.mean() == pytest.approx((labels.sum() + 0.5) / 51)
    assert np.ptp(after) < 0.1
    assert (np.diff(after) > 0).all()


def test_where_no_feature_ranks_events_higher_folds_still_share_a_scale():
    features, labels = made()
    raw = np.linspace(0.9, 1.0, 400)
    fitted = fit_calibration(-features, raw, labels)
    assert "no feature" in fitted.reason
    after = fitted.apply(-features, raw)
    assert after.mean() == pytest.approx(labels.mean(), abs=0.01)
    barely = fit_calibration(features * 0 + np.random.default_rng(3).normal(size=(400, 2)) + 0.02 * labels[:, None], raw, labels)
    assert np.ptp(after) < 0.05 and np.ptp(barely.apply(features * 0, raw)) < 0.05


def test_without_any_label_raw_scores_pass():
    fitted = fit_calibration(np.zeros((50, 2)), np.zeros(50), np.full(50, -1))
    assert fitted.is_identity and "raw scores kept" in fitted.reason
    assert fitted.apply(np.zeros((2, 2)), np.array([0.2, 0.7])).tolist() == [0.2, 0.7]


def test_nothing_found_has_the_lowest_features():
    box = (0, 0, 1, 1)
    weak = Region(probability=0.02, malignancy=0.3, score=0.1, centre_x=0, centre_y=0, box=box, area_px=1)
    strong = replace(weak, probability=0.9, score=0.6)
    assert region_features([]) < region_features([weak]) < region_features([weak, strong])
    assert region_features([weak, strong])[0] == pytest.approx(np.log(9))


def boastful(rows, slope, shift):
    """The same regions with other log odds of being a lesion, in the same order: a network too sure, or too shy."""

    def said(p):
        return float(1 / (1 + np.exp(-slope * np.log(p / (1 - p)) - shift)))

    return [replace(r, regions=tuple(replace(x, probability=said(x.probability)) for x in r.regions)) for r in rows]


def calibrated(rows, fitted):
    return [replace(r, regions=calibrate_regions(r.regions, fitted)) for r in rows]


def test_regions_of_two_folds_come_onto_one_scale(make_predictions):
    validation = make_predictions(200, seed=1, split="validation")
    rows = make_predictions(200, seed=2)
    half = len(rows) // 2
    honest = measure(rows, "lesion_sensitivity_at_1_fp").value
    folds = [boastful(rows[:half], 4.0, 5.0), boastful(rows[half:], 0.5, -3.0)]
    mixed = folds[0] + folds[1]
    assert measure(mixed, "lesion_sensitivity_at_1_fp").value < honest - 0.1
    fitted = [fit_region_calibration(boastful(validation, 4.0, 5.0)), fit_region_calibration(boastful(validation, 0.5, -3.0))]
    mended = calibrated(folds[0], fitted[0]) + calibrated(folds[1], fitted[1])
    assert measure(mended, "lesion_sensitivity_at_1_fp").value == pytest.approx(honest, abs=0.02)

    def error(rows):
        regions = [x for r in rows for x in r.regions]
        ranked = Ranked([x.probability for x in regions], [x.hit >= 0 for x in regions], np.arange(len(regions)), "region")
        return point(expected_calibration_error(ranked))

    assert error(mended) < 0.04 < 0.1 < error(mixed)


def test_calibrated_regions_keep_their_order_and_carry_their_score(make_predictions):
    rows = make_predictions(100, split="validation")
    fitted = fit_region_calibration(rows)
    box = (0, 0, 1, 1)
    raw = tuple(
        Region(probability=p, malignancy=0.5, score=p / 2, centre_x=0, centre_y=0, box=box, area_px=1)
        for p in (1 - 1e-6, 1 - 1e-5, 0.6, 0.02)
    )
    after = calibrate_regions(raw, fitted)
    assert [r.probability for r in after] == sorted({r.probability for r in after}, reverse=True)
    assert all(r.score == r.probability * 0.5 for r in after)
    assert calibrate_regions((), fitted) == ()


def test_regions_of_unmarked_images_teach_nothing(make_predictions):
    rows = make_predictions(100, split="validation")
    unmarked = [
        replace(r, has_lesion=-1, lesions=(), regions=tuple(replace(x, hit=-1) for x in r.regions))
        for r in make_predictions(50, seed=9, split="validation")
    ]
    assert fit_region_calibration(rows + unmarked) == fit_region_calibration(rows)
    too_few = fit_region_calibration(unmarked)
    assert too_few.is_identity and "0 validation regions on a lesion" in too_few.reason
    regions = next(r.regions for r in rows if len(r.regions) > 2)
    assert calibrate_regions(regions, too_few) == regions


def test_reliability_bins_hold_every_image_once():
    rows = reliability(np.linspace(0, 1, 101), (np.arange(101) > 60).astype(int))
    assert sum(count for *_, count in rows) == 101
    assert [r[0] for r in rows] == sorted(r[0] for r in rows)


def test_score_threshold_by_hand(make_predictions):
    rows = make_predictions(10, split="validation")[:14]
    scores = [0.01 * i for i in range(10)] + [0.05, 0.081, 0.2, 0.3]
    rows = [replace(p, image_score=s, label=int(i >= 10)) for i, (p, s) in enumerate(zip(rows, scores, strict=True))]
    chosen = choose_score_threshold(rows, specificity=0.9)
    assert chosen.value == pytest.approx(0.08) and chosen.achieved == 0.75
    assert (chosen.n, chosen.events) == (14, 4)
    assert choose_score_threshold([p for p in rows if p.label]).value is None


def test_the_cut_for_exams_keeps_their_specificity_where_that_for_images_does_not(make_predictions):
    rows = make_predictions(300, split="validation", seed=3)
    exams = {}
    for p in rows:
        exams.setdefault((p.patient_id, p.exam_id), []).append(p)
    sound = [max(p.image_score for p in own) for own in exams.values() if all(p.label == 0 for p in own)]
    by_image, by_exam = (choose_score_threshold(rows, unit) for unit in ("image", "exam"))
    assert by_exam.name == "exam_score" and by_exam.n == len(exams) < len(rows) and by_exam.rule.endswith("validation exams")
    assert np.mean(np.array(sound) <= by_exam.value) >= 0.9 > np.mean(np.array(sound) <= by_image.value)
    assert by_exam.value in sound


def test_thresholds_refuse_held_out_images(make_predictions):
    rows = make_predictions(5)
    for choose in (choose_score_threshold, choose_region_threshold):
        with pytest.raises(BadData, match="held-out"):
            choose(rows)


def test_region_threshold_keeps_its_promise(make_predictions):
    rows = make_predictions(40, split="validation")
    chosen = choose_region_threshold(rows, false_per_image=0.5)
    false = sum(r.probability > chosen.value for p in rows for r in p.regions if r.hit < 0)
    assert false <= 0.5 * len(rows) < false + 2
    assert 0 < chosen.achieved < 1


def test_mask_threshold_without_lesions_says_so():
    chosen = choose_mask_threshold(DiceSweep())
    assert chosen.value == 0.5 and "unchosen" in chosen.reason
