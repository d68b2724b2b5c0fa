"""Leave one source out: what each run is trained on and judged on, what is skipped the second time, what is refused before training."""

import shutil
from dataclasses import replace

import elsewhere
import numpy as np
import pytest

from mammolibs.catalog import read_catalog, split_hash
from mammolibs.errors import BadConfig, BadData
from mammolibs.evaluate import Calibration, Prediction, Threshold, write_predictions
from mammolibs.phantom import make_phantoms
from mammolibs.pipeline import left_out
from mammolibs.pipeline.chain import remembered
from mammolibs.pipeline.data import named_sources
from mammolibs.pipeline.judge import OPERATING_NAME, Operating
from mammolibs.pipeline.options import TrainOptions
from mammolibs.pipeline.run import Run
from mammolibs.shards import open_shards
from mammolibs.storage import write_json


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """Four patients of four images each as phantoms, and four others as somebody's own table."""
    folder = tmp_path_factory.mktemp("sites")
    for name, seed in (("phantom", 3), ("csv", 4)):
        make_phantoms(folder / name, exams=4, rows=512, seed=seed, traps=False, progress=False, workers=1)
    return {"phantom": folder / "phantom", "csv": elsewhere.as_table(folder / "csv")}


def options(folder, sites, **more):
    return TrainOptions(
        run=str(folder),
        preset="cpu",
        source=tuple(f"{name}={path}" for name, path in sites.items()),
        workers=0,
        leave_one_source_out=True,
        **more,
    )


def judged(rows, quality):
    """Predictions of these rows by somebody who sees malignancy that well."""
    rng = np.random.default_rng(0)
    found = []
    for row in rows:
        score = float(1 / (1 + np.exp(-rng.normal(quality * (row.pathology == "malignant")))))
        facts = {"image_id": row.image_id, "patient_id": row.patient_id, "exam_id": row.exam_id, "source": row.source, "split": row.split}
        found.append(
            Prediction(
                **facts, pathology=row.pathology, label=int(row.pathology == "malignant"), has_lesion=-1, image_score=score, raw_score=score
            )
        )
    return found


@pytest.fixture
def quick(monkeypatch):
    """Training and judging made cheap: what they were called with, in order."""
    calls = []

    def evaluate(options):
        run = Run.open(options.run)
        rows = read_catalog(run.catalog)
        calls.append(("evaluated", run.settings.left_out))
        write_predictions(run.report / "predictions.parquet", judged([row for row in rows if row.split == "test"], 3))
        cut = Threshold(name="image_score", value=0.5, rule="")
        Operating(
            region_calibration=Calibration(),
            calibration=Calibration(),
            thresholds={"image_score": cut},
            models={},
            contract_hash="",
            split_hash="",
        ).save(run.folder / OPERATING_NAME)
        write_json(
            run.report / "report.json",
            {"provenance": {"weights_sha256": {"unet": "a"}, "split_hash": split_hash(rows)}, "data": {"unread": []}},
        )

    def judge(run, runtime, place, options):
        calls.append(("judged on", place.name))
        write_predictions(place.out / "predictions.parquet", judged(place.rows, 1))
        made_by = {"weights_sha256": {"unet": "a"}, "split_hash": split_hash(place.rows), "internal_split_hash": "home"}
        made_by["sources"] = [name for name, _ in run.settings.sources if name != run.settings.left_out]
        write_json(place.out / "report.json", {"provenance": made_by, "data": {"unread": [], "truth": ["synthetic"]}})

    monkeypatch.setattr(left_out, "evaluate_run", evaluate)
    monkeypatch.setattr(left_out, "judge_elsewhere", judge)
    monkeypatch.setattr(left_out, "is_judged", lambda run: (run.report / "report.json").is_file())
    monkeypatch.setattr("mammolibs.pipeline.external.MOST_COMPARED", 0)
    return calls


