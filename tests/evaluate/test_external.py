"""Figures elsewhere beside those at home: drops, their intervals, what is said of them."""

import math
from dataclasses import replace

import numpy as np
import pytest

from mammolibs.evaluate import (
    Beside,
    Chosen,
    Draws,
    LeftOut,
    Threshold,
    measure,
    paired_difference,
    unpaired_difference,
    write_left_out,
    write_report,
)
from mammolibs.evaluate.analysis import Evidence
from mammolibs.evaluate.conclusions import conclusions
from mammolibs.evaluate.external import beside_adapted, beside_internal, drop_reading
from mammolibs.records import Estimate

CHOSEN = {
    -1: Chosen(thresholds=(Threshold(name="image_score", value=0.2, rule=""), Threshold(name="region_probability", value=0.5, rule="")))
}


def site(rows, name):
    """The same rows as of another source, with its own patients."""
    return [replace(p, source=name, patient_id=f"{name}/{p.patient_id}", image_id=f"{name}-{p.image_id}") for p in rows]


def evidence(rows, internal=None, adapted=None, rounds=400):
    draws = Draws([p.patient_id for p in rows], rounds=rounds)
    return Evidence(held_out=rows, validation=[], draws=draws, chosen=CHOSEN, split_hash="there", internal=internal, adapted=adapted)


def wilson(hits, n):
    z, share = 1.959964, hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Estimate(value=share, low=middle - half, high=middle + half, n=n, events=hits)


def test_the_difference_of_independent_shares_is_newcombes():
    """56 of 70 against 48 of 80, the first example of Newcombe 1998 (Statistics in Medicine 17:873), method 10."""
    found = unpaired_difference(wilson(56, 70), wilson(48, 80))
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)
    assert (found.n, found.events) == (150, 104)
    zero = unpaired_difference(wilson(10, 10), wilson(0, 20))
    assert (zero.low, zero.high) == pytest.approx((0.6791, 1.0), abs=1e-4)


def test_what_one_side_lacks_the_difference_lacks_with_its_reason():
    one, none = wilson(5, 9), Estimate(value=None, n=9, events=9, reason="no negative image among 9, one class only")
    assert unpaired_difference(one, none).value is None and unpaired_difference(none, one).reason == none.reason
    open_ended = Estimate(value=0.4, n=3, events=1, reason="undefined in most rounds, no interval")
    found = unpaired_difference(one, open_ended)
    assert found.value == pytest.approx(5 / 9 - 0.4) and found.low is None and found.reason == open_ended.reason


def test_a_drop_is_seen_and_told_and_none_is_claimed_where_there_is_none(make_predictions):
    home = Beside(rows=site(make_predictions(60, skill=2.5, seed=1, malignant_share=0.4), "here"), chosen=CHOSEN, split_hash="home")
    for skill, reading, words in (
        (0.0, "worse elsewhere", "is more than chance"),
        (2.5, "no drop shown", "No drop of the image AUC is shown"),
    ):
        rows = site(make_predictions(60, skill=skill, seed=2, malignant_share=0.4), "there")
        part = beside_internal(evidence(rows, home))
        found, drop = part.result, part.result["drop"]["image_auc"]
        assert drop["value"] == pytest.approx(found["internal"]["image_auc"]["value"] - found["external"]["image_auc"]["value"])
        assert found["external"]["image_auc"]["value"] == pytest.approx(measure(rows, "image_auc").value)
        assert drop_reading(drop) == reading and drop["n"] == 480
        assert (found["internal"]["split_hash"], found["external"]["split_hash"]) == ("home", "there")
        blank = {"value": None, "reason": "none", "low": None, "events": 0}
        told = conclusions({"pipeline": {"image_auc": blank, "patient_auc": blank}, "unet": {}, "external": found})
        assert any(words in sentence for sentence in told) and not any("no data from elsewhere" in sentence for sentence in told)
        assert told[-1].startswith("Nothing here says how the pipeline does at sites other than there")


def test_patients_on_both_sides_leave_no_drop(make_predictions):
    rows = site(make_predictions(30), "a")
    drops = beside_internal(evidence(rows, Beside(rows=rows[:40], chosen=CHOSEN))).result["drop"]
    assert drops["image_auc"]["value"] is None and drops["image_auc"]["reason"].startswith("10 patients stand in both sets")


