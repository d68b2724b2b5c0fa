"""One small run of the whole pipeline on phantoms, shared by the tests of this folder."""

import shutil

import pytest

from mammolibs.pipeline.chain import run_chain
from mammolibs.pipeline.options import TrainOptions
from mammolibs.pipeline.presets import PRESETS, Preset, StagePreset

TINY = Preset(
    canvas=(64, 48), width=4, depth=3, norm="group", patch_px=32, patch_mm=40.0,
    stages={name: StagePreset(batch=8, learning_rate=1e-3, steps_per_it=2) for name in ("encoder", "autoencoder", "unet", "patches", "resnet")},
)


@pytest.fixture(scope="session", autouse=True)
def tiny_preset():
    PRESETS["cpu"], kept = TINY, PRESETS["cpu"]
    yield
    PRESETS["cpu"] = kept


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory, tiny_preset):
    """A run with every stage trained for two iterations, and its report."""
    folder = tmp_path_factory.mktemp("runs") / "default"
    run_chain(TrainOptions(run=str(folder), preset="cpu", exams=24, rows=512, it=2, workers=0))
    return folder


@pytest.fixture
def run_copy(whole_run, tmp_path):
    """A copy of it that a test may change."""
    folder = tmp_path / "run"
    shutil.copytree(whole_run, folder)
    return folder
