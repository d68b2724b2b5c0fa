"""Runs that live in a bucket: the stage scripts and evaluations on a server on loopback."""

from __future__ import annotations

import hashlib
import os
import signal
from dataclasses import replace

import pytest

from mammolibs.engine import looks, progress
from mammolibs.errors import BadConfig, BadFile, RunInterrupted
from mammolibs.pipeline.evaluate_stage import evaluate_stage
from mammolibs.pipeline.options import EvalOptions, UNetOptions
from mammolibs.pipeline.train_stage import train_stage
from mammolibs.storage import open_store
from tests.storage.gcs_server import GcsServer

RUN = "gs://bucket/runs/a"
WEIGHTS = "unet/model_iter_2.safetensors"


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


@pytest.fixture(scope="module")
def options(whole_run):
    return UNetOptions(
        run=RUN, data=str(whole_run / "data"), preset="cpu", pretrain="no", from_scratch=True, it=2, steps_per_it=3, workers=0
    )


@pytest.fixture(scope="module")
def expected(options, tmp_path_factory):
    """sha256 of the weights of the same run in a folder."""
    folder = tmp_path_factory.mktemp("local") / "run"
    train_stage("unet", replace(options, run=str(folder)))
    return sha256((folder / WEIGHTS).read_bytes())


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_bucket_holds_what_a_folder_would(bucket, machine, options, expected):
    machine("a")
    train_stage("unet", options)
    store = open_store(RUN)
    assert sha256(store.read(WEIGHTS)) == expected
    assert {"run.json", "inputs/unet.png", "unet/best.json", "unet/history.csv"} <= set(store.list())
    assert not [name for name in store.list() if "/." in name or name.startswith(".")]
    assert not [name for name in store.list() if options.data.encode() in store.read(name)]


def test_a_run_told_to_stop_goes_on_from_the_bucket_on_another_machine_to_the_same_bits(bucket, machine, options, expected, monkeypatch):
    really = looks.Looks.due

    def due(self, step):
        if step == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return really(self, step)

    machine("a")
    with monkeypatch.context() as patch:
        patch.setattr(looks.Looks, "due", due)
        with pytest.raises(RunInterrupted):
            train_stage("unet", options)
    machine("b")
    with pytest.raises(BadConfig, match="give --data FOLDER once"):
        train_stage("unet", replace(options, pretrain=None, from_scratch=False, data=None))
    result = train_stage("unet", replace(options, pretrain=None, from_scratch=False))
    assert result.steps == 6 and sha256(open_store(RUN).read(WEIGHTS)) == expected


def test_a_trained_run_in_a_bucket_is_evaluated_anywhere(bucket, machine, options):
    machine("a")
    train_stage("unet", options)
    machine("b")
    evaluate_stage("unet", EvalOptions(run=RUN, data=options.data, workers=0))
    assert {"unet/evaluation.json", "unet/plot.png"} <= set(open_store(RUN).list())
    machine("a")
    train_stage("unet", replace(options, pretrain=2, from_scratch=False, it=1))
    assert {"unet/evaluation.json", "unet/model_iter_3.pth"} <= set(open_store(RUN).list())


def test_a_machine_that_another_took_the_bucket_from_stops_and_says_so(bucket, machine, options, tmp_path, monkeypatch):
    really, once = looks.Looks.due, iter([True])

    def due(self, step):
        if step == 2 and next(once, False):
            here = os.environ["MAMMOLIBS_CACHE"]
            machine("b")
            train_stage("unet", replace(options, pretrain=None, from_scratch=False))
            monkeypatch.setenv("MAMMOLIBS_CACHE", here)
        return really(self, step)

    machine("a")
    monkeypatch.setattr(looks.Looks, "due", due)
    with pytest.raises(BadFile, match="gs://bucket/runs/a: is in use by another process, which has written to it since"):
        train_stage("unet", options)
    assert progress(tmp_path / "b/copies/bucket/runs/a/unet").finished
