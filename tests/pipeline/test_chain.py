"""The whole job, small: phantoms to report, and what its commands do afterwards."""

import json
import re
import shutil

import cv2
import numpy as np
import pytest
import torch

from mammolibs.catalog import read_catalog
from mammolibs.errors import BadConfig, BadFile, BadWeights
from mammolibs.evaluate import held_out_rows, read_predictions
from mammolibs.models import from_run, load_weights
from mammolibs.models.runs import find_weights
from mammolibs.pipeline.chain import run_chain
from mammolibs.pipeline.evaluate_run import evaluate_run
from mammolibs.pipeline.evaluate_stage import evaluate_stage
from mammolibs.pipeline.fold_report import is_judged
from mammolibs.pipeline.looks import LOOKS_NAME, looks_at
from mammolibs.pipeline.options import (
    AutoencoderOptions,
    EncoderOptions,
    EvalOptions,
    PipelineEvalOptions,
    ResNetOptions,
    TrainOptions,
    UNetOptions,
)
from mammolibs.pipeline.run import Run
from mammolibs.pipeline.train_stage import train_stage
from tests.walk import faults, flow_faults

STAGES = ("encoder", "autoencoder", "unet", "resnet")


def test_every_stage_leaves_weights_card_and_history(whole_run):
    for stage in STAGES:
        state, card = load_weights(whole_run / stage / "model_iter_2.safetensors")
        plain, _ = load_weights(whole_run / stage / "model_iter_2.pth")
        assert state.keys() == plain.keys() and all((state[k] == plain[k]).all() for k in state)
        assert card.stage == stage and card.contract_hash == Run.open(whole_run).contract.hash()
        assert (whole_run / stage / "history.csv").read_text().count("\n") == 3


def test_what_each_network_sees_is_shown_at_the_start(whole_run):
    for stage in STAGES:
        picture = cv2.imread(str(whole_run / "inputs" / f"{stage}.png"))
        # Eight tiles beside each other; encoder and autoencoder show two rows. Neither black nor white.
        assert picture.shape[1] > 1000 and 20 < picture.mean() < 235
    assert (
        cv2.imread(str(whole_run / "inputs" / "encoder.png")).shape[0] > 1.7 * cv2.imread(str(whole_run / "inputs" / "unet.png")).shape[0]
    )


def test_each_stage_starts_from_the_one_before(whole_run):
    for stage, parent in (("autoencoder", "encoder"), ("unet", "autoencoder")):
        best = json.loads((whole_run / parent / "best.json").read_text())["iteration"]
        _, card = load_weights(whole_run / stage / "model_iter_2.safetensors")
        _, parent_card = load_weights(whole_run / parent / f"model_iter_{best}.safetensors")
        assert card.parents == {parent: parent_card.weights_sha256}


def test_report_figures_stand_on_held_out_patients_alone(whole_run):
    table = read_predictions(whole_run / "report" / "predictions.parquet")
    assert {p.technology for p in table} == {"digital"} and {p.implant for p in table} <= {True, False}
    split = json.loads((whole_run / "data" / "split.json").read_text())["patients"]
    assert {row.split for row in table} == {"validation", "test"} and all(split[row.patient_id] == row.split for row in table)
    assert [p.raw_score for p in table] == [max((r.score for r in p.regions), default=0.0) for p in table]
    rows = held_out_rows(table)
    result = json.loads((whole_run / "report" / "report.json").read_text())
    assert result["pipeline"]["image_auc"]["n"] == sum(row.label >= 0 for row in rows)
    for block in ("pipeline", "unet", "resnet", "encoder", "autoencoder"):
        assert result[block]["split_hash"] == result["data"]["split_hash"]
    assert "<img" in (whole_run / "report" / "report.html").read_text()


def test_every_result_says_what_it_stands_on(whole_run):
    best = {stage: load_weights(find_weights(whole_run / stage))[1] for stage in STAGES}
    report = json.loads((whole_run / "report" / "report.json").read_text())
    assert report["provenance"]["weights_sha256"] == {stage: best[stage].weights_sha256 for stage in ("unet", "resnet")}
    assert report["provenance"]["thresholds"] == {t["name"]: t["value"] for t in report["thresholds"]}
    for stage in STAGES:
        evaluation = json.loads((whole_run / stage / "evaluation.json").read_text())
        assert evaluation[stage] == report[stage] and (whole_run / stage / "plot.png").read_bytes()[:4] == b"\x89PNG"
        made_by = evaluation["provenance"]
        assert made_by["weights_sha256"][stage] == best[stage].weights_sha256
        assert (made_by["contract_hash"], made_by["split_hash"]) == (best[stage].contract_hash, best[stage].split_hash)


