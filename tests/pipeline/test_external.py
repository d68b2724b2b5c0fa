"""A trained run on data from elsewhere: nothing is fitted there, what training has seen is refused, adaptations need no label."""

import json
import shutil
from dataclasses import replace

import elsewhere
import numpy as np
import pytest

from mammolibs.catalog import read_catalog
from mammolibs.errors import BadConfig, BadData, BadFile
from mammolibs.evaluate import measure, read_predictions
from mammolibs.phantom import make_phantoms
from mammolibs.pipeline.adaptation import Adaptation, adapt_to_site, patient_halves
from mammolibs.pipeline.external import Elsewhere, audit_elsewhere, evaluate_external, with_adaptation
from mammolibs.pipeline.find import open_finder, predict_files
from mammolibs.pipeline.judge import Judge, Operating
from mammolibs.pipeline.looks import looks_at, note_look
from mammolibs.pipeline.options import ExternalEvalOptions, PredictOptions
from mammolibs.pipeline.run import Run
from mammolibs.pipeline.splits import offences
from mammolibs.runtime import get_runtime


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    make_phantoms(folder, exams=6, rows=512, seed=7, traps=False, progress=False, workers=1)
    return elsewhere.rename(folder)


@pytest.fixture(scope="module")
def judged(whole_run, site, tmp_path_factory):
    """A run of its own that has looked at the other site, adapted to it; its folder and its report.json."""
    run = tmp_path_factory.mktemp("external") / "run"
    shutil.copytree(whole_run, run, ignore=shutil.ignore_patterns("phantoms", "patches", "state"))
    with pytest.MonkeyPatch.context() as patch:
        # Pixels of the run's sixty images are compared in a test of its own, and example pictures are drawn in those of evaluate.
        patch.setattr("mammolibs.pipeline.external.MOST_COMPARED", 0)
        patch.setattr("mammolibs.pipeline.external.report_examples", lambda judges, predictions: [])
        return run, evaluate_external(options(run, site, adapt=("intensity", "recall")))


@pytest.fixture(autouse=True)
def ids_alone(monkeypatch):
    monkeypatch.setattr("mammolibs.pipeline.external.MOST_COMPARED", 0)


def options(run, site, **more):
    return ExternalEvalOptions(run=str(run), source=(f"phantom={site}",), workers=0, **more)


@pytest.fixture(scope="module")
def judge(judged):
    run = Run.open(judged[0])
    rows = read_catalog(run.folder / "external" / "phantom" / "data" / "catalog.parquet")
    judge = Judge.open(run, get_runtime(precision="float32", announce=False, one_process=True), workers=0)
    return replace(judge, given=tuple(rows)), Operating.load(run.folder / "operating.json")


def test_nothing_of_the_run_changes_and_every_image_is_held_out(whole_run, judged, site):
    run, result = judged
    for name in ("operating.json", "unet/best.json", "report/report.json", "report/predictions.parquet"):
        assert (run / name).read_bytes() == (whole_run / name).read_bytes()
    out = run / "external" / "phantom"
    rows = read_predictions(out / "predictions.parquet")
    assert {p.image_id for p in rows if p.split == "test"} == {f"phantom-{row['image_id']}" for row in elsewhere.read(site / "truth.csv")}
    own = [p for p in read_predictions(run / "report" / "predictions.parquet") if p.split == "validation"]
    assert [p for p in rows if p.split == "validation"] == own
    assert result["provenance"]["touched"] == [] and result["provenance"]["audit"]["looked_at"] == ["ids"]
    assert "more than 0; to compare them" in result["data"]["not_audited"]["near-duplicate pixels"]
    kept = json.loads((run / "report" / "report.json").read_text())
    assert result["provenance"]["weights_sha256"] == kept["provenance"]["weights_sha256"] and result["thresholds"] == kept["thresholds"]
    assert result["provenance"]["internal_split_hash"] == kept["provenance"]["split_hash"] != result["provenance"]["split_hash"]


def test_the_figures_at_home_are_those_of_the_runs_own_report(judged):
    run, result = judged
    kept = json.loads((run / "report" / "report.json").read_text())
    external = result["external"]
    for block, name in (("pipeline", "image_auc"), ("pipeline", "patient_auc"), ("at_the_chosen_thresholds", "sensitivity")):
        assert external["internal"][name] == kept[block][name] and external["external"][name] == result[block][name]
    rows = [p for p in read_predictions(run / "external" / "phantom" / "predictions.parquet") if p.split == "test"]
    assert external["external"]["image_auc"]["value"] == pytest.approx(measure(rows, "image_auc").value)
    told = (run / "external" / "phantom" / "report.md").read_text()
    assert "These patients come from elsewhere" in told and "no data from elsewhere was looked at" not in told


def test_looks_at_it_are_counted_apart_and_an_adaptation_goes_with_its_flag(judged, judge, tmp_path):
    run, result = judged
    own = json.loads((run / "report" / "report.json").read_text())["data"]["looks_at_this_test_set"]
    assert result["data"]["looks_at_this_test_set"] == 1 == own
    at_home = looks_at(Run.open(run))
    note_look(Run.open(run), result["data"]["split_hash"])
    assert looks_at(Run.open(run), result["data"]["split_hash"]) == 2 and looks_at(Run.open(run)) == at_home
    assert (run / "external" / "phantom" / "adaptation.json").is_file() and "adaptation" in result
    for name in ("adaptation.json", "adapted.parquet"):
        shutil.copy(run / "external" / "phantom" / name, tmp_path / name)
    assert with_adaptation(*judge, [], tmp_path, ()) is None and not list(tmp_path.iterdir())


