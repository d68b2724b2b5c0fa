"""Shards, weights and catalog that mean different splits are refused before anything is called held out."""

import shutil
from dataclasses import replace

import pytest

from mammolibs.catalog import read_catalog, read_verdict, write_catalog, write_verdict
from mammolibs.catalog.verdict import Offender
from mammolibs.errors import BadConfig, BadData, BadWeights
from mammolibs.models.runs import find_weights
from mammolibs.models.weights import read_card
from mammolibs.pipeline.chain import remembered, run_chain
from mammolibs.pipeline.evaluate_run import evaluate_run
from mammolibs.pipeline.evaluate_stage import evaluate_stage
from mammolibs.pipeline.options import EvalOptions, PipelineEvalOptions, ResNetOptions, TrainOptions, UNetOptions
from mammolibs.pipeline.run import Run
from mammolibs.pipeline.splits import check_split
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


def test_shards_with_further_images_of_held_out_patients_are_refused(run_copy):
    run = Run.open(run_copy)
    rows = {row.image_id: row for row in read_catalog(run.catalog)}
    trained = next(row.patient_id for row in rows.values() if row.split == "train")
    # As if the shards had been made of more images than the catalog holds: first of a stranger, then of a patient of the test set.
    known = {name: row for name, row in rows.items() if row.patient_id != trained}
    check_split(run, known)
    held_out = next(row for row in known.values() if row.split == "test")
    with pytest.raises(BadData, match=r"shards/train: \d+ images that the catalog has in another split, or their patients"):
        check_split(run, known | {held_out.image_id: replace(held_out, patient_id=trained)})


def test_weights_of_another_split_are_refused(run_copy):
    for path in (run_copy / "unet").glob("model_iter_*.json"):
        write_json(path, vars(replace(read_card(path), split_hash="another", metrics={})))
    with pytest.raises(BadWeights, match="another split"):
        evaluate_run(PipelineEvalOptions(run=str(run_copy), workers=0))


def test_a_stage_does_not_start_from_a_parent_of_another_split(run_copy):
    for path in (run_copy / "autoencoder").glob("model_iter_*.json"):
        write_json(path, vars(replace(read_card(path), split_hash="another", metrics={})))
    with pytest.raises(BadWeights, match="another split"):
        train_stage("unet", UNetOptions(run=str(run_copy), pretrain="no", it=1, workers=0))
    with pytest.raises(BadWeights, match="another split"):
        evaluate_stage("autoencoder", EvalOptions(run=str(run_copy)))


def test_weights_that_may_have_seen_held_out_patients_are_told_and_what_is_known_comes_first(run_copy, tmp_path, capsys):
    source = find_weights(run_copy / "resnet", "best")
    for path in source.parent.glob(f"{source.stem}.*"):
        shutil.copy(path, tmp_path / path.name)
    card = tmp_path / f"{source.stem}.json"
    write_json(card, vars(replace(read_card(card), split_hash="another", metrics={}, seen_patients="")))
    train_stage("resnet", ResNetOptions(run=str(run_copy), pretrain="no", weights=str(tmp_path / source.name), it=1, workers=0))
    assert "whether it has seen held-out patients is not known" in capsys.readouterr().out
    verdict = read_verdict(run_copy / "data" / "split.json")
    write_verdict(run_copy / "data" / "split.json", replace(verdict, leaks={"patient overlap": (Offender("p", ("test", "train")),)}))
    result = evaluate_run(PipelineEvalOptions(run=str(run_copy), workers=0, force_touched=True))
    assert "not held out: 1 patient (patient overlap)" in capsys.readouterr().out
    [warning] = result["not_held_out"]
    report = (run_copy / "report" / "report.md").read_text()
    assert report.split("## Headline")[1].lstrip().startswith(f"> **ALARM: {warning}**") and "whom no weight" not in report
    assert f"{source.name}, made elsewhere" in report and result["data"]["audit"] == "1 patient (patient overlap), by ids"


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
