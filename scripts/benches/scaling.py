"""Weak scaling over TPU cores, predicted; and whether each core's share of the work stays the same, read from compiled programs.

The batch of a core stays as it is, so that a step on n cores is a step on one plus what the cores say to each
other: the gradients (float32, counted from the real network), added up over all cores, and the sums that the
step must wait for in between (loss; mean, variance and their gradients of every batch norm), which are so
small that only their latency counts. Gradients go round a ring along the rows of the torus and one along its
columns, there and back: 2 (n - 1) / n x bytes / bandwidth + 2 (rows - 1 + columns - 1) hops x latency. Without
overlap the gradients begin when the backward pass has ended; with overlap they hide behind the compute
wholly. What a real step has lies between. Input, stragglers, saving and the embeddings that the contrastive
stage gathers are left out.

Sources. Bandwidth, ports, peak, slices: docs.cloud.google.com/tpu/docs/v5e and /v6e ("bidirectional inter-chip
interconnect bandwidth per chip" 400 and 800 GB/s over 4 ports of a 2-D torus, so that one port sends 50 and
100 GB/s; a plain ring uses one port at a time, --ports 4 is what "all-reduce bandwidth per Pod" there stands
for). DCN: v5e has 2 x 100 Gbit/s per host; the same is assumed of v6e. Latency: 1 us per hop, the figure that
jax-ml.github.io/scaling-book reckons with; 50 us between slices. Both are assumptions.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from benches.train import STAGES, PlainLoop, RandomBatches, make_stage
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from mammolibs.engine import FitOptions, fit
from mammolibs.records import RunCard
from mammolibs.runtime import get_runtime

CORES = (8, 32, 256)
PORTS, CHIPS_PER_HOST, CHIPS_PER_SLICE = 4, 8, 256
CHIPS = {"v5e": {"tflop_s": 197, "ici_gb_s": 400}, "v6e": {"tflop_s": 918, "ici_gb_s": 800}}
WAITS, WAITS_PER_BATCH_NORM = 2, 3
"""Sums that a step waits for: the loss and the gradients; of a batch norm its mean, its variance, and the gradients of both at once."""

CHECKED = {"name": "unet", "width": 8, "depth": 3, "norm": "group", "shuffle": 1}
CHECKED_SIZE, CHECKED_ROWS = (32, 32), 3
"""Three rows a core: no layer of the checked network has 3, 6 or 12 channels."""
BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4, "s64": 8, "u64": 8, "f64": 8}
TIME_LIMIT_S = 900


@dataclass(frozen=True, kw_only=True)
class Network:
    """link_bytes_s: that one chip sends in a second while a ring goes round; hop_s: until a neighbour has the first of it.
    slices: the cores are divided over so many; dcn_bytes_s: between slices, per host; dcn_hop_s: from slice to slice."""

    link_bytes_s: float
    hop_s: float
    slices: int
    dcn_bytes_s: float
    dcn_hop_s: float

    def all_reduce_s(self, total_bytes: float, cores: int) -> float:
        """Seconds to add up that many bytes over all cores, so that each has the sum."""
        chips = cores // self.slices
        rows, columns = torus(chips)
        seconds = 2 * (chips - 1) / chips * total_bytes / self.link_bytes_s + 2 * (rows - 1 + columns - 1) * self.hop_s
        if self.slices > 1:
            # Each slice's sum lies divided over its chips by then, and each host sends what lies on its own.
            per_host = total_bytes * min(1.0, CHIPS_PER_HOST / chips)
            seconds += 2 * (self.slices - 1) / self.slices * per_host / self.dcn_bytes_s + 2 * (self.slices - 1) * self.dcn_hop_s
        return seconds


def torus(chips: int) -> tuple[int, int]:
    """Rows and columns of a slice, as square as it gets: 8 chips are 2 x 4, 32 are 4 x 8, 256 are 16 x 16."""
    rows = max(n for n in range(1, math.isqrt(chips) + 1) if chips % n == 0)
    return rows, chips // rows


def efficiencies(compute_s: float, gradients_s: float, waits_s: float) -> tuple[float, float]:
    """One core's compute as a share of the step of many: gradients after it, and gradients wholly behind it."""
    return compute_s / (compute_s + gradients_s + waits_s), compute_s / (max(compute_s, gradients_s) + waits_s)


