"""Which runtime, which precision, and what is refused before anything starts."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
import torch

import mammolibs.runtime.precision as precision
from mammolibs.errors import BadConfig, RuntimeUnavailable
from mammolibs.runtime import get_runtime
from mammolibs.runtime.tpu_chips import require_tpu


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("MAMMOLIBS_DEVICE", "PJRT_DEVICE", "RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


def test_one_process_is_the_default_and_says_why(capsys):
    runtime = get_runtime("float32", seed=4)
    assert (runtime.kind, runtime.world, runtime.hosts, runtime.is_main) == ("single", 1, 1, True)
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and "neither PJRT_DEVICE nor torchrun's variables" in said and "float32 (asked for)" in said
    drawn = torch.rand(2)
    get_runtime("float32", seed=4, announce=False)
    assert torch.equal(drawn, torch.rand(2))


@pytest.mark.parametrize(
    ("flags", "expected"), [({"amx_bf16", "sse"}, "bfloat16"), ({"avx512_bf16"}, "bfloat16"), ({"avx512f"}, "float32"), (set(), "float32")]
)
def test_bfloat16_is_taken_where_the_cpu_has_units_for_it(monkeypatch, flags, expected):
    monkeypatch.setattr(precision, "cpu_flags", lambda: frozenset(flags))
    chosen, reason = precision.choose_precision("auto", "cpu")
    assert chosen == expected and "bf16" in reason
    assert precision.choose_precision("float32", "cpu")[0] == "float32"


def test_a_misspelt_precision_is_refused():
    with pytest.raises(BadConfig, match="--precision bf16: expected one of auto, float32, bfloat16"):
        get_runtime("bf16")


def test_a_tpu_that_is_not_there_is_refused_at_once_without_torch():
    code = (
        "import sys\nfrom mammolibs.runtime import get_runtime\nfrom mammolibs.errors import RuntimeUnavailable\n"
        "try:\n get_runtime()\nexcept RuntimeUnavailable as error:\n print(error, 'torch' in sys.modules)"
    )
    began = time.monotonic()
    said = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PJRT_DEVICE": "TPU", "PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    assert "PJRT_DEVICE=TPU" in said and said.count("\n") == 1 and said.endswith("False\n")
    assert time.monotonic() - began < 15


def test_chips_are_counted_on_the_bus(tmp_path, monkeypatch):
    for name, vendor, device in (("a", "0x1ae0", "0x0063"), ("b", "0x1ae0", "0x0042"), ("c", "0x8086", "0x0063")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vendor").write_text(vendor + "\n")
        (tmp_path / name / "device").write_text(device + "\n")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert require_tpu(tmp_path) == 1
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RuntimeUnavailable, match="libtpu is not installed"):
        require_tpu(tmp_path)
    with pytest.raises(RuntimeUnavailable, match="no TPU chip"):
        require_tpu(tmp_path / "c")


def test_an_unknown_device_names_the_nearest(monkeypatch):
    monkeypatch.setenv("PJRT_DEVICE", "tpuu")
    with pytest.raises(RuntimeUnavailable, match="expected one of CPU, TPU, CUDA; did you mean TPU"):
        get_runtime()


def test_torch_xla_that_does_not_import_is_one_line(monkeypatch):
    monkeypatch.setenv("PJRT_DEVICE", "CPU")
    monkeypatch.setitem(sys.modules, "torch_xla", None)
    with pytest.raises(RuntimeUnavailable, match="both must be 2.9.0"):
        get_runtime()


def test_more_processes_than_gpus_are_refused(monkeypatch):
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "4"), ("LOCAL_WORLD_SIZE", "4")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(RuntimeUnavailable, match="4 processes, this machine has 2"):
        get_runtime()


def test_torch_tpu_without_a_tpu_is_refused_in_one_line(monkeypatch):
    monkeypatch.setenv("MAMMOLIBS_DEVICE", "tpu")
    with pytest.raises(RuntimeUnavailable, match="MAMMOLIBS_DEVICE=tpu: this machine has no TPU chip"):
        get_runtime()


@pytest.mark.parametrize(
    ("chips", "installed", "environment", "message"),
    [
        (4, False, {}, "torch_tpu is not installed beside torch .*requirements-torch-tpu.txt"),
        (4, True, {}, "one process per chip is needed; start it with .*torchrun --nproc-per-node 4"),
        (0, True, {"PJRT_DEVICE": "TPU"}, "these are TorchTPU and PyTorch/XLA; unset one"),
        (0, True, {"MAMMOLIBS_DEVICE": "gpu"}, "MAMMOLIBS_DEVICE=gpu: the only value is tpu"),
    ],
)
def test_what_torch_tpu_needs_is_said(monkeypatch, chips, installed, environment, message):
    monkeypatch.setattr("mammolibs.runtime.tpu.count_chips", lambda: chips)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if installed else None)
    for name, value in ({"MAMMOLIBS_DEVICE": "tpu"} | environment).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RuntimeUnavailable, match=message):
        get_runtime()
