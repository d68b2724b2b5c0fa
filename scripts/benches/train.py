"""What our loop costs: images per second and milliseconds per step of a stage, beside a plain eager float32 loop.

    python scripts/bench.py train                                     # the U-Net of the cpu preset, on random batches
    python scripts/bench.py train --stage all
    python scripts/bench.py train --data runs/default/data/shards/train --workers 1      # batches from shards, augmented

Both train the same network from the same weights on the same batches, in turns, in one
process. Ours is `engine.fit` with its guards, log, schedule and clipping, in the precision
and layout that the runtime chooses; the plain one is the forward pass, backward pass and
AdamW step that one would write first, on a batch that lies ready.

FLOP are counted once, in the plain step (convolutions and matrix products, forward and
backward, by torch's counter). The device's matrix rate is that of a product of two square
matrices in the same arithmetic. Warm-up is what the first round took beyond a later one:
allocation, and under XLA compilation.
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
from dataclasses import dataclass
from typing import Any

import torch

from mammolibs.augment import Augment
from mammolibs.engine import FitOptions, fit, read_history
from mammolibs.records import Batch, RunCard
from mammolibs.runtime import Runtime, get_runtime
from mammolibs.runtime.single import SingleRuntime
from mammolibs.stages import AutoencoderStage, EncoderStage, PatchStage, UNetStage
from mammolibs.stream import Stream

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

    def count_flop(self) -> int:
        """FLOP of one step: convolutions and matrix products."""
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counter:
            self.step()
        return counter.get_total_flops()


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Seconds per step of ours and of the plain loop, one figure a round; share of our time spent waiting for input;
    seconds of the first round beyond a later one; FLOP of one step."""

    ours: list[float]
    plain: list[float]
    waiting: float
    warm_up: float
    flop: int


def measure(stage: Any, runtime: Runtime, batches: Any, steps: int, rounds: int, random: RandomBatches) -> Measured:
    """Ours on `batches`, the plain loop on the `random` one, in turns."""
    plain, plain_seconds = PlainLoop(stage, random), []

    def plain_round(_model: Any) -> dict[str, float]:
        began = time.perf_counter()
        for _ in range(steps):
            plain.step()
        plain_seconds.append((time.perf_counter() - began) / steps)
        return {stage.monitor: 0.0}

    card = RunCard(
        stage=stage.name, iteration=0, steps=0, architecture={}, contract={}, contract_hash="", data_hash="", split_hash="", seed=0
    )
    options = FitOptions(
        iterations=rounds + 1, steps_per_iteration=steps, learning_rate=1e-4, log_every=10**6, save_seconds=10**6, keep_every=10**6
    )
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        fit(stage, runtime, train=batches, validate=plain_round, folder=folder, card=card, options=options)
        rows = read_history(folder)
    ours = [row["seconds"] / steps for row in rows[1:]]
    return Measured(
        ours=ours,
        plain=plain_seconds[1:],
        waiting=statistics.median(row["wait_share"] for row in rows[1:]),
        warm_up=max(0.0, rows[0]["seconds"] - steps * statistics.median(ours)),
        flop=plain.count_flop(),
    )


def matrix_rate(device: torch.device, precision: str, side: int = 1024) -> float:
    """FLOP per second of the product of two square matrices on the device, the best of ten."""
    left, right = (torch.rand(side, side, device=device, dtype=getattr(torch, precision)) for _ in range(2))
    seconds = []
    for _ in range(10):
        began = time.perf_counter()
        float((left @ right)[0, 0])
        seconds.append(time.perf_counter() - began)
    return 2 * side**3 / min(seconds)


def make_batches(flags: argparse.Namespace, stage: Any, runtime: Runtime) -> tuple[Any, RandomBatches]:
    """What ours trains on, and what the plain loop does: the same random batch, or shards and a random batch of their size."""
    if not flags.data:
        random = RandomBatches(flags.batch, tuple(flags.size), runtime.hosts)
        return random, random
    stream = Stream(
        flags.data,
        global_batch=flags.batch,
        augment=Augment(),
        views=stage.views,
        workers=flags.workers,
        hosts=runtime.hosts,
        host=runtime.host,
    )
    return stream, RandomBatches(flags.batch, stream.shape, runtime.hosts)


def report(name: str, found: Measured, flags: argparse.Namespace, runtime: Runtime, stage: Any, size: tuple[int, int], rate: float) -> None:
    """Print one stage's figures."""
    parameters = sum(p.numel() for p in stage.build().parameters())
    print(
        f"{name}: {parameters / 1e6:.1f} M parameters, batch {flags.batch} of {size[0]}x{size[1]}, {torch.get_num_threads()} threads, {runtime.kind}"
    )
    for loop, seconds in (("ours", found.ours), ("plain", found.plain)):
        middle, least = statistics.median(seconds), min(seconds)
        speed, share = found.flop / middle, found.flop / middle / rate
        print(
            f"  {loop:5}  {1e3 * middle:8.1f} ms per step (fastest round {1e3 * least:.1f})  {flags.batch / middle:8.2f} images/s"
            f"  {speed / 1e9:8.1f} GFLOP/s, {share:.0%} of the matrix rate, {rate / 1e9:.0f}"
        )
    ratios = [b / a for a, b in zip(found.ours, found.plain, strict=True)]
    spread = f"rounds {min(ratios):.2f} to {max(ratios):.2f}"
    print(f"  plain / ours: {statistics.median(ratios):.2f} ({spread}); ours waited for input {found.waiting:.1%} of the time")
    print(f"  warm-up {found.warm_up:.1f} s, programs compiled in the process so far: {runtime.compile_count()}", flush=True)


def main(arguments: list[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench.py train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stage", choices=(*STAGES, "all"), default="unet")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--depth", type=int, default=5)
    parser.add_argument("--shuffle", type=int, default=2, help="squares of that many pixels become channels first")
    parser.add_argument("--norm", choices=("group", "batch"), default="batch")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, nargs=2, default=(256, 160), metavar=("ROWS", "COLUMNS"))
    parser.add_argument("--data", metavar="FOLDER", help="shards to train on, with augmentation, instead of random batches")
    parser.add_argument("--workers", type=int, default=1, help="with --data: processes that read and augment")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--steps", type=int, default=3, help="steps of each loop before it is the other's turn")
    parser.add_argument("--rounds", type=int, default=5)
    flags = parser.parse_args(arguments)
    runtime = get_runtime(flags.precision)
    rate = 0.0
    for name in STAGES if flags.stage == "all" else (flags.stage,):
        stage = make_stage(name, flags.width, flags.depth, flags.norm, flags.shuffle)
        batches, random = make_batches(flags, stage, runtime)
        found = measure(stage, runtime, batches, flags.steps, flags.rounds, random)
        # Once per stage: a machine that others use shows its best only now and then.
        rate = max(rate, matrix_rate(torch.device("cuda" if torch.cuda.is_available() else "cpu"), runtime.precision))
        report(name, found, flags, runtime, stage, tuple(random.batch.images.shape[2:]), rate)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    on_gpu = f", of the GPU {torch.cuda.max_memory_allocated() / 1e9:.1f} GB" if torch.cuda.is_available() else ""
    print(f"peak memory of the process: {peak:.1f} GB{on_gpu}")
