"""Two runs side by side: who is better is seen, who is the same is not, and other images are refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mammolibs.errors import MammolibsError
from mammolibs.evaluate import write_predictions
from mammolibs.evaluate.result import is_figure
from mammolibs.pipeline.compare_runs import compare_runs
from mammolibs.pipeline.table_options import CompareOptions


def run_of(folder, rows):
    (folder / "report").mkdir(parents=True)
    write_predictions(folder / "report/predictions.parquet", rows)
    (folder / "report/report.json").write_text(json.dumps({"provenance": {"seed": 0}, "data": {"split_hash": "abc"}}))
    return str(folder)


def blurred(rows, noise, seed=5):
    rng = np.random.default_rng(seed)
    return [replace(p, image_score=float(np.clip(p.image_score + rng.normal(0, noise), 0, 1))) for p in rows]


def compared(tmp_path, first, second):
    options = CompareOptions(first=run_of(tmp_path / "good", first), second=run_of(tmp_path / "noisy", second), rounds=300)
    compare_runs(options)
    return json.loads((tmp_path / "good/report/comparison.json").read_text())


def test_noise_in_the_scores_is_seen_and_told(tmp_path, make_predictions, capsys):
    rows = make_predictions(80, skill=2.5)
    result = compared(tmp_path, rows, blurred(rows, 0.5)[::-1])
    assert result["difference"]["image_auc"]["low"] > 0
    assert all(t["p"] < 0.05 for t in result["tests"] if t["unit"] == "image")
    assert result["difference"]["dice"]["value"] == pytest.approx(0)
    assert all(is_figure(f) for name, f in result["good"].items() if not name.startswith("split_"))
    said = capsys.readouterr().out
    assert "image_auc" in said and "good" in said and "noisy" in said
    assert "| higher |" in (tmp_path / "good/report/comparison.md").read_text()


def test_a_trace_of_noise_is_no_difference(tmp_path, make_predictions):
    rows = make_predictions(60)
    result = compared(tmp_path, rows, blurred(rows, 1e-3))
    found = result["difference"]["image_auc"]
    assert found["low"] <= 0 <= found["high"] and all(t["p"] > 0.05 for t in result["tests"])


def test_other_images_and_one_run_twice_are_refused(tmp_path, make_predictions):
    rows = make_predictions(20)
    with pytest.raises(MammolibsError, match="differ in 4 images"):
        compared(tmp_path, rows, rows[4:])
    with pytest.raises(MammolibsError, match="compared with itself"):
        compare_runs(CompareOptions(first=str(tmp_path / "good"), second=str(tmp_path / "good")))
    with pytest.raises(MammolibsError, match="no predictions here"):
        compare_runs(CompareOptions(first=str(tmp_path / "good"), second=str(tmp_path)))
