"""Shards, weights and catalog that mean different splits are refused before anything is called held out."""

from dataclasses import replace

import pytest

from mammolibs.catalog import read_catalog, write_catalog
from mammolibs.errors import BadConfig, BadData, BadWeights
from mammolibs.models.weights import read_card
from mammolibs.pipeline.chain import remembered, run_chain
from mammolibs.pipeline.evaluate_run import evaluate_run
from mammolibs.pipeline.options import PipelineEvalOptions, TrainOptions, UNetOptions
from mammolibs.pipeline.run import Run
from mammolibs.pipeline.train_stage import train_stage
from mammolibs.storage import write_json


def test_a_split_made_anew_after_the_shards_is_refused(run_copy):
    run = Run.open(run_copy)
    rows = read_catalog(run.catalog)
    patient = next(row.patient_id for row in rows if row.split == "train")
    write_catalog(run.catalog, [replace(row, split="test") if row.patient_id == patient else row for row in rows])
    with pytest.raises(BadData, match="another split"):
        train_stage("unet", UNetOptions(run=str(run_copy), pretrain=2, it=1, workers=0))
    with pytest.raises(BadData, match="another split"):
        evaluate_run(PipelineEvalOptions(run=str(run_copy), workers=0))


def test_weights_of_another_split_are_refused(run_copy):
    for path in (run_copy / "unet").glob("model_iter_*.json"):
        write_json(path, vars(replace(read_card(path), split_hash="another", metrics={})))
    with pytest.raises(BadWeights, match="another split"):
        evaluate_run(PipelineEvalOptions(run=str(run_copy), workers=0))


def test_a_run_remembers_what_it_was_made_with(run_copy):
    kept = remembered(run_copy, TrainOptions(run=str(run_copy)))
    assert (kept.preset, kept.seed) == ("cpu", 0)
    with pytest.raises(BadConfig, match="without folds"):
        remembered(run_copy, TrainOptions(run=str(run_copy), folds=3))


def test_a_failed_first_call_does_not_hold_the_place(tmp_path):
    (tmp_path / "empty").mkdir()
    options = TrainOptions(run=str(tmp_path / "run"), preset="cpu", source=(f"mias={tmp_path / 'empty'}",), workers=0)
    with pytest.raises(Exception, match="mias|empty|Info"):
        run_chain(options)
    assert not (tmp_path / "run" / "run.json").exists()
