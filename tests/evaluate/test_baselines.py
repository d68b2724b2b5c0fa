"""The baselines beside a run: a planted blob is found, nothing of a fold is fitted on itself."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mammolibs.errors import BadConfig, BadData
from mammolibs.evaluate import measure
from mammolibs.records import Placement, Sample

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
PLACEMENT = Placement(original=(640, 400), crop=(0, 0, 400, 640), mirrored=True, scale=0.25, canvas=(160, 112))


@pytest.fixture(scope="module")
def benches():
    sys.path.insert(0, str(SCRIPTS))
    from benches import baseline_blobs, baseline_compare, baseline_measures

    yield baseline_measures, baseline_blobs, baseline_compare
    sys.path.remove(str(SCRIPTS))


def breast(row, *, bright=None):
    """A half disc of smooth noise; `bright`: x, y, radius of a disc on the canvas, and how much brighter it is."""
    rng = np.random.default_rng([1, sum(map(ord, row.image_id))])
    y, x = np.mgrid[0:160, 0:112]
    noise = rng.normal(size=(40, 28)).repeat(4, 0).repeat(4, 1)
    image = np.where(np.hypot((y - 80) / 75, x / 95) < 1, 0.45 + 0.02 * noise, 0)
    if bright:
        image = image + np.where(np.hypot(x - bright[0], y - bright[1]) < bright[2], bright[3], 0) * (image > 0)
    return Sample(
        image=(np.clip(image, 0, 1) * 65535).astype(np.uint16), mask=None, breast=(0, 0, 100, 160), placement=PLACEMENT,
        image_id=row.image_id, patient_id=row.patient_id, exam_id=row.exam_id, source="synthetic", laterality=row.laterality, view=row.view,
        pathology=row.pathology, label=row.label, has_lesion=row.has_lesion, split="", extra={"lesions": [], "spacing_mm": 0.2},
    )  # fmt: skip


def planted(make_predictions, patients=10):
    """Every lesion of the truth moved to one of a few places, a disc of radius 7 painted there."""
    rows, samples = [], []
    for number, p in enumerate(make_predictions(patients, folds=2, malignant_share=0.5, benign_share=0.0)):
        x, y = 25 + 7 * (number % 5), 50 + 11 * (number % 6)
        original_x, original_y = 399 - (4 * x + 1.5), 4 * y + 1.5
        lesions = tuple(replace(lesion, centre_x=original_x, centre_y=original_y, radius_px=28.0) for lesion in p.lesions)
        rows.append(replace(p, lesions=lesions, height=640, width=400, regions=()))
        samples.append(breast(p, bright=(x, y, 7, 0.25) if lesions else None))
    return rows, samples


def test_measures_are_finite_and_of_one_order(benches, make_predictions):
    baseline_measures, _, _ = benches
    row = make_predictions(1)[0]
    plain, bright = baseline_measures.measures(breast(row)), baseline_measures.measures(breast(row, bright=(40, 80, 12, 0.3)))
    assert list(plain) == list(bright) and 40 <= len(plain) <= 50
    assert all(np.isfinite(list(plain.values())))
    assert bright["brightest_spot"] > plain["brightest_spot"] and bright["blob_top_8"] > 1.3 * plain["blob_top_8"]
    empty = replace(breast(row), image=np.zeros((160, 112), np.uint16))
    assert all(np.isfinite(list(baseline_measures.measures(empty).values())))


def test_differences_are_between_the_two_sides_of_one_view(benches, make_predictions):
    baseline_measures, _, _ = benches
    samples = [breast(p) for p in make_predictions(2)]
    own = np.arange(16.0).reshape(8, 2) ** 2
    both = baseline_measures.with_differences(samples, own)
    left, right = 0, 2
    assert (samples[left].view, samples[right].view) == ("CC", "CC") and samples[right].laterality == "R"
    np.testing.assert_array_equal(both[left, 2:], own[left] - own[right])
    np.testing.assert_array_equal(both[right, 2:], own[right] - own[left])
    alone = baseline_measures.with_differences(samples[:1], own[:1])
    np.testing.assert_array_equal(alone[0, 2:], 0)


def test_a_fold_is_scored_by_the_others_only(benches):
    baseline_measures, _, _ = benches
    rng = np.random.default_rng(0)
    features, labels, folds = rng.normal(size=(60, 3)), rng.integers(0, 2, 60), np.arange(60) % 3
    scores = baseline_measures.out_of_fold_scores(features, labels, folds)
    flipped = baseline_measures.out_of_fold_scores(features, np.where(folds == 1, 1 - labels, labels), folds)
    np.testing.assert_array_equal(scores[folds == 1], flipped[folds == 1])
    assert not np.array_equal(scores[folds == 0], flipped[folds == 0])


def test_planted_blobs_are_found_in_original_pixels(benches, make_predictions, monkeypatch):
    _, baseline_blobs, baseline_compare = benches
    monkeypatch.setattr(baseline_blobs, "TREES", 40)
    rows, samples = planted(make_predictions)
    theirs = baseline_compare.baseline_predictions(samples, rows)
    assert {p.image_id for p in theirs} == {p.image_id for p in rows}
    assert measure(theirs, "lesion_sensitivity_at_0.5_fp").value > 0.9
    assert measure(theirs, "image_auc").value > 0.9


def test_a_patient_in_two_folds_is_refused(benches, make_predictions):
    _, _, baseline_compare = benches
    rows, samples = planted(make_predictions, 5)
    with pytest.raises(BadData, match="p0000"):
        baseline_compare.baseline_predictions(samples, [replace(rows[0], fold=1), *rows[1:]])


def test_a_folder_without_a_run_says_what_to_type(benches, tmp_path):
    with pytest.raises(BadConfig, match="pipeline_eval"):
        benches[2].compare_run(tmp_path)