def test_patients_whom_training_has_seen_are_refused_unless_forced_and_then_told(judged, whole_run, tmp_path, monkeypatch):
    run, _ = judged
    known = whole_run / "phantoms"
    with pytest.raises(BadData, match=r"not from elsewhere.* patients? \(patient overlap\).*leave those patients out of the source"):
        evaluate_external(options(run, known, out=str(tmp_path), limit=8))
    reports = []
    monkeypatch.setattr(
        "mammolibs.pipeline.external.write_report", lambda folder, **told: reports.append(told) or {**judged[1], "not_held_out": []}
    )
    evaluate_external(options(run, known, out=str(tmp_path), limit=8, force_touched=True))
    [told] = reports
    assert "(patient overlap)" in told["provenance"]["touched"][0]
    test, validation = ({p.patient_id for p in told["predictions"] if p.split == split} for split in ("test", "validation"))
    assert test and validation and not test & validation


def test_twins_of_training_images_are_found_whatever_they_are_called(judged, whole_run, tmp_path, monkeypatch):
    monkeypatch.setattr("mammolibs.pipeline.external.MOST_COMPARED", 1000)
    run, rows = Run.open(judged[0]), read_catalog(whole_run / "data" / "catalog.parquet")
    seen = [row for row in rows if row.split == "train"][:6]
    monkeypatch.setattr("mammolibs.pipeline.external.read_catalog", lambda place: seen)
    twins = [
        replace(row, image_id=f"x-{row.image_id}", patient_id=f"x/{row.patient_id}", exam_id=f"x/{row.exam_id}", split="test")
        for row in seen[:2]
    ]
    copies = [replace(row, path=str(shutil.copy(row.path, tmp_path))) for row in twins]
    found = offences(run, audit_elsewhere(run, Elsewhere(rows=copies, out=tmp_path), 0), copies, {"unet": None})
    assert found == ("2 pairs (near-duplicate pixels)",)


def test_a_run_that_was_judged_with_other_weights_is_told(judged, site, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(judged[0], run)
    values = json.loads((run / "operating.json").read_text())
    (run / "operating.json").write_text(json.dumps(values | {"models": values["models"] | {"unet": "other"}}))
    with pytest.raises(BadConfig, match="other weights than its best of today; run: python eval/pipeline_eval.py"):
        evaluate_external(options(run, site))
    with pytest.raises(BadConfig, match="--adapt norm: this U-Net keeps no running statistics"):
        evaluate_external(options(judged[0], site, adapt=("norm",), out=str(tmp_path / "out")))


def test_an_adaptation_sees_no_label_and_no_patient_that_it_is_judged_on(judge, judged):
    judge, operating = judge
    validation = [p for p in read_predictions(judged[0] / "report" / "predictions.parquet") if p.split == "validation"]
    blind = tuple(replace(row, pathology="unknown", lesions=(), birads="", density="") for row in judge.given)
    adaptation, beside = adapt_to_site(replace(judge, given=blind), operating, ("intensity", "recall"), validation)
    assert adaptation == Adaptation.load(judged[0] / "external" / "phantom" / "adaptation.json", operating)
    kept = {p.image_id: p for p in read_predictions(judged[0] / "external" / "phantom" / "adapted.parquet")}
    assert all(kept[p.image_id].image_score == p.image_score for p in beside.rows) and len(kept) == len(beside.rows)
    first, second = patient_halves(judge.given)
    assert not {row.patient_id for row in first} & {row.patient_id for row in second} and len(first) + len(second) == len(judge.given)
    # Fewer images in one half move the curve of the other half alone.
    fewer = tuple(row for row in judge.given if row in second or not row.image_id.endswith("CC"))
    _, moved = adapt_to_site(replace(judge, given=fewer), operating, ("intensity",), validation)
    of_first = {row.image_id for row in first}
    same = {p.image_id: np.isclose(p.raw_score, kept[p.image_id].raw_score, atol=1e-12) for p in moved.rows}
    assert all(same[name] for name in same if name in of_first) and not all(same[name] for name in same if name not in of_first)
    with pytest.raises(BadData, match="one alone"):
        patient_halves(first[:1])


def test_predict_applies_an_adaptation_where_it_is_named_and_says_so(judged, site, tmp_path):
    run, _ = judged
    file = run / "external" / "phantom" / "adaptation.json"
    image = next((site / "images").rglob("*.dcm"))
    plain, adapted = (
        predict_files(PredictOptions(image=str(image), run=str(run), out=str(tmp_path / name), adapt=adapt, workers=0))[0]
        for name, adapt in (("plain", None), ("adapted", str(file)))
    )
    assert plain.image_score != adapted.image_score and not any("adapted" in note for note in plain.notes)
    assert any(note.startswith("adapted without labels (grey values, cut of the image score), fitted on") for note in adapted.notes)
    values = json.loads(file.read_text())
    (tmp_path / "other.json").write_text(json.dumps(values | {"models": {"unet": "other"}}))
    (tmp_path / "broken.json").write_text(json.dumps(values | {"curve": {"site": [1]}}))
    for name, error, words in (("other", BadConfig, "fitted for other weights"), ("broken", BadFile, "is no adaptation")):
        with pytest.raises(error, match=words):
            open_finder(PredictOptions(image="", run=str(run), adapt=str(tmp_path / f"{name}.json")))


def test_the_script_says_what_is_missing(call, judged, site):
    code, printed = call("eval/external_eval.py", "--run", judged[0])
    assert (code, printed) == (2, "nothing to look at: give --source NAME=PATH\n")
    code, printed = call("eval/external_eval.py", "--run", judged[0], "--source", f"phantom={site}", "--adapt", "intensty")
    assert code == 2 and "there are intensity, norm, recall" in printed and printed.count("\n") == 1