@pytest.mark.parametrize("change", [{"label": -1, "pathology": "unknown"}, {"label": 0, "pathology": "normal"}, {"image_score": 0.3}])
def test_unknown_one_class_and_equal_scores_go_through_with_a_reason(make_predictions, change):
    rows = [replace(p, **change) for p in site(make_predictions(12), "there")]
    home = Beside(rows=site(make_predictions(20, seed=3), "here"), chosen=CHOSEN, split_hash="home")
    seen = evidence(rows, home, Beside(rows=rows, chosen=CHOSEN), rounds=100)
    for part, gap in ((beside_internal(seen), "drop"), (beside_adapted(seen), "difference")):
        assert part.result[gap]["image_auc"]["value"] is None and part.result[gap]["image_auc"]["reason"]


def test_the_report_shows_both_and_says_what_is_not_known(make_predictions, tmp_path):
    rows = [replace(p, label=-1, pathology="unknown") for p in site(make_predictions(8), "there")]
    home = Beside(rows=site(make_predictions(10, seed=3), "here"), chosen=CHOSEN, split_hash="home")
    adapted = Beside(rows=rows, chosen=CHOSEN, notes=("Grey values went through a curve.",))
    how = {"stages": {}, "data": {}, "runtime": {}, "split_hash": "there", "chosen": CHOSEN, "rounds": 100}
    result = write_report(tmp_path, predictions=rows, internal=home, adapted=adapted, **how)
    text = (tmp_path / "report.md").read_text()
    assert "How far the image AUC falls against held-out patients of here is not known: no image with a known label." in text
    assert "## Elsewhere, beside home" in text and "Grey values went through a curve." in text
    assert result["data"]["held_out"]["left_out"]["malignancy unknown (AUC, sensitivity)"] == len(rows)
    assert result["alarms"] == []


def test_an_adaptation_is_compared_image_by_image(make_predictions):
    rows = make_predictions(50, seed=5, malignant_share=0.4)
    rng = np.random.default_rng(0)
    after = [replace(p, fold=i % 2, image_score=float(np.clip(p.image_score + rng.normal(0, 0.1), 0, 1))) for i, p in enumerate(rows)]
    lower = Chosen(thresholds=(Threshold(name="image_score", value=0.1, rule=""),))
    part = beside_adapted(evidence(rows, adapted=Beside(rows=after, chosen={0: lower, 1: CHOSEN[-1]}, notes=("told",))))
    gap, expected = part.result["difference"]["image_auc"], paired_difference(after, rows, "image_auc", rounds=400)
    assert (gap["value"], gap["low"], gap["high"]) == pytest.approx((expected.value, expected.low, expected.high))
    ill = [p for p in after if p.label == 1]
    called = np.mean([p.image_score > (0.1, 0.2)[p.fold] for p in ill])
    assert part.result["adapted"]["sensitivity"]["value"] == pytest.approx(called) and part.result["how"] == ["told"]


def test_the_mean_drop_counts_a_patient_of_two_runs_once(make_predictions, tmp_path):
    """What is held out at home in one run comes from elsewhere in the other: with equal scores the drops cancel in every draw."""
    a, b = (
        site(make_predictions(40, skill=3, seed=1, malignant_share=0.4), "a"),
        site(make_predictions(40, skill=0.5, seed=2, malignant_share=0.4), "b"),
    )
    sides = {name: Beside(rows=rows, chosen=CHOSEN, split_hash=name) for name, rows in (("a", a), ("b", b))}
    runs = {
        "a": LeftOut(trained_on=("b",), internal=sides["b"], external=sides["a"]), "b": LeftOut(trained_on=("a",), internal=sides["a"], external=sides["b"])
    }  # fmt: skip
    result = write_left_out(tmp_path, runs, data={}, provenance={}, command="", rounds=200)
    first, second = (result["sources"][name]["drop"]["image_auc"]["value"] for name in "ab")
    assert second > 0.1 and first == pytest.approx(-second)
    mean = result["mean_drop"]["image_auc"]
    assert mean["value"] == pytest.approx(0, abs=1e-9) and mean["high"] - mean["low"] < 1e-6
    known = Beside(rows=[replace(p, label=-1, pathology="unknown") for p in b], chosen=CHOSEN, split_hash="b")
    result = write_left_out(
        tmp_path, runs | {"b": replace(runs["b"], external=known)}, data={"truth": ["synthetic"]}, provenance={}, command="", rounds=200
    )
    assert result["mean_drop"]["image_auc"]["value"] == pytest.approx(first)
    assert "1 of 2 sources without it left out" in result["mean_drop"]["image_auc"]["method"]
    assert "mean over 1 source" in (tmp_path / "report.md").read_text() and "is synthetic" in (tmp_path / "report.md").read_text()
    assert "trained on" in (tmp_path / "report.md").read_text() and "<table>" in (tmp_path / "report.html").read_text()