def table(compute_s: float, gradient_bytes: int, waits: int, network: Network) -> list[str]:
    """The lines of a prediction, a line for each number of cores that the slices can have."""
    made = [f"{'cores':>7}{'compute ms':>12}{'gradients ms':>14}{'other waits ms':>16}{'efficiency, no overlap':>24}{'full overlap':>14}"]
    for cores in CORES:
        chips = cores // network.slices
        if cores % network.slices or chips > CHIPS_PER_SLICE:
            made.append(f"{cores:>7}  not {network.slices} equal slices of at most {CHIPS_PER_SLICE} chips")
            continue
        gradients_s = network.all_reduce_s(gradient_bytes, cores)
        waits_s = (waits - 1) * network.all_reduce_s(0, cores)
        worst, best = efficiencies(compute_s, gradients_s, waits_s)
        made.append(f"{cores:>7}{1e3 * compute_s:>12.3f}{1e3 * gradients_s:>14.3f}{1e3 * waits_s:>16.3f}{worst:>24.1%}{best:>14.1%}")
    return made


def count_work(stage: Any, batch: int, size: tuple[int, int]) -> tuple[int, int, int]:
    """Bytes of the gradients in float32, sums waited for in a step, and FLOPs of a core's step (convolutions and products)."""
    with torch.device("meta"):
        model, images = stage.build(), torch.empty(batch, 1, *size)
    counter = FlopCounterMode(display=False)
    with counter:
        model(images).sum().backward()
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    views = 2 if stage.views == "two" else 1
    return 4 * parameters, WAITS + WAITS_PER_BATCH_NORM * views * norms, views * counter.get_total_flops()


def measured_step_s(stage: Any, batch: int, size: tuple[int, int], steps: int) -> float:
    """Seconds of a step of the plain loop on this machine: the median of `steps` after one that warms up."""
    loop, seconds = PlainLoop(stage, RandomBatches(batch, size)), []
    for _ in tqdm(range(steps + 1), desc="measuring a step", unit="step", leave=False):
        began = time.perf_counter()
        loop.step()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])


def compile_one() -> None:
    """What a process of the check does: one iteration of the engine's own loop on all cores that there are."""
    runtime, stage = get_runtime("float32"), make_stage(**CHECKED)
    card = RunCard(
        stage=stage.name, iteration=0, steps=0, architecture={}, contract={}, contract_hash="", data_hash="", split_hash="", seed=0
    )
    batches = RandomBatches(CHECKED_ROWS * runtime.world, CHECKED_SIZE, runtime.hosts)
    options = FitOptions(iterations=1, steps_per_iteration=2)
    with tempfile.TemporaryDirectory() as folder:
        fit(stage, runtime, train=batches, validate=lambda _model: {stage.monitor: 0.0}, folder=folder, card=card, options=options)


def programs_of(cores: int, folder: Path) -> list[str]:
    """The compiled programs' texts of a run on that many virtual cores, one core's program each."""
    flags = f"--xla_backend_optimization_level=0 --xla_dump_to={folder} --xla_dump_hlo_as_text"
    environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    environment |= {"PJRT_DEVICE": "CPU", "CPU_NUM_DEVICES": str(cores), "XLA_FLAGS": flags, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, str(Path(__file__).resolve().parents[1] / "bench.py"), "scaling", "--compile-one"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIME_LIMIT_S)
    if done.returncode:
        raise SystemExit(f"the process with {cores} virtual cores ended with code {done.returncode}:\n{done.stderr[-2000:]}")
    return [path.read_text() for path in sorted(folder.glob("*cpu_after_optimizations.txt"))]


def flops(text: str) -> int:
    """FLOPs of a program's convolutions, 2 x output elements x kernel elements x input channels each (zeros of padding and
    of dilation count), and of the matrix products that XLA makes of 1x1 convolutions."""
    shapes = {name: _dims(dims) for name, dims in re.findall(r"^\s*(?:ROOT )?%([\w.-]+) = \w+\[([\d,]*)\]", text, re.MULTILINE)}
    total = 0
    for result, kernel, layout in re.findall(r"= \w+\[([\d,]*)\]\S* convolution\(%[\w.-]+, %([\w.-]+)\).*dim_labels=\w+_(\w+)->", text):
        total += 2 * math.prod(_dims(result)) * math.prod(shapes[kernel]) // shapes[kernel][layout.index("o")]
    for result, left, summed in re.findall(r"= \w+\[([\d,]*)\]\S* dot\(%([\w.-]+), .*lhs_contracting_dims={([\d,]*)}", text):
        total += 2 * math.prod(_dims(result)) * math.prod(shapes[left][i] for i in _dims(summed))
    return total


def exchanged(text: str, operation: str) -> tuple[int, int]:
    """How many exchanges of a kind ("all-reduce", "all-gather") a program has, and the bytes of their results."""
    results = re.findall(rf"= (.*?) {operation}\(", text)
    arrays = [array for result in results for array in re.findall(r"(\w+)\[([\d,]*)\]", result)]
    return len(results), sum(BYTES[kind] * math.prod(_dims(dims)) for kind, dims in arrays)


