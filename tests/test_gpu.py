"""What only a GPU can show: the same worker as in test_runtimes_agree.py, on one GPU and under torchrun with nccl."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.tiny import write_tiny_shards

ROOT = Path(__file__).resolve().parents[1]
WORKER = str(ROOT / "tests" / "runtime" / "agree_worker.py")
STAGES = ["encoder", "autoencoder", "unet", "resnet", "batch norm", "at once"]


def gpus() -> int:
    """Counted without starting CUDA in this process."""
    return len(list(Path("/proc/driver/nvidia/gpus").glob("*"))) if Path("/proc/driver/nvidia").is_dir() else 0


pytestmark = pytest.mark.skipif(not gpus(), reason="this machine has no GPU")


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What the CPU, one GPU, and as many nccl processes as there are GPUs (two at most) saw."""
    folder = tmp_path_factory.mktemp("gpu")
    write_tiny_shards(folder / "shards")
    plain = {k: v for k, v in os.environ.items() if k not in ("PJRT_DEVICE", "RANK", "WORLD_SIZE")} | {"PYTHONPATH": str(ROOT)}
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(min(2, gpus()))]
    # Convolutions in TF32 would keep three digits only.
    exact = {"NVIDIA_TF32_OVERRIDE": "0"}
    found = {}
    for kind, launcher, more in (("cpu", [], {"CUDA_VISIBLE_DEVICES": ""}), ("gpu", [], exact), ("nccl", torchrun, exact)):
        (folder / kind).mkdir()
        command = [sys.executable, *launcher, WORKER, str(folder / kind), "16", str(folder / "shards")]
        done = subprocess.run(command, env=plain | more, capture_output=True, text=True, timeout=600, cwd=ROOT)
        assert done.returncode == 0, done.stderr[-4000:]
        found[kind] = json.loads((folder / kind / "seen.json").read_text())
    return found


@pytest.mark.parametrize("kind", ["gpu", "nccl"])
@pytest.mark.parametrize("stage", STAGES)
def test_losses_are_those_of_the_cpu(seen, kind, stage):
    assert seen[kind][stage]["losses"] == pytest.approx(seen["cpu"][stage]["losses"], abs=1e-3)


@pytest.mark.parametrize("kind", ["gpu", "nccl"])
def test_a_stopped_run_resumes_to_the_same_bits(seen, kind):
    whole, told, resumed = seen[kind]["stopped"]
    assert "told to stop after step" in told and resumed == whole