def test_what_travels_calls_images_and_patients_as_the_catalog_does_and_names_no_folder(whole_run):
    """Weights, cards, histories and reports; catalog, lists and run.json stay, or leave without places (tests/test_privacy.py)."""
    rows = read_catalog(whole_run / "data" / "catalog.parquet")
    predictions = read_predictions(whole_run / "report" / "predictions.parquet")
    for what in ("image_id", "patient_id", "exam_id", "source"):
        assert {getattr(p, what) for p in predictions} <= {getattr(row, what) for row in rows}, what
    lesions = {lesion.lesion_id for row in rows for lesion in row.lesions}
    assert {lesion.lesion_id for p in predictions for lesion in p.lesions} <= lesions
    stay = {"data/catalog.parquet", "data/skipped.csv", "data/shards/ingest.json", "run.json"}
    there = {p.relative_to(whole_run).as_posix(): p for p in whole_run.rglob("*") if p.is_file()}
    there = {name: p for name, p in there.items() if name not in stay and not name.startswith("phantoms/")}
    assert {"report/report.json", "report/report.html", "unet/history.csv", "data/shards/train/index.json", "data/split.json"} <= set(there)
    # Another process of the tests may have made it: its folder lies beside this one's.
    assert [name for name, p in there.items() if str(whole_run.parents[2]).encode() in p.read_bytes()] == []


def test_what_was_left_out_stands_in_the_report(run_copy):
    (run_copy / "data" / "skipped.csv").write_text(
        "source,item,reason,on_purpose\nmine,a.dcm,has no pixels,no\nmine,b.dcm,no mammogram,yes\n"
    )
    before = looks_at(Run.open(run_copy))
    result = evaluate_run(PipelineEvalOptions(run=str(run_copy), workers=0))
    assert result["data"]["skipped"] == [{"reason": "has no pixels", "images": 1}]
    assert result["data"]["left_out_on_purpose"] == [{"reason": "no mammogram", "images": 1}]
    assert result["data"]["looks_at_this_test_set"] == before + 1 >= 2
    assert f"has been looked at {before + 1} times" in (run_copy / "report" / "report.md").read_text()
    looks = run_copy / "data" / LOOKS_NAME
    looks.write_text(looks.read_text().replace(result["data"]["split_hash"], "another", 1) + "half a li")
    with pytest.raises(BadFile, match=f"{LOOKS_NAME}: is damaged"):
        looks_at(Run.open(run_copy))
    looks.write_text(looks.read_text().removesuffix("half a li"))
    assert looks_at(Run.open(run_copy)) == before


def test_a_finished_stage_of_older_parents_is_told(run_copy, capsys):
    train_stage("unet", UNetOptions(run=str(run_copy), pretrain="no", from_scratch=True, it=1, workers=0))
    capsys.readouterr()
    run_chain(TrainOptions(run=str(run_copy), workers=0))
    printed = capsys.readouterr().out
    assert "resnet: finished before (2 iterations), skipped; note: it was made from another unet than the best one now" in printed
    assert "unet: finished before (1 iterations), skipped\n" in printed


def test_a_run_without_pretraining_stays_one(whole_run, tmp_path):
    with pytest.raises(BadConfig, match="another pretraining"):
        run_chain(TrainOptions(run=str(whole_run), no_pretraining=True, workers=0))


def test_a_second_call_skips_what_is_finished(whole_run, capsys):
    before = {stage: (whole_run / stage / "model_iter_2.safetensors").stat().st_mtime_ns for stage in STAGES}
    run_chain(TrainOptions(run=str(whole_run), preset="cpu", exams=24, rows=512, it=2, workers=0))
    printed = capsys.readouterr().out
    assert all(f"{stage}: finished before" in printed for stage in STAGES)
    assert "report: made before of these weights, skipped" in printed and "test patients" not in printed
    assert before == {stage: (whole_run / stage / "model_iter_2.safetensors").stat().st_mtime_ns for stage in STAGES}