def check(cores: Iterable[int]) -> None:
    """Print what each core does in a training step on 1 and more virtual cores, the batch of a core being the same."""
    stage = make_stage(**CHECKED)
    parameters = sum(p.numel() for p in stage.build().parameters())
    print(
        f"What a core does in one step of a small U-Net (width {CHECKED['width']}, depth {CHECKED['depth']}, {CHECKED_ROWS} images of "
        f"{CHECKED_SIZE[0]}x{CHECKED_SIZE[1]} a core), from the compiled program; its gradients are {4 * parameters} bytes"
    )
    print(f"{'cores':>7}{'MFLOP per core':>16}{'to the first':>14}{'all-reduces':>13}{'their bytes':>13}{'all-gathers':>13}")
    found: list[int] = []
    for number in tqdm(list(cores), desc="compiling", unit="run", leave=False):
        with tempfile.TemporaryDirectory() as folder:
            # The training step is what has most to do, in each of its two forms.
            text = max(programs_of(number, Path(folder)), key=flops)
        found.append(flops(text))
        (reduces, reduced), (gathers, _) = exchanged(text, "all-reduce"), exchanged(text, "all-gather")
        tqdm.write(f"{number:>7}{found[-1] / 1e6:>16.3f}{found[-1] / found[0]:>14.3f}{reduces:>13}{reduced:>13}{gathers:>13}")
    same = max(found) == min(found)
    print("each core's share is the same on any number of cores" if same else "NOT the same: cores repeat each other's work")


def _dims(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if number]


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.py scaling", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", choices=STAGES, default="unet")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--depth", type=int, default=5)
    parser.add_argument("--shuffle", type=int, default=2, help="squares of that many pixels become channels first")
    parser.add_argument("--norm", choices=("group", "batch"), default="batch")
    parser.add_argument("--batch", type=int, default=8, help="images of one core in a step")
    parser.add_argument("--size", type=int, nargs=2, default=(256, 160), metavar=("ROWS", "COLUMNS"))
    parser.add_argument("--step-ms", type=float, help="measured on one core; by default a plain loop is measured on this machine")
    parser.add_argument("--steps", type=int, default=5, help="steps of that measurement")
    parser.add_argument("--chip", choices=tuple(CHIPS), default="v5e")
    parser.add_argument("--ports", type=int, choices=range(1, PORTS + 1), default=1, help="of a chip's 4, that send at a time (default 1)")
    parser.add_argument("--hop-us", type=float, default=1.0, help="latency from chip to chip (default 1)")
    parser.add_argument("--slices", type=int, default=1, help="slices that the cores are divided over (default 1)")
    parser.add_argument("--dcn-gbit", type=float, default=200.0, help="Gbit/s per host between slices (default 200)")
    parser.add_argument("--dcn-us", type=float, default=50.0, help="latency from slice to slice (default 50)")
    parser.add_argument("--check", type=int, nargs="*", default=[1, 2, 4], metavar="CORES", help="virtual cores to compile for (1 2 4)")
    parser.add_argument("--compile-one", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    """Predict, check, print."""
    flags = parse(arguments)
    if flags.compile_one:
        compile_one()
        return
    chip, size = CHIPS[flags.chip], tuple(flags.size)
    stage = make_stage(flags.stage, flags.width, flags.depth, flags.norm, flags.shuffle)
    gradient_bytes, waits, work = count_work(stage, flags.batch, size)
    network = Network(
        link_bytes_s=chip["ici_gb_s"] * 1e9 / 2 / PORTS * flags.ports,
        hop_s=1e-6 * flags.hop_us,
        slices=flags.slices,
        dcn_bytes_s=flags.dcn_gbit * 1e9 / 8,
        dcn_hop_s=1e-6 * flags.dcn_us,
    )
    print(
        f"{flags.stage}, {flags.batch} images of {size[0]}x{size[1]} a core: {gradient_bytes / 1e6:.1f} MB of gradients, {waits} sums to "
        f"wait for, {work / 1e9:.1f} GFLOP a step; {flags.chip}, {flags.ports} port(s), {flags.slices} slice(s)"
    )
    step_s = 1e-3 * flags.step_ms if flags.step_ms else measured_step_s(stage, flags.batch, size, flags.steps)
    print(f"Compute {'as given' if flags.step_ms else 'of a plain loop on this machine; the slower it is, the less the links matter'}:")
    print("\n".join(table(step_s, gradient_bytes, waits, network)))
    print(f"Compute at the chip's peak of {chip['tflop_s']} TFLOP/s, below which no step can fall: efficiency is at least")
    print("\n".join(table(work / (chip["tflop_s"] * 1e12), gradient_bytes, waits, network)), flush=True)
    if flags.check and importlib.util.find_spec("torch_xla") is None:
        print("Not checked what each core does: torch_xla is not installed")
    elif flags.check:
        check(flags.check)
