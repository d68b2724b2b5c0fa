"""The flow of exclusions: every step adds up, also where reasons are missing, and says what the figures were counted on."""

import json
from dataclasses import replace

import pytest

from mammolibs.evaluate import held_out_rows, write_report
from mammolibs.evaluate.exclusions import UNEXPLAINED, exclusion_flow
from tests.walk import faults, flow_faults


def catalog(images, held_out, **changes):
    splits = {"train": images - held_out - 10, "validation": 10, "test": held_out}
    return {"images": images, "held_out": held_out, "splits": splits, "left_out": [], "refused": {}, "unread": []} | changes


def poor_rows(make_predictions):
    """40 patients: images of unknown malignancy, of unknown side, lesions without a place or a mask, one image twice."""
    rows = make_predictions(40, seed=3)
    ill = next(n for n, p in enumerate(rows) if p.lesions)
    rows[ill] = replace(rows[ill], lesions=(replace(rows[ill].lesions[0], centre_x=None, centre_y=None),), regions=(), dice=None, iou=None)
    for n in (3, 17, 90):
        rows[n] = replace(rows[n], label=-1, pathology="unknown", has_lesion=-1, lesions=(), regions=(), dice=None, iou=None)
    rows[120] = replace(rows[120], laterality="unknown")
    return [*rows, rows[0]]


@pytest.fixture(scope="module")
def written(make_predictions, tmp_path_factory):
    """The folder and the report.json of these rows, of a catalog that lost images at every step."""
    left = [{"reason": "cannot be read", "count": 3}, {"reason": "twin", "count": 2}]
    data = {
        "catalog": catalog(
            400, 165, left_out=left, refused={"train": [{"reason": "too small", "count": 4}]}, unread=[{"reason": "broken", "count": 4}]
        ),
        "samples": {"train": 220, "validation": 10, "test": 161},
    }
    folder = tmp_path_factory.mktemp("report")
    return folder, write_report(
        folder, predictions=poor_rows(make_predictions), stages={}, data=data, runtime={}, split_hash="x", rounds=20
    )


def test_steps_add_up_and_end_at_what_the_figures_say(written):
    folder, result = written
    assert flow_faults(result) == [] and faults(result) == []
    flow = result["data"]["flow"]
    assert [step["count"] for step in flow["steps"]] == [405, 400, 165, 161, 160]
    # 225 to train on, 4 refused; one more is missing, and of held-out ones all four: no reason was noted.
    assert flow["splits"]["train"]["left_out"] == [{"reason": "too small", "count": 4}, {"reason": UNEXPLAINED, "count": 1}]
    counted = {fields["figure"]: fields for fields in flow["figures"]}
    assert counted["image_auc"]["left_out"] == [{"reason": "malignancy unknown", "count": 3}] and counted["image_auc"]["counted"] == 157
    assert counted["lesion_sensitivity_at_1_fp"]["left_out"][0]["count"] == 1
    assert {reason["reason"]: reason["count"] for reason in counted["dice"]["left_out"]}["lesion without a mask"] == 1
    assert (folder / "figures" / "flow.png").read_bytes()[:4] == b"\x89PNG"


def test_a_gap_without_a_reason_is_a_line_of_its_own(make_predictions):
    rows = make_predictions(10)
    flow = exclusion_flow({"catalog": catalog(100, 47)}, rows, held_out_rows(rows))
    assert flow["steps"][2]["left_out"] == [{"reason": UNEXPLAINED, "count": 7}]


@pytest.mark.parametrize("count", [0, 1])
def test_without_facts_of_the_catalog_it_begins_at_the_predictions(make_predictions, tmp_path, count):
    result = write_report(tmp_path, predictions=make_predictions(count), stages={}, data={}, runtime={}, split_hash=None, rounds=20)
    assert [step["count"] for step in result["data"]["flow"]["steps"]] == [4 * count] * 2
    assert flow_faults(result) == [] and faults(result) == []
    assert json.loads((tmp_path / "model_card.json").read_text())["networks"] == {}


def test_the_walk_finds_what_it_is_for(written):
    whole = json.loads((written[0] / "report.json").read_text())

    def broken(**changes):
        return whole | {"extra": {"auc": whole["pipeline"]["image_auc"] | changes, "split_hash": "x"}}

    assert faults(whole) == []
    assert faults(broken(low=None, high=None)) == ["/extra/auc: no low, high, and no reason"]
    assert (
        faults(broken(events=None))
        and faults(broken(unit=""))
        and faults(broken(value=2.0))
        and not faults(broken(low=None, high=None, reason="few"))
    )
    assert faults(whole | {"extra": {"auc": whole["pipeline"]["image_auc"]}}) == ["/extra: names no split"]
    assert faults(whole | {"extra": [{"by_maker": {"image_auc": 0.7}}]}) == ["/extra/0/by_maker/image_auc: a bare number"]
    assert faults(whole | {"extra": {"auc": {"value": 0.7, "low": 0.6, "high": 0.8}, "split_hash": "x"}})
    whole["data"]["flow"]["steps"][0]["left_out"] = [{"reason": "lost", "count": 1}]
    assert flow_faults(whole)
