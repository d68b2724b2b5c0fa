"""Samples as they are stored: our shards against a folder of PNG, one 16-bit image and one 8-bit mask each, read by OpenCV.

Both are read whole, in index order, from a warm disk by one process on one thread; CPU time, the median over turns. "bytes"
rows compare sizes: samples a MB instead of a second, ratio above 1 where ours takes fewer bytes. Index, tar headers and
facts count as ours. Two kinds of pixels: values of 12 bits as a detector gives them, and such values resized and spread over
16 bits as `prepare` does it, which leaves every codec less to pack.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import cv2
import numpy as np
from benches.data import SIDE, Contract, cpu_s, print_head, print_row, samples
from benches.decode import mammogram_like

from mammolibs.records import Sample
from mammolibs.shards import ShardIndex, read_sample, write_shards
from mammolibs.storage import Store, open_store

CODECS = ("blosc2", "jxl")
SPEED_TARGET = 6.0
# No more bytes, and a quarter less.
BYTES_TARGETS = {"blosc2": 1.0, "jxl": 1 / 0.75}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench.py data_stored", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=96, help="in each set (default 96)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each reader (default 5)")
    parser.add_argument("--quick", action="store_true", help="few small samples, one turn: shows that it runs, measures nothing")
    options = parser.parse_args(arguments)
    options.rounds = 1 if options.quick else options.rounds
    side, count = (64, 4) if options.quick else (SIDE, options.samples)
    cv2.setNumThreads(1)
    print_head(f"Stored form: {count} samples of {side}x{side} uint16 with masks, CPU time")
    for kind, whole in (("12 bit", mammogram_like(4 * side, 12)), ("prepared", prepared(side))):
        compare(kind, list(samples(count, side, whole)), options.rounds)


def prepared(side: int) -> np.ndarray:
    """uint16: a mammogram-like image reduced by 3 and spread over the whole scale, as `prepare` does it."""
    whole = mammogram_like(12 * side, 12)
    small = cv2.resize(whole.astype(np.float32), None, fx=1 / 3, fy=1 / 3, interpolation=cv2.INTER_AREA)
    return np.rint(np.clip(small / np.percentile(small[small > 0], 99.7), 0, 1) * 65535).astype(np.uint16)


def compare(kind: str, made: list[Sample], rounds: int) -> None:
    """Print the rows of one kind of pixels."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for number, sample in enumerate(made):
            for name, array in (("image", sample.image), ("mask", sample.mask * np.uint8(255))):
                cv2.imwrite(str(folder / f"{number}.{name}.png"), array)
        png_bytes = sum(path.stat().st_size for path in folder.iterdir())
        stores = {codec: open_store(folder / codec) for codec in CODECS}
        indexes = {codec: write_shards(store, made, contract=Contract(), lanes=1, codec=codec) for codec, store in stores.items()}
        readers = {"png": lambda: read_folder(folder, len(made))}
        readers |= {codec: lambda codec=codec: read_shards(stores[codec], indexes[codec]) for codec in CODECS}
        # The first turn warms up.
        turns = [{name: cpu_s(read) for name, read in readers.items()} for _ in range(rounds + 1)][1:]
        for codec in CODECS:
            ours_bytes = sum(path.stat().st_size for path in (folder / codec).iterdir())
            print_rows(codec, kind, turns, len(made), ours_bytes, png_bytes)


def print_rows(codec: str, kind: str, turns: list[dict[str, float]], count: int, ours_bytes: int, png_bytes: int) -> None:
    """The speed and the size of one codec. turns: reader -> CPU seconds of one pass."""
    ratio = statistics.median(turn["png"] / turn[codec] for turn in turns)
    rates = (count / statistics.median(turn[name] for turn in turns) for name in (codec, "png"))
    against = f"folder of PNG, {kind}"
    print_row("stored", codec, against, *rates, ratio, SPEED_TARGET if codec == "blosc2" else None)
    sizes = (1e6 * count / size for size in (ours_bytes, png_bytes))
    print_row("stored", f"{codec}, bytes", against, *sizes, png_bytes / ours_bytes, BYTES_TARGETS[codec])


def read_folder(folder: Path, count: int) -> None:
    for number in range(count):
        for kind in ("image", "mask"):
            cv2.imread(str(folder / f"{number}.{kind}.png"), cv2.IMREAD_UNCHANGED)


def read_shards(store: Store, index: ShardIndex) -> None:
    for row in range(len(index)):
        read_sample(store, index, row)
