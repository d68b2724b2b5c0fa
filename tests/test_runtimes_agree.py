"""The same stages, through the same loop, on one device, under torchrun and over four XLA cores."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WORKER = str(ROOT / "tests" / "runtime" / "agree_worker.py")
STEPS = 5
CORES, BATCH = 4, 12
STAGES = ["encoder", "autoencoder", "unet", "resnet"]
TIME_LIMIT_S = 400


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What each runtime saw, and where XLA left its programs. The processes run side by side."""
    folder = tmp_path_factory.mktemp("agree")
    plain = {k: v for k, v in os.environ.items() if k not in ("PJRT_DEVICE", "RANK", "WORLD_SIZE", "XLA_FLAGS")}
    plain |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    flags = f"--xla_backend_optimization_level=0 --xla_dump_to={folder / 'programs'} --xla_dump_hlo_as_text"
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    jobs = {"single": ([], {}), "ddp": (torchrun, {})}
    if importlib.util.find_spec("torch_xla"):
        jobs["xla"] = ([], {"PJRT_DEVICE": "CPU", "CPU_NUM_DEVICES": str(CORES), "XLA_FLAGS": flags})
    started = {}
    for kind, (launcher, more) in jobs.items():
        (folder / kind).mkdir()
        with open(folder / f"{kind}.log", "w") as log:
            command = [sys.executable, *launcher, WORKER, str(folder / kind), str(STEPS)]
            started[kind] = subprocess.Popen(command, env=plain | more, stdout=log, stderr=log, cwd=ROOT)
    try:
        for kind, process in started.items():
            assert process.wait(TIME_LIMIT_S) == 0, (folder / f"{kind}.log").read_text()[-4000:]
    finally:
        for process in started.values():
            process.kill()
            process.wait()
    found = {kind: json.loads((folder / kind / "seen.json").read_text()) for kind in started}
    return found | {"programs": folder / "programs"}


@pytest.fixture
def xla(seen):
    if "xla" not in seen:
        pytest.skip("torch_xla is not installed")
    return seen["xla"]


def test_each_process_chose_its_runtime(seen):
    assert [(seen[k]["kind"], seen[k]["world"]) for k in ("single", "ddp")] == [("single", 1), ("ddp", 2)]


@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_agree_with_one(seen, stage):
    _compare(seen["ddp"][stage], seen["single"][stage])


@pytest.mark.parametrize("stage", STAGES)
def test_four_xla_cores_agree_with_one_device(seen, xla, stage):
    assert (xla["kind"], xla["world"], xla["hosts"]) == ("xla", CORES, 1)
    _compare(xla[stage], seen["single"][stage])


@pytest.mark.parametrize("kind", ["ddp", "xla"])
def test_batch_norm_uses_the_global_batch(seen, kind):
    if kind not in seen:
        pytest.skip("torch_xla is not installed")
    # Adam amplifies rounding where a gradient is nothing but rounding (a bias before a norm), so the weights drift.
    assert seen[kind]["batch norm"]["losses"] == pytest.approx(seen["single"]["batch norm"]["losses"], abs=1e-4)
    assert seen[kind]["batch norm"]["figures"] == pytest.approx(seen["single"]["batch norm"]["figures"], abs=1e-3)


@pytest.mark.parametrize("kind", ["single", "ddp", "xla"])
def test_a_run_told_to_stop_on_one_host_stops_on_all_and_resumes_to_the_same_bits(seen, kind):
    if kind not in seen:
        pytest.skip("torch_xla is not installed")
    whole, told, resumed = seen[kind]["stopped"]
    assert "told to stop after step" in told and resumed == whole


@pytest.mark.parametrize("stage", [*STAGES, "batch norm"])
def test_no_program_is_compiled_after_the_second_step(xla, stage):
    assert xla[stage]["compiled"] == [1] + [0] * (STEPS - 2)


def test_each_core_computes_its_own_rows_only(xla, seen):
    trained = 0
    for path in seen["programs"].glob("*after_optimizations.txt"):
        text = path.read_text()
        convolutions = [dims.split(",") for dims in re.findall(r"= \w+\[([\d,]+)\]\S* convolution\(", text)]
        assert not any(str(BATCH) in dims for dims in convolutions), f"{path.name}: a core convolves the whole batch"
        if convolutions and "all-reduce(" in text:
            trained += 1
            assert any(dims[0] == str(BATCH // CORES) for dims in convolutions)
            gathered = [dims.split(",") for dims in re.findall(r"= \w+\[([\d,]+)\]\S* all-gather\(", text)]
            assert all(len(dims) <= 2 for dims in gathered), f"{path.name}: activations are gathered: {gathered}"
    assert trained >= 2 * (len(STAGES) + 2)


def _compare(found: dict, expected: dict) -> None:
    assert found["weights"] == expected["weights"]
    for name in ("losses", "figures"):
        assert found[name] == pytest.approx(expected[name], abs=1e-5)
