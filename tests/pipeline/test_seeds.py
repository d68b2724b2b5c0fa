"""Several seeds on one split: one set of data, a run each, and how far their figures lie apart."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2, t

from mammolibs.errors import BadConfig
from mammolibs.evaluate import read_predictions
from mammolibs.evaluate.result import is_figure
from mammolibs.models.runs import weights_hash
from mammolibs.pipeline.chain import remembered, run_chain
from mammolibs.pipeline.options import TrainOptions
from mammolibs.pipeline.run import Run, read_settings, write_settings


def read(folder):
    return json.loads((folder / "report" / "report.json").read_text())


@pytest.fixture
def begun(tmp_path, whole_run):
    """A folder whose first seed is trained and judged: the shared run of these tests, laid out as --seeds does."""
    folder = tmp_path / "seeds"
    shutil.copytree(whole_run, folder / "seeds" / "0", ignore=shutil.ignore_patterns("phantoms", "shards"))
    shutil.copytree(whole_run / "data", folder / "data")
    settings = read_settings(whole_run / "run.json")
    write_settings(folder / "seeds" / "0", replace(settings, data="../../data", pretraining=False))
    return folder


def test_seeds_share_data_and_split_and_the_report_says_how_far_they_lie_apart(begun, whole_run, capsys):
    folder, source = begun, tuple("=".join(pair) for pair in read_settings(whole_run / "run.json").sources)
    first = (folder / "seeds" / "0" / "report" / "report.json").stat().st_mtime_ns
    run_chain(TrainOptions(run=str(folder), seeds=2, it=1, workers=0))
    assert (folder / "seeds" / "0" / "report" / "report.json").stat().st_mtime_ns == first
    runs = [Run.open(folder / "seeds" / str(k)) for k in range(2)]
    assert [run.settings.seed for run in runs] == [0, 1] and [run.data for run in runs] == [folder / "data"] * 2
    assert not any((run.folder / "data" / "shards").exists() for run in runs)
    assert weights_hash(runs[0].stage("unet"), "best") != weights_hash(runs[1].stage("unet"), "best")
    singles, result = [read(run.folder) for run in runs], read(folder)
    images = [{(p.image_id, p.split) for p in read_predictions(run.report / "predictions.parquet")} for run in runs]
    assert images[0] == images[1] and len({single["provenance"]["split_hash"] for single in singles}) == 1
    for stage, name in (("pipeline", "image_auc"), ("unet", "lesion_sensitivity_at_1_fp")):
        values = [single[stage][name]["value"] for single in singles]
        assert result["values"][stage][name] == values and result["runs"][1][stage] == singles[1][stage]
        assert (
            result["mean"][stage][name]["value"] == pytest.approx(np.mean(values))
            and result["mean"][stage][name]["n"] == singles[0][stage][name]["n"]
        )
        noise, deviation = result["training_noise"][stage][name], np.std(values, ddof=1)
        assert noise["value"] == pytest.approx(deviation) and noise["n"] == 2
        assert noise["high"] == pytest.approx(max(deviation, min(0.5, deviation / np.sqrt(chi2.ppf(0.025, 1)))))
        assert result["two_runs"][stage][name]["value"] == pytest.approx(min(1, t.ppf(0.975, 1) * np.sqrt(2) * deviation))
    assert "figures/seeds.png" in (folder / "report" / "report.md").read_text()
    blocks = [block for part in ("mean", "training_noise", "two_runs") for block in result[part].values()]
    assert {block["split_hash"] for block in blocks} == {singles[0]["provenance"]["split_hash"]}
    assert all(figure["reason"] or figure["low"] is not None for block in blocks for figure in block.values() if is_figure(figure))

    # What the folder remembers: given nothing, it goes on as it began; what is finished is left alone; more seeds may follow.
    again = remembered(folder, TrainOptions(run=str(folder)))
    assert (again.seeds, again.seed, again.folds, again.no_pretraining, again.source) == (2, 0, None, True, source)
    assert remembered(folder, TrainOptions(run=str(folder), seeds=3)).seeds == 3
    before = [(run.report / "report.json").stat().st_mtime_ns for run in runs]
    capsys.readouterr()
    run_chain(TrainOptions(run=str(folder), it=1, workers=0))
    printed = capsys.readouterr().out
    assert "seed 1 of 2: finished before, skipped" in printed and "standard deviation" in printed
    assert before == [(run.report / "report.json").stat().st_mtime_ns for run in runs]
    with pytest.raises(BadConfig, match="several seeds, one run each; name one of them"):
        Run.open(folder)
    with pytest.raises(BadConfig, match="holds a run without folds"):
        run_chain(TrainOptions(run=str(folder), folds=3))


def test_seeds_where_there_is_another_kind_of_run_and_with_folds_are_refused(whole_run):
    with pytest.raises(BadConfig, match="holds a run without seeds"):
        run_chain(TrainOptions(run=str(whole_run), seeds=3))
    with pytest.raises(BadConfig, match="--seeds and --folds: one of them"):
        TrainOptions(seeds=3, folds=3)
    with pytest.raises(BadConfig, match="--seeds 1: at least 2"):
        TrainOptions(seeds=1)


def test_a_run_that_never_had_data_leaves_no_seeds_behind(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(Exception, match="empty|no "):
        run_chain(TrainOptions(run=str(tmp_path / "run"), preset="cpu", source=(f"mias={tmp_path / 'empty'}",), seeds=2, workers=0))
    assert not list((tmp_path / "run").glob("seeds/*/run.json"))
