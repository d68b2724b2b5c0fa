"""What the cuts chosen on validation patients do on held-out ones, and what the report then dares to say."""

from dataclasses import replace

import numpy as np
import pytest

from mammolibs.evaluate import Chosen, Draws, Threshold, measure
from mammolibs.evaluate.chosen import at_thresholds
from mammolibs.evaluate.conclusions import conclusions, not_held_out
from mammolibs.evaluate.metrics import within
from mammolibs.evaluate.report import build_result


def cuts(image, region):
    return Chosen(
        thresholds=(Threshold(name="image_score", value=image, rule=""), Threshold(name="region_probability", value=region, rule=""))
    )


def test_each_fold_is_judged_at_its_own_cut(make_predictions):
    rows = make_predictions(60, folds=2)
    chosen = {0: cuts(0.2, 0.5), 1: cuts(0.7, 0.9)}
    found = at_thresholds(rows, chosen, Draws([p.patient_id for p in rows]))
    image, region = {0: 0.2, 1: 0.7}, {0: 0.5, 1: 0.9}
    ill = [p for p in rows if p.label == 1]
    assert found["sensitivity"].value == pytest.approx(np.mean([p.image_score > image[p.fold] for p in ill]))
    well = [p for p in rows if p.label == 0]
    assert found["specificity"].value == pytest.approx(np.mean([p.image_score <= image[p.fold] for p in well]))
    hits = [any(r.hit == i and r.probability > region[p.fold] for r in p.regions) for p in rows for i in range(len(p.lesions))]
    assert found["lesion_sensitivity"].value == pytest.approx(np.mean(hits))
    false = found["false_positives_per_image"]
    assert false.value == pytest.approx(np.mean([sum(r.hit < 0 and r.probability > region[p.fold] for r in p.regions) for p in rows]))
    assert 0 <= false.low < false.value < false.high and false.events == false.value * len(rows)


def test_a_cut_that_was_not_chosen_gives_no_figure(make_predictions):
    rows = make_predictions(20)
    found = at_thresholds(rows, {-1: Chosen()}, Draws([p.patient_id for p in rows]))
    assert all(estimate.value is None and "chosen" in estimate.reason for estimate in found.values())


def told(rows):
    result = build_result(rows, Draws([p.patient_id for p in rows], rounds=300), stages={}, split_hash="x")
    return result, conclusions(result)[0]


def test_a_pool_that_only_knows_the_source_is_not_believed(make_predictions):
    """Scores that say nothing but where an image comes from: the pooled AUC is high where one source has more cancer."""
    rng = np.random.default_rng(0)
    many, few = make_predictions(60, malignant_share=0.9, seed=1), make_predictions(60, malignant_share=0.05, seed=2)
    rows = [replace(p, source="a", image_score=float(0.8 + rng.uniform(0, 0.1))) for p in many]
    rows += [
        replace(p, source="b", patient_id=f"b{p.patient_id}", image_id=f"b{p.image_id}", image_score=float(rng.uniform(0, 0.1)))
        for p in few
    ]
    assert measure(rows, "image_auc").low > 0.6
    assert 0.35 < within("sources", rows, "image_auc").evaluate(np.ones((1, 120), np.float32))[0] < 0.65
    result, sentence = told(rows)
    assert "image_auc_within_source" in result["pipeline"]
    assert "not shown" in sentence and "within sources" in sentence


def test_a_pool_that_only_knows_the_fold_is_not_believed(make_predictions):
    rng = np.random.default_rng(0)
    rows = [replace(p, fold=0, image_score=float(0.8 + rng.uniform(0, 0.1))) for p in make_predictions(60, malignant_share=0.9, seed=1)]
    rows += [
        replace(p, fold=1, patient_id=f"b{p.patient_id}", image_id=f"b{p.image_id}", image_score=float(rng.uniform(0, 0.1)))
        for p in make_predictions(60, malignant_share=0.05, seed=2)
    ]
    assert "not shown" in told(rows)[1] and "within folds" in told(rows)[1]


def test_skill_inside_each_fold_is_believed(make_predictions):
    assert "score higher than the rest" in told(make_predictions(100, folds=4))[1]


def test_weights_from_elsewhere_are_told():
    result = {
        "pipeline": {level: {"value": None, "reason": "none", "low": None, "events": 0} for level in ("image_auc", "patient_auc")},
        "unet": {},
    }
    sentences = conclusions(result | {"provenance": {"fold 0": {"weights_from_elsewhere": {"resnet": "other.pth"}}}})
    assert any("other.pth" in s and "not known" in s for s in sentences)
    for provenance, words in (
        ({"weights_from_elsewhere": {"resnet": "other.pth"}, "seen_unknown": []}, "none of these patients is among those that it has seen"),
        ({"seen_unknown": ["further/back.pth"]}, "back.pth, made elsewhere: whether it has seen any of these patients is not known"),
    ):
        [told] = [s for s in conclusions(result | {"provenance": provenance}) if s.startswith("Training began")]
        assert words in told


def test_what_folds_share_with_training_is_told_by_fold():
    touched = {"fold 0": {"touched": [], "audit": {}}, "fold 1": {"touched": ["3 patients (patient overlap)"], "audit": {}}}
    [told] = not_held_out(touched)
    assert told.startswith("NOT HELD OUT") and "fold 1: 3 patients (patient overlap)" in told
    assert not_held_out({}) == [] and not_held_out({"touched": ["1 pair"]})[0].count("1 pair") == 1
