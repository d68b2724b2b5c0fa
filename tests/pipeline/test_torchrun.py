"""Two processes cut the patches and train the ResNet: placing the U-Net that finds them is a joint act, and a wrong turn hangs.

They stand for two hosts: what they share is a bucket, each works in a copy of its own.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from mammolibs.models import load_weights
from mammolibs.storage import Mirror, open_store
from tests.storage.gcs_server import GcsServer

ROOT = Path(__file__).resolve().parents[2]
WORKER = str(Path(__file__).with_name("torchrun_worker.py"))
RUN = "gs://bucket/runs/a"


def test_two_hosts_train_the_resnet_of_a_run_in_a_bucket(run_copy, tmp_path, monkeypatch):
    shutil.rmtree(run_copy / "data" / "patches")
    with GcsServer("bucket") as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        Mirror(run_copy, open_store(RUN)).send()
        done = subprocess.run(
            [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", WORKER, RUN, str(tmp_path)],
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
            capture_output=True, text=True, timeout=240, cwd=ROOT,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        sent = open_store(RUN).list()
        assert server.violations == []
    assert "Runtime: ddp" in done.stdout
    copies = [tmp_path / host / "copies/bucket/runs/a" for host in "01"]
    _, card = load_weights(copies[0] / "resnet" / "model_iter_1.safetensors")
    assert card.steps == 2 and "unet" in card.parents
    assert {"resnet/model_iter_1.safetensors", "resnet/best.json"} <= set(sent)
    patches = [{path.name: path.read_bytes() for path in (copy / "data/patches").rglob("*.tar")} for copy in copies]
    assert patches[0] == patches[1] != {}
    assert not any((copy / ".unsent").exists() for copy in copies)
