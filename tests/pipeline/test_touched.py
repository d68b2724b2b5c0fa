"""The audit's verdict travels into cards and reports; a test set that is not held out is evaluated by force alone, and that is told."""

import json
import shutil
from dataclasses import replace

import pytest

from mammolibs.catalog import read_catalog, read_verdict, split_hash, write_verdict
from mammolibs.catalog.seen import join_packed, pack_patients
from mammolibs.catalog.verdict import Offender, short_verdict
from mammolibs.errors import BadData
from mammolibs.models.runs import find_weights
from mammolibs.models.weights import read_card
from mammolibs.pipeline.evaluate_run import evaluate_run
from mammolibs.pipeline.evaluate_stage import evaluate_stage
from mammolibs.pipeline.fold_report import is_judged
from mammolibs.pipeline.options import EvalOptions, PipelineEvalOptions, ResNetOptions, UNetOptions
from mammolibs.pipeline.parents import card_fields, heritage, noted_heritage, own_patients, whom_they_saw
from mammolibs.pipeline.provenance import provenance
from mammolibs.pipeline.run import Run
from mammolibs.pipeline.splits import check_held_out, touched
from mammolibs.pipeline.train_stage import note_start, train_stage
from mammolibs.storage import unseal, write_json

PAIR = {"near-duplicate pixels": (Offender("a and b", ("test", "train")),)}


@pytest.fixture
def rows(run_copy):
    return read_catalog(run_copy / "data" / "catalog.parquet")


def held_out_patient(rows):
    return next(row.patient_id for row in rows if row.split == "test")


def judge_anew(run, leaks):
    """The verdict of the run's split with these leaks in it."""
    path = run / "data" / "split.json"
    write_verdict(path, replace(read_verdict(path), leaks=leaks))


def change_cards(folder, **changes):
    for path in folder.glob("model_iter_*.json"):
        write_json(path, vars(replace(read_card(path), metrics={}, **changes)))


def test_cards_and_results_carry_the_verdict_and_whom_the_weights_have_seen(whole_run):
    rows, short = read_catalog(whole_run / "data" / "catalog.parquet"), read_verdict(whole_run / "data" / "split.json").short()
    assert (short["verdict"], short["looked_at"], short["split_hash"]) == ("clean", ["ids"], split_hash(rows))
    for stage in ("encoder", "autoencoder", "unet", "resnet"):
        card = read_card(find_weights(whole_run / stage).with_suffix(".json"))
        assert card.audit == short and card.seen_unknown == ()
        assert card.seen_patients == pack_patients({row.patient_id for row in rows if row.split != "test"})
        evaluation = json.loads((whole_run / stage / "evaluation.json").read_text())
        assert evaluation["provenance"]["audit"] == short and evaluation["provenance"]["touched"] == evaluation["not_held_out"] == []
        operating = json.loads((whole_run / "operating.json").read_text())
        assert operating["models"].get(stage, card.weights_sha256) == card.weights_sha256
        assert card.operating_points.startswith("operating.json in the run's folder") == (stage in operating["models"])
    report = json.loads((whole_run / "report" / "report.json").read_text())
    assert report["provenance"]["audit"] == short and report["data"]["audit"] == "clean, by ids" and report["not_held_out"] == []


def test_a_touched_test_set_is_refused_by_every_script_in_one_line(run_copy, call):
    judge_anew(run_copy, PAIR)
    for script in ("pipeline_eval", "unet_eval", "resnet_eval", "encoder_eval", "autoencoder_eval"):
        code, printed = call(f"eval/{script}.py", "--run", run_copy, "--workers", "0")
        assert code == 2 and len(printed.strip().splitlines()) == 1, printed
        for words in ("1 pair (near-duplicate pixels)", f"audit_split.py --catalog {run_copy / 'data'}", "--force-touched"):
            assert words in printed, printed


def test_leaks_that_do_not_reach_the_test_set_are_told_and_not_refused(run_copy, rows):
    judge_anew(run_copy, {"patient overlap": (Offender("p", ("train", "validation")),)})
    run = Run.open(run_copy)
    assert touched(run, rows, {"unet": None}) == ()
    check_held_out(run, {"unet": None}, force_touched=False)
    made_by = provenance(run, {"unet": None})
    assert made_by["audit"]["leaks"] == {"patient overlap": "1 patient"} and made_by["touched"] == []


def test_by_force_it_is_evaluated_and_told_first_of_all(run_copy, capsys):
    judge_anew(run_copy, PAIR)
    evaluate_stage("autoencoder", EvalOptions(run=str(run_copy), workers=0, force_touched=True))
    printed = capsys.readouterr().out
    [warning] = json.loads((run_copy / "autoencoder" / "evaluation.json").read_text())["not_held_out"]
    assert warning.startswith("NOT HELD OUT") and "1 pair (near-duplicate pixels)" in warning
    assert warning in printed.splitlines() and "Evaluated by force" in printed


def test_weights_that_have_seen_a_test_patient_are_refused_whatever_the_verdict_says(run_copy, rows):
    (run_copy / "data" / "split.json").unlink()
    seen = pack_patients([held_out_patient(rows)])
    change_cards(run_copy / "resnet", seen_patients=join_packed(own_patients(rows), seen))
    with pytest.raises(BadData, match=rf"1 patient seen by the weights of the resnet \(first {held_out_patient(rows)}\)"):
        evaluate_run(PipelineEvalOptions(run=str(run_copy), workers=0))
    change_cards(run_copy / "resnet", seen_patients=own_patients(rows))
    assert touched(Run.open(run_copy), rows, {"unet": None, "resnet": None}) == ()


