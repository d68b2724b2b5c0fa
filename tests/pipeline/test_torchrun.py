"""Two processes cut the patches and train the ResNet: placing the U-Net that finds them is a joint act, and a wrong turn hangs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from mammolibs.models import load_weights
from mammolibs.storage import Mirror, open_store
from tests.storage.gcs_server import GcsServer

ROOT = Path(__file__).resolve().parents[2]


def two_processes(run: str, **more: str) -> None:
    done = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
            str(Path(__file__).with_name("torchrun_worker.py")), run,
        ],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""} | more,
        capture_output=True, text=True, timeout=240, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Runtime: ddp" in done.stdout


def test_two_processes_train_the_resnet(run_copy):
    shutil.rmtree(run_copy / "data" / "patches")
    two_processes(str(run_copy))
    _, card = load_weights(run_copy / "resnet" / "model_iter_1.safetensors")
    assert card.steps == 2 and "unet" in card.parents


def test_two_hosts_share_a_bucket_and_no_folder(run_copy, tmp_path, monkeypatch):
    shutil.rmtree(run_copy / "data" / "patches")
    with GcsServer("bucket") as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        Mirror(run_copy, open_store("gs://bucket/runs/a")).send()
        two_processes("gs://bucket/runs/a", OWN_CACHES=str(tmp_path))
        sent = open_store("gs://bucket/runs/a").list()
        assert server.violations == []
    assert {"resnet/model_iter_1.safetensors", "resnet/best.json"} <= set(sent)
    copies = [tmp_path / host / "copies/bucket/runs/a" for host in "01"]
    patches = [{path.name: path.read_bytes() for path in (copy / "data/patches").rglob("*.tar")} for copy in copies]
    assert patches[0] == patches[1] != {}
    assert not any((copy / ".unsent").exists() for copy in copies)
