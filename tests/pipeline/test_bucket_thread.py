"""The whole thread through a bucket, in the commands that a user types: catalog, audit, shards, training, evaluation."""

from __future__ import annotations

import json
import runpy
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mammolibs.catalog import read_catalog, split_hash, write_catalog
from mammolibs.storage import open_store
from tests.pipeline.films import write_films
from tests.storage.gcs_server import GcsServer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bucket(monkeypatch):
    with GcsServer("bucket") as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        yield server
        assert server.violations == []


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Go to a machine: one with a cache of its own."""
    return lambda name: monkeypatch.setenv("MAMMOLIBS_CACHE", str(tmp_path / name))


@pytest.fixture
def script(monkeypatch, capsys):
    """Runs a script of the repository with these arguments; what it printed."""

    def run(name, *arguments):
        monkeypatch.setattr("sys.argv", [name, *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            runpy.run_path(str(ROOT / name), run_name="__main__")
        printed = capsys.readouterr()
        assert not done.value.code, printed.err
        return printed.out

    return run


def test_catalog_audit_shards_training_and_evaluation_through_a_bucket(bucket, machine, script, tmp_path):
    films, data = write_films(tmp_path / "films", 18), tmp_path / "data"
    script("dataset_enhancement/build_catalog.py", "--source", f"csv={films}", "--option", "csv.truth=biopsy", "--out", data)
    rows = read_catalog(data / "catalog.parquet")
    for row in rows:
        bucket.put("bucket", f"raw/{Path(row.path).name}", Path(row.path).read_bytes())
    write_catalog(data / "catalog.parquet", [replace(row, path=f"gs://bucket/raw/{Path(row.path).name}") for row in rows])
    shutil.rmtree(films)
    assert "nothing leaks" in script("dataset_enhancement/audit_split.py", "--catalog", data, "--no-pixels", "--cache", tmp_path / "audit")

    common = ("--preset", "cpu", "--workers", 0)
    script("dataset_enhancement/make_shards.py", "--catalog", data, "--out", "gs://bucket/mine/shards", *common)
    shutil.rmtree(data)
    machine("a")
    short = ("--pretrain", "no", "--from-scratch", "--it", 1, "--steps-per-it", 2)
    script("train/unet/finetune.py", "--run", "gs://bucket/runs/a", "--data", "gs://bucket/mine", *short, *common)
    machine("b")
    script("eval/unet_eval.py", "--run", "gs://bucket/runs/a", "--workers", 0)

    run = open_store("gs://bucket/runs/a")
    assert {"run.json", "unet/best.json", "unet/model_iter_1.safetensors", "unet/plot.png"} <= set(run.list())
    evaluation = json.loads(run.read("unet/evaluation.json"))
    assert evaluation["unet"]["split_hash"] == split_hash(rows)
    assert evaluation["unet"]["dice"]["n"] == sum(row.split == "test" and bool(row.lesions) for row in rows) > 0
