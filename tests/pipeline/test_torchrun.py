"""Two processes cut the patches and train the ResNet: placing the U-Net that finds them is a joint act, and a wrong turn hangs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from mammolibs.models import load_weights

ROOT = Path(__file__).resolve().parents[2]


def test_two_processes_train_the_resnet(run_copy):
    shutil.rmtree(run_copy / "data" / "patches")
    done = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
            str(Path(__file__).with_name("torchrun_worker.py")), str(run_copy),
        ],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True, text=True, timeout=240, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Runtime: ddp" in done.stdout
    _, card = load_weights(run_copy / "resnet" / "model_iter_1.safetensors")
    assert card.steps == 2 and "unet" in card.parents
