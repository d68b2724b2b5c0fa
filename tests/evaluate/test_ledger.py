"""The stage-error ledger: each error at one stage, by hand; a stage that fails is named, and no other; what true regions bring."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mammolibs.evaluate import Chosen, Draws, LesionTruth, PatchScore, Prediction, Region, Threshold
from mammolibs.evaluate.analysis import Evidence
from mammolibs.evaluate.failing import failures, stage_figures
from mammolibs.evaluate.ledger import Cuts, choose_grading_cut, cuts_by_fold, false_alarms, missed_images, missed_lesions
from mammolibs.evaluate.ledger_page import ledger
from mammolibs.evaluate.oracle import oracle

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
CUTS = {-1: Cuts(image=0.5, region=0.2, grade=Threshold(name="malignancy", value=0.6, rule=""))}
MASS = LesionTruth(lesion_id="m", pathology="malignant", centre_x=100.0, centre_y=100.0, radius_px=20.0, on_canvas=1.0)
BENIGN = replace(MASS, lesion_id="b", pathology="benign")
UNPLACED = LesionTruth(lesion_id="u", pathology="malignant")


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, str(SCRIPTS))
    from benches import fault_stages

    yield fault_stages
    sys.path.remove(str(SCRIPTS))


def region(probability, malignancy, hit=0):
    return Region(
        probability=probability, malignancy=malignancy, score=probability * (malignancy or 1.0), centre_x=100.0, centre_y=100.0,
        box=(80, 80, 120, 120), area_px=1600.0, hit=hit,
    )  # fmt: skip


def image(score, label, lesions=(), regions=(), patches=()):
    return Prediction(
        image_id="i", patient_id="p", exam_id="e", source="s", label=label, has_lesion=int(bool(lesions)), image_score=score, raw_score=0.0,
        lesions=lesions, regions=regions, patches=patches, height=200, width=200,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("lesions", "regions", "stage"),
    [
        ((replace(MASS, on_canvas=0.3),), (), "crop"),
        # What was cropped away counts as such, whatever a region does there.
        ((replace(MASS, on_canvas=0.3),), (region(0.9, 0.9),), "crop"),
        ((replace(MASS, on_canvas=None),), (), "segmentation"),
        ((MASS,), (region(0.9, 0.9, hit=-1),), "segmentation"),
        ((MASS,), (region(0.2, 0.9),), "segmentation"),
        ((MASS,), (region(0.3, 0.6),), "grading"),
        ((MASS,), (region(0.1, 0.9), region(0.3, 0.5)), "grading"),
        ((MASS,), (region(0.3, 0.7),), "aggregation"),
        ((MASS,), (region(0.3, None),), "aggregation"),
        # Of several lesions the one that came furthest counts.
        ((replace(MASS, on_canvas=0.0), MASS), (region(0.3, 0.1, hit=1),), "grading"),
        ((UNPLACED,), (), "not known"),
        ((), (region(0.9, 0.9, hit=-1),), "not known"),
    ],
)
def test_a_missed_cancer_is_lost_by_the_first_stage_that_let_it_go(lesions, regions, stage):
    [fate] = missed_images([image(0.5, 1, lesions, regions)], CUTS)
    assert fate.stage == stage
    assert missed_images([image(0.51, 1, lesions, regions)], CUTS) == []


def test_each_malignant_lesion_of_a_missed_image_has_its_own_stage():
    rows = [image(0.4, 1, (MASS, replace(MASS, lesion_id="n"), BENIGN), (region(0.9, 0.9, hit=1),))]
    assert [(f.lesion, f.stage) for f in missed_lesions(rows, CUTS)] == [(0, "segmentation"), (1, "aggregation")]


@pytest.mark.parametrize(("grade", "words"), [(0.8, "which passes"), (0.5, "does not pass either")])
def test_grading_says_whether_the_true_place_would_have_passed(grade, words):
    row = image(0.4, 1, (MASS,), (region(0.9, 0.3),), (PatchScore(label=1, score=grade, lesion=0),))
    [fate] = missed_images([row], CUTS)
    assert words in fate.why and fate.true_patch == grade


@pytest.mark.parametrize(
    ("lesions", "regions", "stage"),
    [
        ((), (), "aggregation"),
        ((), (region(0.9, 0.9, hit=-1),), "grading"),
        ((BENIGN,), (region(0.9, 0.9),), "grading"),
        ((), (region(0.9, 0.1, hit=-1),), "segmentation"),
        ((), (region(0.1, 0.1, hit=-1),), "aggregation"),
        ((BENIGN,), (region(0.9, 0.1),), "aggregation"),
        ((BENIGN,), (region(0.9, 0.5), region(0.5, 0.7, hit=-1)), "aggregation"),
    ],
)
def test_a_false_alarm_is_made_by_the_most_suspicious_region(lesions, regions, stage):
    [fate] = false_alarms([image(0.6, 0, lesions, regions)], CUTS)
    assert fate.stage == stage


def test_the_grading_cut_spares_nine_in_ten_validation_regions():
    grades = [i / 100 for i in range(1, 21)]
    rows = [image(0.1, 0, (), (region(0.9, g, hit=-1), region(0.1, 0.99, hit=-1))) for g in grades] + [
        image(0.9, 1, (MASS,), (region(0.9, 0.9),))
    ]
    cut = choose_grading_cut(rows, 0.2)
    assert (cut.value, cut.achieved, cut.n, cut.events) == (0.18, 1.0, 21, 1)
    none = choose_grading_cut([], 0.2)
    assert none.value == 0.5 and "unchosen" in none.reason


@pytest.mark.parametrize("fault", ["", "segmentation noise", "grading constant", "calibration flat"])
def test_a_stage_that_fails_is_named_and_no_other(bench, fault):
    evidence = bench.simulate(1, fault, patients=120)
    failed = failures(stage_figures(evidence, cuts_by_fold(evidence)))
    assert list(failed) == ([bench.FAULTS[fault]] if fault else [])
    assert all("fails" in sentence and "Look at" in sentence for sentence in failed.values())


@pytest.fixture(scope="module")
def clean(bench):
    return bench.simulate(2, patients=80)


def test_the_ledger_adds_up_to_all_errors(clean):
    part = ledger(clean)
    cut = clean.chosen[-1].cut("image_score")
    ill, well = ([p.image_score > cut for p in clean.held_out if p.label == kind] for kind in (1, 0))
    for kind, errors, total in (("missed_images", len(ill) - sum(ill), len(ill)), ("false_alarms", sum(well), len(well))):
        figures = [f for f in part.result[kind].values() if isinstance(f, dict)]
        assert sum(f["events"] for f in figures) == errors > 0 and {f["n"] for f in figures} == {total}
        assert len(part.result[f"list_of_{kind}"]) == errors and part.result[kind]["split_hash"] == "simulated"
    assert sum(f["value"] for f in part.result["missed_images"].values() if isinstance(f, dict)) == pytest.approx(1 - np.mean(ill))
    assert part.alarms == () and part.result["failed"] == []


def test_true_regions_give_the_difference_of_the_two_areas(clean):
    result = oracle(clean).result
    labels = [p.label for p in clean.held_out]
    found, true = (roc_auc_score(labels, [getattr(p, name) for p in clean.held_out]) for name in ("image_score", "oracle_score"))
    gain = result["gain_of_perfect_segmentation"]
    assert gain["value"] == pytest.approx(true - found) and gain["low"] > 0
    # In this bench a patch is graded alike wherever it was cut.
    assert result["grading_gap"]["low"] < 0 < result["grading_gap"]["high"] and result["grading_gap"]["unit"] == "patch"


def test_the_gap_is_found_where_regions_lie_badly(clean):
    def worse(p):
        return replace(
            p, patches=tuple(replace(q, score=0.3 * q.score) if q.origin == "region" and q.lesion >= 0 else q for q in p.patches)
        )

    bad = replace(clean, held_out=[worse(p) for p in clean.held_out])
    assert oracle(bad).result["grading_gap"]["low"] > 0.02


def told(rows, chosen):
    return Evidence(held_out=rows, validation=[], draws=Draws([p.patient_id for p in rows], rounds=50), chosen=chosen, split_hash="x")


def test_what_cannot_be_told_is_said(clean, make_predictions):
    chosen = dict(clean.chosen)
    some = clean.held_out[:100]
    one_class = [p for p in some if p.label == 0]
    bare = {"spacing_mm": None, "lesions": (), "regions": (), "patches": (), "oracle_score": None}
    changes = ({"label": -1, "pathology": "unknown"}, {"image_score": 0.5}, bare)
    changed = [[replace(p, **change) for p in some] for change in changes]
    for rows in (some[:6], one_class, *changed, make_predictions(5)):
        part = ledger(told(rows, chosen))
        assert part.alarms == () or rows is changed[1]
        figures = [
            f
            for kind in ("missed_images", "missed_lesions", "false_alarms", "stages")
            for f in part.result[kind].values()
            if isinstance(f, dict)
        ]
        assert all(f["value"] is not None or f["reason"] for f in figures)
    assert (
        oracle(told(one_class, chosen)).result["gain_of_perfect_segmentation"]["reason"]
        == f"no positive image among {len(one_class)}, one class only"
    )
    assert ledger(told(clean.held_out, {})) is None and oracle(told(make_predictions(5), {})) is None
    no_cut = Chosen(thresholds=(Threshold(name="image_score", value=None, rule="", reason="no validation image"),))
    assert "no validation image" in ledger(told(clean.held_out, {-1: no_cut})).result["reason"]
