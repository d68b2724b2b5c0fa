"""What a finished run's report records: whole figures, a flow that adds up, model card and checklists made from it."""

import json

from mammolibs.catalog import read_catalog
from mammolibs.evaluate.checklist import checklists
from mammolibs.evaluate.model_card import model_card
from mammolibs.models import from_run
from mammolibs.pipeline.population import NOT_SAID, population
from mammolibs.records import ImageRow
from tests.walk import faults, flow_faults

STAGES = ("encoder", "autoencoder", "unet", "resnet")
# Answered by analyses that need several sources, or data from elsewhere.
MAY_BE_EMPTY = {"claim_2024": {"30", "33"}, "tripod_ai": {"12d", "14", "23b"}}


def report_of(run, name="report.json"):
    return json.loads((run / "report" / name).read_text())


def test_no_figure_of_a_run_is_without_unit_count_and_interval_or_a_reason(whole_run):
    assert faults(report_of(whole_run)) == []
    for stage in STAGES:
        assert faults(json.loads((whole_run / stage / "evaluation.json").read_text())) == [], stage


def test_from_the_files_to_the_figures_everything_adds_up(whole_run):
    result = report_of(whole_run)
    assert flow_faults(result) == []
    flow, rows = result["data"]["flow"], read_catalog(whole_run / "data" / "catalog.parquet")
    files = (whole_run / "phantoms" / "images").rglob("*.dcm")
    assert flow["steps"][0]["count"] == len(list(files)) and flow["steps"][1]["count"] == len(rows)
    assert {split: counts["images"] for split, counts in flow["splits"].items()} == {
        split: sum(row.split == split for row in rows) for split in ("train", "validation", "test")
    }
    assert "figures/flow.png" in (whole_run / "report" / "report.md").read_text()


def test_the_model_card_is_of_these_weights_and_says_what_binds_them(whole_run):
    card, result = report_of(whole_run, "model_card.json"), report_of(whole_run)
    assert card == model_card(result)
    for stage in ("unet", "resnet"):
        network = from_run(whole_run / stage)
        facts = card["networks"][stage]
        assert facts["architecture"] == network.architecture and facts["parameters"] == sum(p.numel() for p in network.parameters())
        assert facts["weights_sha256"] == result["provenance"]["weights_sha256"][stage] and facts["trained_with"]["global_batch"] == 8
    assert card["networks"]["unet"]["started_from"].keys() == {"autoencoder"}
    assert card["training_data"]["licences"] == {"synthetic": {"forbids": [], "asks": []}}
    assert card["figures"]["image_auc"] == result["pipeline"]["image_auc"] and card["figures"]["split_hash"] == result["data"]["split_hash"]
    assert faults(card) == [] and card["limits"] == result["conclusions"] and card["split"]["audit"] == "clean, by ids"
    assert card["population"]["test"]["age_years"]["known"] == card["population"]["test"]["patients"] > 0


def test_every_item_that_an_artefact_can_answer_is_answered(whole_run):
    told = report_of(whole_run, "checklist.json")
    assert told == checklists(report_of(whole_run))
    for name, checklist in told.items():
        empty = {item["item"] for item in checklist["items"] if item["state"] == "empty"}
        assert empty <= MAY_BE_EMPTY[name] | {"41"}, (name, empty)


def test_who_the_images_are_of():
    def row(patient, image, **facts):
        return ImageRow(image_id=image, source="s", patient_id=patient, exam_id=patient, path="", **facts)

    rows = [
        row("a", "1", age_years=50, density="B", maker="M"),
        row("a", "2", age_years=50, density="B"),
        row("b", "3", age_years=61),
        row("c", "4"),
    ]
    told = population(rows)
    assert told["age_years"] == {"known": 2, "of": 3, "median": 55.5, "from": 50, "to": 61}
    assert (
        told["density"] == {NOT_SAID: 2, "B": 1} and told["maker"] == {NOT_SAID: 3, "M": 1} and (told["patients"], told["images"]) == (3, 4)
    )
    assert population([])["age_years"] == {"known": 0, "of": 0, "median": None, "from": None, "to": None}
