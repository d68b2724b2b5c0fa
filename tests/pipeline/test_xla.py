"""The same scripts through XLA over four cores of this machine."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mammolibs.pipeline.find import predict_files
from mammolibs.pipeline.options import PredictOptions

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(importlib.util.find_spec("torch_xla") is None, reason="torch_xla is not installed")
def test_four_cores_train_evaluate_and_predict(whole_run, run_copy, tmp_path):
    image = sorted((whole_run / "phantoms" / "images").rglob("*.dcm"))[0]
    (plain,) = predict_files(PredictOptions(image=str(image), run=str(whole_run), out=str(tmp_path / "plain")))
    more = {
        "PJRT_DEVICE": "CPU", "CPU_NUM_DEVICES": "4", "XLA_FLAGS": "--xla_backend_optimization_level=0", "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("xla_worker.py")), str(run_copy), str(image), str(tmp_path / "xla")],
        env=os.environ | more, capture_output=True, text=True, timeout=400, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Runtime: xla" in done.stdout and "4 cores" in done.stdout
    assert (run_copy / "unet" / "model_iter_3.pth").is_file()
    found = json.loads((tmp_path / "xla" / f"{image.name}.findings.json").read_text())
    assert found["image_score"] == pytest.approx(plain.image_score, abs=1e-4)
    assert len(found["findings"]) == len(plain.findings)