def test_pretrain_with_a_number_goes_on_from_there(run_copy, capsys):
    result = train_stage("unet", UNetOptions(run=str(run_copy), pretrain=2, it=1, workers=0))
    assert (result.iteration, result.steps) == (3, 6)
    assert (run_copy / "unet" / "model_iter_3.pth").is_file()
    assert "saved successfully" in capsys.readouterr().out


def test_pretrain_no_starts_afresh_from_the_named_iteration(run_copy, capsys):
    result = train_stage("unet", UNetOptions(run=str(run_copy), pretrain="no", autoencoder=2, it=1, workers=0))
    assert (result.iteration, result.steps) == (1, 2)
    assert (run_copy / "unet" / "aside-1" / "model_iter_2.pth").is_file()
    assert re.search(r"unet: from .*autoencoder/model_iter_2\.safetensors: loaded \d+ of \d+", capsys.readouterr().out)


def test_a_batch_that_does_not_divide_is_refused_before_anything_starts(run_copy):
    kept = sorted((run_copy / "unet").iterdir())
    with pytest.raises(BadConfig, match="batch of 8 does not divide over 1 core, in 3 parts; take --batch 6 or 9"):
        train_stage("unet", UNetOptions(run=str(run_copy), pretrain="no", accumulate=3, workers=0))
    assert sorted((run_copy / "unet").iterdir()) == kept


def test_parts_averages_and_recomputing_are_flags(run_copy):
    result = train_stage("unet", UNetOptions(run=str(run_copy), pretrain="no", it=1, accumulate=2, ema=0.9, recompute=True, workers=0))
    _, card = load_weights(result.weights)
    assert card.options["fit"]["accumulate"] == 2 and card.options["fit"]["ema"] == 0.9 and card.options["fit"]["recompute"]


def test_from_scratch_loads_nothing(run_copy, capsys):
    train_stage("autoencoder", AutoencoderOptions(run=str(run_copy), pretrain="no", from_scratch=True, it=1, workers=0))
    assert "starts from random weights" in capsys.readouterr().out
    assert load_weights(run_copy / "autoencoder" / "model_iter_1.safetensors")[1].parents == {}


def test_the_patch_stage_feeds_the_resnet(run_copy, capsys):
    train_stage("patches", ResNetOptions(run=str(run_copy), stage="patches", it=1, workers=0))
    train_stage("resnet", ResNetOptions(run=str(run_copy), pretrain="no", it=1, workers=0))
    assert "patches" in load_weights(run_copy / "resnet" / "model_iter_1.safetensors")[1].parents


def test_weights_from_a_file_decide_the_norm_and_the_run_remembers_it(run_copy, tmp_path, capsys):
    from torchvision.models import resnet18

    torch.save(resnet18(num_classes=1000).state_dict(), tmp_path / "imagenet.pth")
    file = str(tmp_path / "imagenet.pth")
    train_stage("resnet", ResNetOptions(run=str(run_copy), pretrain="no", weights=file, it=1, workers=0))
    assert "stem summed" in capsys.readouterr().out
    result = train_stage("resnet", ResNetOptions(run=str(run_copy), pretrain=1, it=1, workers=0))
    assert from_run(result.weights).architecture["norm"] == "batch"


@pytest.mark.parametrize("stage", STAGES)
def test_evaluation_of_a_stage_prints_its_figures(run_copy, stage, capsys):
    evaluate_stage(stage, EvalOptions(run=str(run_copy), workers=0))
    assert "value [95 % interval]" in capsys.readouterr().out
    assert (run_copy / stage / "plot.png").read_bytes()[:4] == b"\x89PNG"
    assert stage in json.loads((run_copy / stage / "evaluation.json").read_text())


def test_iterations_that_are_not_there_are_named(whole_run):
    with pytest.raises(BadFile, match="model_iter_20"):
        train_stage("unet", UNetOptions(run=str(whole_run), pretrain=20, workers=0))
    with pytest.raises(BadFile, match="20"):
        evaluate_stage("unet", EvalOptions(run=str(whole_run), iter=20, workers=0))