def test_a_patient_of_the_verdict_is_not_told_twice(run_copy, rows):
    patient = held_out_patient(rows)
    judge_anew(run_copy, {"patient overlap": (Offender(patient, ("test", "train")),)})
    change_cards(run_copy / "unet", seen_patients=pack_patients([patient]))
    assert touched(Run.open(run_copy), rows, {"unet": None}) == ("1 patient (patient overlap)",)


def test_a_verdict_of_another_split_is_refused_and_a_split_without_one_is_not_audited(run_copy):
    path = run_copy / "data" / "split.json"
    values = unseal(path.read_bytes())
    other = replace(read_verdict(path), split_hash="another")
    write_json(path, values | {"verdict": other.to_dict()})
    with pytest.raises(BadData, match="split.json: its verdict is of another split .*build the catalog again"):
        evaluate_stage("autoencoder", EvalOptions(run=str(run_copy), workers=0))
    path.unlink()
    check_held_out(Run.open(run_copy), {"unet": None}, force_touched=False)
    made_by = provenance(Run.open(run_copy), {"unet": None})
    assert made_by["audit"] == short_verdict(None, made_by["split_hash"]) and made_by["audit"]["verdict"] == "not audited"


def test_a_report_is_made_anew_once_the_split_is_judged_otherwise(run_copy):
    assert is_judged(Run.open(run_copy))
    judge_anew(run_copy, PAIR)
    assert not is_judged(Run.open(run_copy))


def test_training_says_what_evaluation_will_refuse_and_the_card_carries_it(run_copy, capsys):
    judge_anew(run_copy, PAIR)
    result = train_stage("unet", UNetOptions(run=str(run_copy), pretrain="no", from_scratch=True, it=1, workers=0))
    assert "its test set is not held out: 1 pair (near-duplicate pixels)" in capsys.readouterr().out
    assert read_card(result.weights.with_suffix(".json")).audit["leaks"] == {"near-duplicate pixels": "1 pair"}


def test_a_run_remembers_whom_first_weights_have_seen_for_its_cards(run_copy, rows, tmp_path, capsys):
    weights = find_weights(run_copy / "resnet")
    for path in weights.parent.glob(f"{weights.stem}.*"):
        shutil.copy(path, tmp_path / path.name)
    change_cards(tmp_path, split_hash="another", seen_patients=pack_patients(["other/1"]))
    run = note_start(Run.open(run_copy), rows, "patches", tmp_path / weights.name, ResNetOptions(run=str(run_copy), stage="patches"))
    assert "by their ids none of the test set is among the 1" in capsys.readouterr().out
    brought = Run.open(run_copy).settings.notes["patches"]["heritage"]
    assert run.settings.notes["patches"]["elsewhere"] == weights.name
    assert run.settings.notes["patches"]["heritage"] == brought
    fields = card_fields(own_patients(rows), {"verdict": "clean"}, brought)
    assert fields["seen_patients"] == join_packed(own_patients(rows), pack_patients(["other/1"])) and fields["seen_unknown"] == ()
    # What starts from those weights begins with all of that.
    change_cards(tmp_path, split_hash=split_hash(rows), **fields)
    assert heritage(tmp_path / weights.name, rows) == brought and brought["audit"]["verdict"] == "clean"


def test_first_weights_bring_along_whom_they_have_seen(run_copy, rows, tmp_path):
    weights, patient = find_weights(run_copy / "resnet"), held_out_patient(rows)
    # Of the run's own split, seen by nobody else: nothing new.
    assert heritage(weights, rows) == {} and heritage(None, rows) == {}
    # Of another split, with a list: whom the run does not have, and that split's verdict.
    seen = join_packed(own_patients(rows), pack_patients([patient, "other/1"]))
    change_cards(run_copy / "resnet", split_hash="another", seen_patients=seen)
    brought = heritage(weights, rows)
    assert brought["seen"] == pack_patients([patient, "other/1"]) and brought["audit"]["verdict"] == "clean" and "unknown" not in brought
    assert f"it has seen 1 patient of the test set (first {patient})" in whom_they_saw(weights, brought, rows)
    assert "among the 1 patient that it has seen" in whom_they_saw(weights, {"seen": pack_patients(["other/1"])}, rows)
    # Without a list, or without a card: nobody knows.
    change_cards(run_copy / "resnet", seen_patients="", audit={}, seen_unknown=("imagenet.pth",))
    brought = heritage(weights, rows)
    assert brought["unknown"] == ["imagenet.pth", weights.name] and brought["audit"]["verdict"] == "not audited"
    assert heritage(tmp_path / "imagenet.pth", rows) == {"unknown": ["imagenet.pth"]}
    assert "is not known" in whom_they_saw(weights, brought, rows)
    assert noted_heritage({"elsewhere": "/of/mine/a.pth"}) == {"unknown": ["a.pth"]}
    assert noted_heritage({"elsewhere": "a.pth", "heritage": {}}) == {}
