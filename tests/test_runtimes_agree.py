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

from tests.engine.tiny import write_tiny_shards

ROOT = Path(__file__).resolve().parents[1]
WORKER = str(ROOT / "tests" / "runtime" / "agree_worker.py")
STEPS = 16
CORES, BATCH, PARTS = 4, 12, 3
STAGES = ["encoder", "autoencoder", "unet", "resnet"]
AT_ONCE = "at once"  # averaged weights, a batch in parts, activations computed again
# Largest difference of a loss to the one device's. Adam makes much of rounding where gradients are near 0:
# XLA rounds otherwise than torch's kernels, which a ResNet in its first steps shows most.
TOLERANCE = {"unet": 1e-5}
USUAL_TOLERANCE = 1e-4
RESNET_XLA_STEPS, RESNET_XLA_GROWTH = 8, 5e-3
TIME_LIMIT_S = 400


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What each runtime saw, and where XLA left its programs. The processes run side by side."""
    folder = tmp_path_factory.mktemp("agree")
    write_tiny_shards(folder / "shards")
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
            command = [sys.executable, *launcher, WORKER, str(folder / kind), str(STEPS), str(folder / "shards")]
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


@pytest.mark.parametrize("stage", [*STAGES, AT_ONCE])
def test_two_processes_agree_with_one(seen, stage):
    _compare(seen["ddp"][stage], seen["single"][stage])


@pytest.mark.parametrize("stage", ["encoder", "autoencoder", "unet", AT_ONCE])
def test_four_xla_cores_agree_with_one_device(seen, xla, stage):
    assert (xla["kind"], xla["world"], xla["hosts"]) == ("xla", CORES, 1)
    _compare(xla[stage], seen["single"][stage])


def test_a_resnet_on_xla_agrees_at_first_and_drifts_slowly(seen, xla):
    apart = [abs(a - b) for a, b in zip(xla["resnet"]["losses"], seen["single"]["resnet"]["losses"], strict=True)]
    assert max(apart[:RESNET_XLA_STEPS]) < USUAL_TOLERANCE and max(apart) < RESNET_XLA_GROWTH


def test_activations_computed_again_change_nothing(seen):
    # Batch norm must not count a batch twice: its running statistics are what the validation figures stand on.
    for name in ("losses", "figures"):
        assert seen["single"][AT_ONCE][name] == pytest.approx(seen["single"]["kept"][name], abs=1e-6)


def test_a_batch_in_parts_is_nearly_the_whole(seen):
    whole, parts = seen["single"]["whole"]["losses"], seen["single"]["kept"]["losses"]
    means = [sum(parts[i : i + PARTS]) / PARTS for i in range(0, len(parts), PARTS)]
    # Dice is a ratio of sums and batch norm looks at a part, so that it is another number, a close one.
    assert means == pytest.approx(whole, abs=0.05) and means != whole


@pytest.mark.parametrize("kind", ["single", "ddp", "xla"])
def test_bfloat16_stays_near_float32_on_every_runtime(seen, kind):
    if kind not in seen:
        pytest.skip("torch_xla is not installed")
    found, exact = seen[kind]["bfloat16"]["losses"], seen["single"]["float32"]["losses"]
    # Three significant digits of activations, and each kernel rounds in its own order.
    assert found == pytest.approx(exact, abs=2e-3) and found != exact
    if kind == "xla":
        # Of the step only: validation and checksums of the same network were compiled before.
        assert seen[kind]["bfloat16"]["compiled"] == [2, 0] and seen[kind]["bfloat16"]["fallbacks"] == []


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


@pytest.mark.parametrize("kind", ["ddp", "xla"])
@pytest.mark.parametrize("way", ["from one process", "to one process"])
def test_a_run_goes_on_with_another_number_of_cores(seen, kind, way):
    if kind not in seen:
        pytest.skip("torch_xla is not installed")
    assert seen[kind]["crossed"][way] == pytest.approx(seen["single"]["crossed"]["to one process"], abs=1e-5)


@pytest.mark.parametrize("stage", [*STAGES, "batch norm"])
def test_two_programs_for_steps_one_for_evaluation_one_for_the_checksum_and_none_later(xla, stage):
    assert xla[stage]["compiled"] == [4, 0]
    assert xla[stage]["fallbacks"] == []


def test_a_step_in_parts_is_a_program_for_each_kind_of_part_however_many_there_are(xla):
    # The first part (no gradients yet), those between, the last with the optimizer; the first and the last
    # once more, because batch norm's statistics and the optimizer's states are new in the first step.
    assert PARTS == 3 and xla[AT_ONCE]["compiled"] == [3 + 2 + 2, 0] and xla[AT_ONCE]["fallbacks"] == []


def test_each_core_computes_its_own_rows_only(xla, seen):
    trained = 0
    for path in seen["programs"].glob("*after_optimizations.txt"):
        text = path.read_text()
        convolutions = [dims.split(",") for dims in re.findall(r"= \w+\[([\d,]+)\]\S* convolution\(", text)]
        assert not any(str(BATCH) in dims for dims in convolutions), f"{path.name}: a core convolves the whole batch"
        if convolutions and "all-reduce(" in text:
            trained += 1
            assert any(dims[0] in (str(BATCH // CORES), str(BATCH // CORES // PARTS)) for dims in convolutions)
            gathered = [dims.split(",") for dims in re.findall(r"= \w+\[([\d,]+)\]\S* all-gather\(", text)]
            assert all(len(dims) <= 2 for dims in gathered), f"{path.name}: activations are gathered: {gathered}"
    assert trained >= 2 * (len(STAGES) + 3)


def _compare(found: dict, expected: dict) -> None:
    assert found["weights"] == expected["weights"]
    tolerance = TOLERANCE.get(expected["stage"], USUAL_TOLERANCE)
    apart = [abs(a - b) for a, b in zip(found["losses"], expected["losses"], strict=True)]
    assert max(apart) < tolerance, apart
    # The U-Net's figure counts lesions, so it jumps.
    slack = 0.05 if expected["stage"] in ("unet", AT_ONCE) else tolerance
    assert found["figures"] == pytest.approx(expected["figures"], abs=slack)
