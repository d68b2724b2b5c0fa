"""The shortcut audit in a run: which training images teach the probes, and what stands in the rows."""

import json
from dataclasses import replace

import numpy as np
import pytest

from mammolibs.catalog import read_catalog
from mammolibs.evaluate import read_predictions
from mammolibs.ingest import prepare_row, prepare_row_with_cues, read_cues
from mammolibs.pipeline.probes import drawn, most_images, probe_scores
from mammolibs.prepare import Contract
from mammolibs.records import ImageRow


def row(number, pathology="normal", **facts):
    name = f"i{number:03d}"
    return ImageRow(
        **{
            "image_id": name,
            "source": "s",
            "patient_id": f"p{number}",
            "exam_id": name,
            "path": name,
            "split": "train",
            "pathology": pathology,
        }
        | facts
    )


def test_a_run_holds_the_scores_of_its_probes_and_tells_them(whole_run):
    rows = read_predictions(whole_run / "report" / "predictions.parquet")
    held_out = [p for p in rows if p.split == "test"]
    trained = [r for r in read_catalog(whole_run / "data" / "catalog.parquet") if r.split == "train" and r.pathology != "unknown"]
    assert held_out and not any(p.probes for p in rows if p.split != "test")
    for p in held_out:
        assert [probe.name for probe in p.probes] == ["metadata", "person", "surroundings", "outline", "blurred"]
        assert all(probe.score is not None and probe.trained_on <= min(100, len(trained)) for probe in p.probes)
    report = json.loads((whole_run / "report" / "report.json").read_text())
    assert report["shortcuts"]["probes"]["outline_auc"]["n"] == report["pipeline"]["image_auc"]["n"]
    assert report["shortcuts"]["probes"]["outline_pipeline_auc"]["value"] == report["pipeline"]["image_auc"]["value"]


def test_cues_of_an_image_are_the_same_beside_its_samples_and_alone(whole_run):
    contract = Contract()
    one = read_catalog(whole_run / "data" / "catalog.parquet")[0]
    beside, alone = prepare_row_with_cues(one, contract), read_cues(one, contract)
    for name in ("surroundings", "outline", "blurred"):
        np.testing.assert_array_equal(getattr(beside.cues, name), getattr(alone, name))
        assert np.isfinite(getattr(alone, name)).all()
    assert beside.cues.facts == alone.facts and alone.facts["maker"] == one.maker
    assert not {"birads", "pathology", "truth"} & {*alone.facts, *alone.person}
    np.testing.assert_array_equal(beside.sample.image, prepare_row(one, contract).sample.image)


@pytest.mark.parametrize(
    ("ill", "well", "most", "expected"), [(10, 90, 200, (10, 90)), (80, 80, 100, (50, 50)), (90, 20, 100, (80, 20)), (3, 200, 100, (3, 97))]
)
def test_the_draw_takes_up_to_half_malignant_and_no_copies(ill, well, most, expected):
    rows = [row(n, "malignant") for n in range(ill)] + [row(500 + n) for n in range(well)]
    others = [row(900, "unknown"), row(901, parent_id="i000"), row(902, split="test"), row(903, "malignant", split="validation")]
    taken = drawn([*rows, *others], most, seed=3)
    assert (sum(r.pathology == "malignant" for r in taken), sum(r.pathology == "normal" for r in taken)) == expected
    assert taken == drawn([*reversed(others), *reversed(rows)], most, seed=3) and len(set(taken)) == len(taken)
    assert all(r.split == "train" and not r.parent_id for r in taken)


def test_few_training_images_are_read_for_few_judged_ones():
    assert [most_images(n) for n in (10, 600, 100_000)] == [100, 300, 2000]


def test_training_images_of_one_class_train_no_probe(whole_run):
    one = read_catalog(whole_run / "data" / "catalog.parquet")[0]
    cues = read_cues(one, Contract())
    (scores,) = probe_scores([replace(one, pathology="benign")] * 3, [cues] * 3, [cues])
    assert scores and all(probe.score is None and probe.trained_on == 3 for probe in scores)