def test_a_run_refuses_another_preset_and_other_data(whole_run, tmp_path):
    with pytest.raises(BadConfig, match="preset"):
        train_stage("encoder", EncoderOptions(run=str(whole_run), preset="standard", workers=0))
    with pytest.raises(BadConfig, match="other phantoms"):
        run_chain(TrainOptions(run=str(whole_run), preset="cpu", exams=8, rows=512, workers=0))


def test_weights_of_another_architecture_are_refused(run_copy):
    for ending in ("safetensors", "pth", "json"):
        shutil.copy(run_copy / "resnet" / f"model_iter_2.{ending}", run_copy / "autoencoder" / f"model_iter_2.{ending}")
    with pytest.raises(BadWeights, match="ResNet"):
        train_stage("unet", UNetOptions(run=str(run_copy), pretrain="no", autoencoder=2, workers=0))


def test_without_a_run_the_message_says_what_to_type(tmp_path):
    with pytest.raises(BadConfig, match="bash train/train.sh"):
        train_stage("unet", UNetOptions(run=str(tmp_path / "none"), workers=0))
    with pytest.raises(BadConfig, match="bash train/train.sh"):
        evaluate_stage("unet", EvalOptions(run=str(tmp_path / "none"), workers=0))


def test_networks_come_back_from_the_run(whole_run):
    model = from_run(whole_run / "unet")
    assert model.architecture["width"] == 4 and not model.training


def test_a_dry_run_writes_nothing_and_says_what_it_costs(tmp_path, capsys):
    run_chain(TrainOptions(run=str(tmp_path / "dry"), preset="cpu", dry_run=True))
    printed = capsys.readouterr().out
    assert re.search(r"time +about \d+ minutes", printed) and re.search(r"disk +about [\d.]+ GB", printed) and "memory" in printed
    assert not (tmp_path / "dry").exists()


def test_folds_give_one_report_over_all_patients(tmp_path, whole_run):
    folder = tmp_path / "folds"
    options = TrainOptions(run=str(folder), preset="cpu", source=(f"phantom={whole_run / 'phantoms'}",), folds=3, it=1, workers=0)
    run_chain(options)
    rows = read_predictions(folder / "folds" / "0" / "report" / "predictions.parquet")
    result = json.loads((folder / "report" / "report.json").read_text())
    whole = [json.loads((folder / "folds" / str(k) / "report" / "report.json").read_text())["pipeline"]["image_auc"]["n"] for k in range(3)]
    assert result["pipeline"]["image_auc"]["n"] == sum(whole)
    assert {row.fold for row in rows} == {0}
    patients = [set(json.loads((folder / "folds" / str(k) / "data" / "split.json").read_text())["patients"]) for k in range(3)]
    assert patients[0] == patients[1] == patients[2]
    assert np.isfinite(result["pipeline"]["image_auc"]["value"])
    single = [json.loads((folder / "folds" / str(k) / "report" / "report.json").read_text()) for k in range(3)]
    assert result["provenance"] == {f"fold {k}": report["provenance"] for k, report in enumerate(single)}
    assert result["data"]["audit"] == {f"fold {k}": "clean, by ids" for k in range(3)} and result["not_held_out"] == []
    assert len({report["provenance"]["audit"]["split_hash"] for report in single}) == 3
    assert len(result["thresholds"]) == sum(len(report["thresholds"]) for report in single)
    for stage, name in (("encoder", "retrieval_top1"), ("encoder", "linear_probe_auc"), ("autoencoder", "masked_error")):
        assert result[stage][name]["n"] == sum(report[stage][name]["n"] for report in single)
        # Networks of different folds share no scale: the figure of each fold, then their mean.
        assert result[stage][name]["value"] == pytest.approx(np.mean([report[stage][name]["value"] for report in single]))
    assert "figures/miss_1.png" in (folder / "report" / "report.md").read_text()
    assert faults(result) == [] and flow_faults(result) == []
    assert set(json.loads((folder / "report" / "model_card.json").read_text())["networks"]) == {
        f"fold {k}: {stage}" for k in range(3) for stage in ("unet", "resnet")
    }

    # A fold whose network was trained again will be judged again, the others will not.
    train_stage("unet", UNetOptions(run=str(folder / "folds" / "1"), pretrain="no", it=2, workers=0))
    assert [is_judged(Run.open(folder / "folds" / str(k))) for k in range(3)] == [True, False, True]
