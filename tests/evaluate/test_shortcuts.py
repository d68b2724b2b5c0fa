"""What can be had without tissue is told, a planted marker is named, and honest data raise no alarm."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mammolibs.evaluate import Draws, ProbeScore, measure, read_predictions, write_predictions
from mammolibs.evaluate.analysis import Evidence
from mammolibs.evaluate.document import to_markdown
from mammolibs.evaluate.probe import one_hot
from mammolibs.evaluate.shortcuts import PROBES, shortcuts, source_probe

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from benches import fault_shortcut  # noqa: E402


def with_probes(rows, **skill):
    """Rows with a score of each named probe: so many standard deviations higher on malignant images."""
    rng = np.random.default_rng(7)
    return [
        replace(
            p,
            probes=tuple(
                ProbeScore(name=name, score=float(rng.normal(lift * p.label)), trained_on=80, trained_events=20) for name, lift in skill.items()
            ),
        )
        for p in rows
    ]  # fmt: skip


def audited(rows, rounds=200):
    return shortcuts(Evidence(held_out=rows, validation=(), draws=Draws([p.patient_id for p in rows], rounds=rounds), split_hash="h"))


BLIND = {"metadata": 0.0, "surroundings": 0.0, "outline": 0.0}


def test_a_probe_is_set_beside_the_pipeline_on_the_same_images(make_predictions):
    rows = make_predictions(120, seed=3)
    rows = [
        replace(p, probes=(ProbeScore(name="outline", score=p.raw_score), ProbeScore(name="blurred", score=-p.raw_score))) for p in rows
    ]
    figures, auc = audited(rows).result["probes"], measure(rows, "image_auc").value
    assert figures["outline_auc"]["value"] == figures["outline_pipeline_auc"]["value"] == auc
    assert (
        figures["outline_share"]["value"] == 1
        and figures["outline_pipeline_minus"]["value"] == figures["outline_pipeline_minus"]["high"] == 0
    )
    # The pipeline ranks as this probe does, so that its upper half lies above its lower half throughout.
    assert figures["outline_followed"]["value"] == 1 and figures["blurred_followed"]["value"] == 0
    assert figures["blurred_auc"]["value"] == pytest.approx(1 - auc) and figures["blurred_share"]["value"] == pytest.approx(-1)
    assert figures["split_hash"] == "h" and figures["outline_auc"]["n"] == len(rows)


def test_only_what_is_blind_surely_above_chance_and_a_large_share_alarms(make_predictions):
    rows = make_predictions(150, seed=5, skill=2.0)
    assert audited(with_probes(rows, **BLIND)).alarms == ()
    # A blurred breast, and the patient herself, are told and never alarm.
    assert audited(with_probes(rows, **BLIND, blurred=3.0, person=3.0)).alarms == ()
    weak = audited(with_probes(rows, **BLIND | {"outline": 0.9}))
    assert (
        weak.result["tests"]["outline"]["surely_above_chance"]
        and weak.result["probes"]["outline_share"]["value"] < 0.5
        and weak.alarms == ()
    )
    (told,) = audited(with_probes(rows, **BLIND | {"surroundings": 2.0})).alarms
    assert (
        "what lies outside the breast: AUC 0.9" in told
        and "Look at markers" in told
        and "metadata" not in told
        and "not shown that the pipeline uses it" in told
    )
    chance = [replace(p, image_score=0.2 + 1e-4 * (k % 7)) for k, p in enumerate(rows)]
    assert audited(with_probes(chance, **BLIND | {"surroundings": 2.0})).alarms


def test_holm_corrects_for_the_probes_that_were_tried(make_predictions):
    tests = audited(with_probes(make_predictions(60, seed=2), **BLIND | {"outline": 1.0, "surroundings": 0.5})).result["tests"]
    order = sorted(tests.values(), key=lambda test: test["p"])
    least = 0.0
    for factor, test in zip((3, 2, 1), order, strict=True):
        least = max(least, min(1.0, factor * test["p"]))
        assert test["p_holm"] == pytest.approx(least)


def test_scores_of_different_folds_never_meet(make_predictions):
    rows = make_predictions(90, seed=4, folds=3)
    shifted = [replace(p, probes=(ProbeScore(name="outline", score=p.raw_score + 100.0 * p.fold, trained_on=9 + p.fold),)) for p in rows]
    same = [replace(p, probes=(ProbeScore(name="outline", score=p.raw_score),)) for p in rows]
    far, near = (audited(r).result["probes"] for r in (shifted, same))
    assert far["outline_auc"] == near["outline_auc"] and far["outline_followed"] == near["outline_followed"]
    assert far["outline_auc"]["value"] == pytest.approx(measure(rows, "image_auc_within_fold").value)


def test_sources_are_told_apart_by_blur_and_by_the_score_of_images_without_cancer(make_predictions):
    rows = [
        replace(
            p, source="one" if int(p.patient_id[1:]) % 2 else "two", image_score=p.image_score / (2 if int(p.patient_id[1:]) % 2 else 1)
        )
        for p in make_predictions(80, seed=6)
    ]
    rows = [
        replace(
            p,
            probes=(
                ProbeScore(name="source", score=0.1),
                *(ProbeScore(name=source_probe(s), score=float(p.source == s)) for s in ("one", "two")),
            ),
        )
        for p in rows
    ]
    part = audited(rows)
    figures = part.result["sources"]
    assert figures["one_by_blurred_auc"]["value"] == figures["two_by_blurred_auc"]["value"] == 1
    assert (
        figures["one_by_pipeline_auc"]["value"] == pytest.approx(1 - figures["two_by_pipeline_auc"]["value"])
        and figures["two_by_pipeline_auc"]["low"] > 0.5
    )
    gap = figures["image_auc"]["value"] - figures["image_auc_within_source"]["value"]
    assert figures["pooled_minus_within_source"]["value"] == pytest.approx(gap)
    assert part.result["probes"]["source_auc"]["reason"] == "all scores are equal"


@pytest.mark.parametrize("change", ["one class", "three patients", "equal", "unknown", "untrained"])
def test_what_cannot_be_judged_says_why_and_nothing_alarms(make_predictions, change):
    rows = with_probes(make_predictions(30, seed=1), **BLIND, source=0.0, person=0.0, blurred=0.0)
    rows = {
        "one class": [replace(p, label=0) for p in rows],
        "three patients": [p for p in rows if p.patient_id in ("p0000", "p0001", "p0002")],
        "equal": [replace(p, image_score=0.5, probes=tuple(replace(q, score=1.0) for q in p.probes)) for p in rows],
        "unknown": [replace(p, label=-1, pathology="unknown") for p in rows],
        "untrained": [replace(p, probes=tuple(replace(q, score=None) for q in p.probes)) for p in rows],
    }[change]
    part = audited(rows)
    assert part.alarms == () and part.result["tests"] == {}
    for name in PROBES:
        figure = part.result["probes"][f"{name}_auc"]
        assert figure["value"] is None and figure["reason"], (change, name)
    assert "No probe that is blind to tissue could be judged" in to_markdown("", "", part.sections)


def test_scores_of_probes_come_back_as_they_were(make_predictions, tmp_path):
    rows = with_probes(make_predictions(4), outline=1.0)
    rows[0] = replace(rows[0], probes=(ProbeScore(name="outline", score=None, trained_on=3),))
    write_predictions(tmp_path / "p.parquet", rows)
    assert read_predictions(tmp_path / "p.parquet") == rows


def test_rows_without_probes_have_no_audit(make_predictions):
    assert audited(make_predictions(10)) is None


def test_rare_categories_share_a_column_and_new_ones_fall_into_it():
    train = (
        [{"maker": "a", "view": "CC"}] * 6 + [{"maker": "b", "view": "MLO"}] * 6 + [{"maker": f"rare{k}", "view": "CC"} for k in range(3)]
    )
    seen, other = one_hot(train, [{"maker": "never seen", "view": "CC"}, {"maker": "b", "view": "MLO"}])
    assert seen.shape[1] == other.shape[1] == 5
    np.testing.assert_array_equal(other[0], seen[-1])
    np.testing.assert_array_equal(other[1], seen[6])


def test_a_planted_marker_and_a_planted_maker_are_named_and_clean_images_raise_nothing():
    (marker,) = fault_shortcut.marker_alarms(1, True, patients=36, rounds=200)
    assert "what lies outside the breast: AUC" in marker and "markers, labels" in marker
    (maker,) = fault_shortcut.maker_alarms(0, True, patients=36, rounds=200)
    assert "how the image was made" in maker
    assert fault_shortcut.marker_alarms(1, False, patients=36, rounds=200) == ()
