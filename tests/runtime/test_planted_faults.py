"""Each guard of the devices catches the fault that is planted for it: on four XLA cores, and between two processes."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORKER = str(ROOT / "tests" / "runtime" / "faults_worker.py")
TIME_LIMIT_S = 300


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What the guards said, by kind of runtime and fault."""
    folder = tmp_path_factory.mktemp("faults")
    plain = {k: v for k, v in os.environ.items() if k not in ("PJRT_DEVICE", "RANK", "WORLD_SIZE", "XLA_FLAGS")}
    plain |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    jobs = {"ddp": (torchrun, {})}
    if importlib.util.find_spec("torch_xla"):
        jobs["xla"] = ([], {"PJRT_DEVICE": "CPU", "CPU_NUM_DEVICES": "4", "XLA_FLAGS": "--xla_backend_optimization_level=0"})
    found = {}
    for kind, (launcher, more) in jobs.items():
        file = folder / f"{kind}.json"
        done = subprocess.run(
            [sys.executable, *launcher, WORKER, str(file)], env=plain | more, capture_output=True, text=True, timeout=TIME_LIMIT_S, cwd=ROOT
        )
        assert done.returncode == 0, done.stderr[-4000:]
        found[kind] = json.loads(file.read_text())
    return found


@pytest.fixture
def xla(said):
    if "xla" not in said:
        pytest.skip("torch_xla is not installed")
    return said["xla"]


@pytest.mark.parametrize("kind", ["ddp", "xla"])
def test_a_sound_run_is_not_complained_of(said, kind):
    if kind not in said:
        pytest.skip("torch_xla is not installed")
    assert said[kind]["nothing"] == []


@pytest.mark.parametrize(("kind", "replica", "of"), [("ddp", 1, 2), ("xla", 2, 4)])
def test_one_weight_that_differs_by_a_millionth_on_one_replica_is_found(said, kind, replica, of):
    if kind not in said:
        pytest.skip("torch_xla is not installed")
    (line,) = said[kind]["replicas"]
    assert f"after step 40 replica {replica} of {of} does not hold the weights of replica 0 (second.weight: 1 of " in line


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            "shapes",
            r"step 4: 1 program\(s\) compiled in the step after warm-up; shapes must not change: images was 8x1x16x16 .*, now 8x1x12x12",
        ),
        (
            "operations",
            r"step 4: 1 program\(s\) compiled in the step .* same operations must be used in every step: .*xla::abs 1 times, now 2",
        ),
        ("number", r"step 4: 1 program\(s\) compiled in the step .* a Python number in it has come to be 0 or 1"),
        ("late steps counted on the host", r"step \d: 1 program\(s\) compiled in the step .* a Python number"),
        (
            "fallback",
            r"step 2: 1 program\(s\) compiled in the step .* the device does not know aten::upsample_bicubic2d.*: the host computes it",
        ),
        ("divided", r"the work is not divided: for xla::native_batch_norm.* each core computes the whole global batch"),
    ],
)
def test_a_run_that_would_be_slow_in_silence_is_stopped(xla, fault, message):
    assert re.search(message, xla[fault][0]), xla[fault]


def test_a_bias_correction_that_comes_to_one_does_not_compile_again(xla):
    assert xla["late steps"] == []


def test_operators_that_fall_back_to_the_host_are_named(xla):
    assert any("the device does not know aten::upsample_bicubic2d" in line for line in xla["fallback"]), xla["fallback"]


def test_a_device_read_inside_the_step_is_told_with_its_place(xla):
    assert any("faults_worker.py: item reads from the device inside a training step" in line for line in xla["read"]), xla["read"]
