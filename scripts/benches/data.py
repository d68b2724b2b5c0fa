"""Training samples from a bucket: shards through the cache against one whole-object GET per sample.

A server on loopback, in a process of its own, holds the same samples twice: as shards (blosc2), and as one object per
sample with a PNG image and a PNG mask. Both are read for one pass by the same stream, in batches assembled alike, with
the same number of workers; nothing is kept in memory. "cold" begins with an empty cache, "warm" with a full one. The
readers take turns, and the table shows medians over the turns; "CPU ratio" compares the CPU time of this process, which a
busy machine hardly changes (without workers only: theirs is not counted). With a delay each request is answered that much
later, as by a bucket at the other end of a network.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from benches.decode import mammogram_like
from mammolibs.records import Sample
from mammolibs.shards import write_shards
from mammolibs.storage import open_store
from mammolibs.stream import Stream

ROOT = Path(__file__).resolve().parents[2]
SHARDS, OBJECTS = "gs://bench/shards", "gs://bench/objects"
SIDE = 512
LANES = 4
READERS = ("cold", "warm", "one GET each")


class Contract:
    """Stands in for the contract of `prepare`: these samples are drawn."""

    def hash(self) -> str:
        return "bench"

    def to_dict(self) -> dict:
        return {}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench.py data", description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1000, help="in each set (default 1000)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each reader (default 3)")
    parser.add_argument("--workers", type=int, default=0, help="processes that read; 0 for a thread (default 0)")
    parser.add_argument("--batch", type=int, default=16, help="rows of a batch, a multiple of 4 (default 16)")
    parser.add_argument("--delays", default="0,20", help="milliseconds by which answers are late, one table each (default 0,20)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["MAMMOLIBS_CACHE"] = cache
        server = start_server()
        write_shards(open_store(SHARDS), samples(options.samples), contract=Contract(), lanes=LANES)
        # No two samples fit into one byte, so that each is an object of its own.
        write_shards(open_store(OBJECTS), samples(options.samples), contract=Contract(), lanes=LANES, shard_bytes=1, codec="png")
        print(f"{options.samples} samples of {SIDE}x{SIDE} uint16 with masks, {options.workers} workers, {options.rounds} turns")
        print(f"{'delay ms':>8}  {'reader':<14}{'samples/s':>10}{'ratio':>8}{'CPU ratio':>11}{'requests per 1000 samples':>28}", flush=True)
        for delay_ms in options.delays.split(","):
            ask(server, float(delay_ms) / 1000)
            turns = [{name: read_pass(name, Path(cache), server, options) for name in READERS} for _ in range(options.rounds)]
            ask(server, 0.0)
            print_table(delay_ms, turns, options.samples)


def print_table(delay_ms: str, turns: list[dict[str, tuple[float, float, int]]], count: int) -> None:
    """turns: reader -> (seconds, CPU seconds, requests) of one pass."""
    for name in READERS:
        rate = statistics.median(count / turn[name][0] for turn in turns)
        ratio, cpu_ratio = (statistics.median(turn[READERS[-1]][kind] / turn[name][kind] for turn in turns) for kind in (0, 1))
        requests = max(turn[name][2] for turn in turns) * 1000 / count
        print(f"{delay_ms:>8}  {name:<14}{rate:>10.1f}{ratio:>8.1f}{cpu_ratio:>11.1f}{requests:>28.1f}", flush=True)


def read_pass(name: str, cache: Path, server: Connection, options: argparse.Namespace) -> tuple[float, float, int]:
    """(seconds, CPU seconds, requests) of one pass, the opening of the set included."""
    if name == "cold":
        shutil.rmtree(cache / "objects", ignore_errors=True)
    before, began, cpu_began = ask(server), time.perf_counter(), time.process_time()
    # A store is read as it is, an address through the cache.
    location = open_store(OBJECTS) if name == READERS[-1] else SHARDS
    stream = Stream(location, global_batch=options.batch, workers=options.workers, cache_bytes=0)
    rows = sum(float(batch.weights.sum()) for batch in stream.batches(stop_step=stream.steps_per_pass))
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
    if rows < options.samples:
        sys.exit(f"{name}: {rows:g} of {options.samples} samples came")
    return seconds, cpu_s, ask(server) - before


def samples(count: int) -> Iterator[Sample]:
    """Crops of one mammogram-like image, mostly inside the breast, about 8 bits to a pixel when packed; an ellipse is the lesion's mask."""
    whole = mammogram_like(4 * SIDE, 12) << 4
    rng, (y, x) = np.random.default_rng(0), np.mgrid[:SIDE, :SIDE]
    for number in range(count):
        top, left = rng.integers(SIDE // 2, whole.shape[0] - 3 * SIDE // 2), rng.integers(0, SIDE // 2)
        centre, radii = rng.integers(SIDE // 4, 3 * SIDE // 4, 2), rng.integers(10, 60, 2)
        mask = (((y - centre[0]) / radii[0]) ** 2 + ((x - centre[1]) / radii[1]) ** 2 < 1).astype(np.uint8)
        yield Sample(
            image=np.ascontiguousarray(whole[top : top + SIDE, left : left + SIDE]), mask=mask, breast=(0, 0, SIDE, SIDE), placement=None,
            image_id=str(number), patient_id=str(number), exam_id=str(number), source="bench", laterality="L", view="CC",
            pathology="benign", label=0, has_lesion=1, split="train",
        )  # fmt: skip


def start_server() -> Connection:
    """The bucket, in a process of its own, which ends with this one; its ear for delays."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    spawn.Process(target=serve, args=(theirs,), daemon=True).start()
    os.environ["STORAGE_EMULATOR_HOST"] = ours.recv()
    return ours


def ask(server: Connection, delay_s: float | None = None) -> int:
    """How many requests there were; from now on they are answered so much later, where that is given."""
    server.send(delay_s)
    return server.recv()


def serve(ear: Connection) -> None:
    sys.path.insert(0, str(ROOT))
    from tests.storage.gcs_server import GcsServer

    with GcsServer("bench") as server, contextlib.suppress(EOFError):
        ear.send(server.url)
        while True:
            delay_s = ear.recv()
            server.delay_s = server.delay_s if delay_s is None else delay_s
            ear.send(server.counts.total())
