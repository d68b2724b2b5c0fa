"""One small run of the whole pipeline on phantoms, shared by the tests of this folder."""

import os
import runpy
import shutil
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from mammolibs.pipeline.chain import run_chain
from mammolibs.pipeline.options import TrainOptions
from mammolibs.pipeline.presets import PRESETS

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(Path(__file__).parent))

import tiny  # noqa: E402 (the tests' own folder is no package)


@pytest.fixture(scope="session", autouse=True)
def tiny_preset():
    kept = tiny.install()
    yield
    PRESETS["cpu"] = kept


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory, tiny_preset):
    """A run with every stage trained for two iterations, and its report: made once for all processes, a copy for each."""
    folder, made = tmp_path_factory.mktemp("runs") / "default", _shared(tmp_path_factory) / "whole_run"
    with FileLock(made.with_suffix(".lock")):
        if not made.is_dir():
            run_chain(TrainOptions(run=str(folder), preset="cpu", exams=24, rows=512, it=2, workers=0))
            shutil.copytree(folder, made.with_suffix(".part"))
            made.with_suffix(".part").rename(made)
        else:
            shutil.copytree(made, folder)
    return folder


def _shared(tmp_path_factory):
    """The folder of this session that all its processes see."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if os.environ.get("PYTEST_XDIST_WORKER") else own


@pytest.fixture
def run_copy(whole_run, tmp_path):
    """A copy of it that a test may change."""
    folder = tmp_path / "run"
    shutil.copytree(whole_run, folder)
    return folder


@pytest.fixture
def call(monkeypatch, capsys):
    """Run a script of ours as a user does; returns exit code and what it printed to stderr."""

    def run(script, *arguments):
        monkeypatch.setattr("sys.argv", [script, *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as done:
            runpy.run_path(str(ROOT / script), run_name="__main__")
        return done.value.code or 0, capsys.readouterr().err

    return run
