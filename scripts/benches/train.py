"""What our loop costs: images per second and milliseconds per step of a stage, beside a plain eager float32 loop.

Both train the same network from the same weights on the same batches, in turns, in one
process. Ours is `engine.fit` with its guards, log, schedule and clipping, in the precision
and layout that the runtime chooses; the plain one is the forward pass, backward pass and
AdamW step that one would write first.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import torch

from mammolibs.engine import FitOptions, fit, read_history
from mammolibs.records import Batch, RunCard
from mammolibs.runtime import Runtime, get_runtime
from mammolibs.runtime.single import SingleRuntime
from mammolibs.stages import AutoencoderStage, EncoderStage, PatchStage, UNetStage

STAGES = ("unet", "encoder", "autoencoder", "resnet")


class RandomBatches:
    """The same random batch at every step: input costs nothing, so that the loop is what is measured."""

    steps_per_pass = 1

    def __init__(self, batch: int, size: tuple[int, int], hosts: int = 1):
        self.global_batch = batch
        shape, rows = (batch // hosts, 1, *size), batch // hosts
        generator = torch.Generator().manual_seed(0)
        images, second = (torch.rand(shape, generator=generator) for _ in range(2))
        ones, coins = torch.ones(rows), (torch.rand(rows, generator=generator) < 0.5).float()
        spots = (torch.nn.functional.avg_pool2d(images, 9, 1, 4) > 0.55).float()
        self.batch = Batch(
            images=images, second=second, hidden=(second < 0.5).float(), breast=torch.ones(shape), masks=spots, mask_known=ones,
            labels=coins, weights=ones, ids=tuple(map(str, range(rows))), rows=tuple(range(rows)),
        )  # fmt: skip

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        return (self.batch for _ in range(start, stop))


def make_stage(name: str, width: int, depth: int, norm: str, shuffle: int) -> Any:
    if name == "resnet":
        return PatchStage(name="resnet", norm=norm)
    kinds = {"unet": UNetStage, "encoder": EncoderStage, "autoencoder": AutoencoderStage}
    return kinds[name](width=width, depth=depth, norm=norm, shuffle=shuffle)


class PlainLoop:
    """The loop that one would write first, on the same kind of device."""

    def __init__(self, stage: Any, batches: RandomBatches):
        self.runtime = SingleRuntime("float32", device="cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(0)
        self.stage, self.model = stage, stage.build().to(self.runtime.device)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4)
        self.batch = next(iter(self.runtime.feed([batches.batch])))

    @torch.enable_grad()
    def step(self) -> float:
        loss, _ = self.stage.loss(self.model, self.batch, self.runtime)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()


def measure(stage: Any, runtime: Runtime, batches: RandomBatches, steps: int, rounds: int) -> tuple[list[float], list[float], float]:
    """Seconds per step of ours and of the plain loop, one figure a round, and our share of time waiting for input."""
    plain, plain_seconds = PlainLoop(stage, batches), []

    def plain_round(_model: Any) -> dict[str, float]:
        began = time.perf_counter()
        for _ in range(steps):
            plain.step()
        plain_seconds.append((time.perf_counter() - began) / steps)
        return {stage.monitor: 0.0}

    card = RunCard(
        stage=stage.name, iteration=0, steps=0, architecture={}, contract={}, contract_hash="", data_hash="", split_hash="", seed=0
    )
    options = FitOptions(iterations=rounds + 1, steps_per_iteration=steps, learning_rate=1e-4, log_every=10**6, save_seconds=10**6, keep_every=10**6)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        fit(stage, runtime, train=batches, validate=plain_round, folder=folder, card=card, options=options)
        rows = read_history(folder)
    # The first round warms both up: allocation, and compilation under XLA.
    return [row["seconds"] / steps for row in rows[1:]], plain_seconds[1:], statistics.median(row["wait_share"] for row in rows[1:])


def main(arguments: list[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench.py train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", choices=STAGES, default="unet")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--depth", type=int, default=5)
    parser.add_argument("--shuffle", type=int, default=2, help="squares of that many pixels become channels first")
    parser.add_argument("--norm", choices=("group", "batch"), default="batch")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, nargs=2, default=(256, 160), metavar=("ROWS", "COLUMNS"))
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--steps", type=int, default=3, help="steps of each loop before it is the other's turn")
    parser.add_argument("--rounds", type=int, default=5)
    flags = parser.parse_args(arguments)
    runtime = get_runtime(flags.precision)
    stage = make_stage(flags.stage, flags.width, flags.depth, flags.norm, flags.shuffle)
    batches = RandomBatches(flags.batch, tuple(flags.size), runtime.hosts)
    ours, plain, waiting = measure(stage, runtime, batches, flags.steps, flags.rounds)
    parameters = sum(p.numel() for p in stage.build().parameters())
    size, threads = "x".join(map(str, flags.size)), torch.get_num_threads()
    print(f"{flags.stage}: {parameters / 1e6:.1f} M parameters, batch {flags.batch} of {size}, {threads} threads")
    for name, seconds in (("ours", ours), ("plain", plain)):
        middle, least = statistics.median(seconds), min(seconds)
        print(f"  {name:5}  {1e3 * middle:8.1f} ms per step (fastest round {1e3 * least:.1f})  {flags.batch / middle:8.2f} images/s")
    ratios = [b / a for a, b in zip(ours, plain, strict=True)]
    spread = f"rounds {min(ratios):.2f} to {max(ratios):.2f}"
    print(f"  plain / ours: {statistics.median(ratios):.2f} ({spread}); ours waited for input {waiting:.1%} of the time")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"  peak memory of the process: {peak:.1f} GB; programs compiled: {runtime.compile_count()}")