def run_all(folder, asked, calls):
    return left_out.run_without_each(
        folder, asked, named_sources(asked), None, lambda run, options: calls.append(("trained without", run.settings.left_out))
    )


def test_each_source_is_judged_by_a_run_on_the_others_once(sites, quick, tmp_path, capsys):
    folder, asked = tmp_path / "run", options(tmp_path / "run", sites)
    result = run_all(folder, asked, quick)
    assert [what for pair in quick for what in pair] == [
        *("trained without", "csv", "evaluated", "csv", "judged on", "csv"),
        *("trained without", "phantom", "evaluated", "phantom", "judged on", "phantom"),
    ]
    whole = {row.image_id: row for row in read_catalog(folder / "data" / "catalog.parquet")}
    for name, other in (("csv", "phantom"), ("phantom", "csv")):
        run = Run.open(folder / "without" / name)
        own = read_catalog(run.catalog)
        assert {row.source for row in own} == {other} and all(row.split == whole[row.image_id].split for row in own)
        assert set(open_shards(run.shards("train"))[1].image_ids) == {row.image_id for row in own if row.split == "train"}
        outside = read_catalog(run.folder / "external" / name / "data" / "catalog.parquet")
        assert {row.image_id for row in outside} == {i for i, row in whole.items() if row.source == name} and {
            row.split for row in outside
        } == {"test"}
        assert result["sources"][name]["trained_on"] == [other] and result["sources"][name]["external"]["image_auc"]["n"] == 16
    assert "no source has it on both sides" in result["mean_drop"]["image_auc"]["reason"]
    assert "is synthetic" in (folder / "report" / "report.md").read_text()

    # Called again without its flags: the run remembers them, what is finished is skipped, what is gone is made again.
    again = remembered(folder, TrainOptions(run=str(folder), workers=0))
    assert again.leave_one_source_out and again.source == tuple(f"{name}={path.resolve()}" for name, path in sites.items())
    shutil.rmtree(folder / "without" / "phantom" / "external")
    quick.clear()
    assert run_all(folder, again, quick)["mean_drop"] == result["mean_drop"] and quick == [("judged on", "phantom")]
    assert "without csv, 1 of 2: finished before, skipped" in capsys.readouterr().out
    for other, words in (({"folds": 3, "leave_one_source_out": False}, "without folds"),):
        with pytest.raises(BadConfig, match=words):
            remembered(folder, replace(asked, **other))
    with pytest.raises(BadConfig, match="holds a run for each source left out; name one of them"):
        Run.open(folder)


def test_what_cannot_be_left_out_is_told_before_anything_is_trained(sites, quick, tmp_path):
    alone = {"phantom": sites["phantom"]}
    with pytest.raises(BadConfig, match="there is phantom alone"):
        run_all(tmp_path / "a", options(tmp_path / "a", alone), quick)
    blank = shutil.copytree(sites["csv"].parent, tmp_path / "csv")
    rows = elsewhere.read(blank / "labels.csv")
    elsewhere.write(blank / "labels.csv", [row | {"mask": "", "kind": "", "pathology": "normal"} for row in rows])
    with pytest.raises(BadData, match="without phantom no image has a known lesion"):
        run_all(tmp_path / "b", options(tmp_path / "b", alone | {"csv": blank / "labels.csv"}), quick)
    with pytest.raises(BadConfig, match="one of them"):
        options(tmp_path / "c", sites, folds=3)
    assert quick == []


def test_twins_of_another_source_are_refused_before_training(sites, quick, tmp_path, monkeypatch):
    monkeypatch.setattr("mammolibs.pipeline.external.MOST_COMPARED", 1000)
    twins = {"phantom": sites["phantom"], "csv": elsewhere.as_table(shutil.copytree(sites["phantom"], tmp_path / "twins"))}
    with pytest.raises(BadData, match=r"csv: not from elsewhere.*near-duplicate pixels"):
        run_all(tmp_path / "run", options(tmp_path / "run", twins), quick)
    assert quick == []
