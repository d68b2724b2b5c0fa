"""Training samples from a bucket: our shards through the cache against one object for each image and each mask.

A server on loopback, in a process of its own, holds the same samples as shards (blosc2), as a PNG image and a PNG mask
each, and as a shard of one sample each (PNG). They are read in shuffled order and batches of the same tensors by the same
number of workers, and everybody's samples are compared before anything is timed:

    ours        the stream; "cold" begins with an empty cache, "warm" with a full one; nothing is kept in memory
    client      a torch data set and DataLoader; google-cloud-storage `download_as_bytes`, OpenCV
    gcsfs       the same through gcsfs `open().read()` and imageio
    own stream  our stream with one request a sample and PNG: the harder rival, for it has our batches

The readers take turns; rates count whole passes of ours and the first `--few` samples of the others, whose workers have
started before. With a delay each request is answered so much later, as by a bucket at the other end of a network.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from benches.data import BUCKET, Contract, ask, bucket, print_head, print_row, samples
from torch.utils.data import DataLoader, Dataset

from mammolibs.shards import write_shards
from mammolibs.storage import open_store
from mammolibs.stream import Stream

SHARDS, SINGLES, OBJECTS = (f"gs://{BUCKET}/{name}" for name in ("shards", "singles", "objects"))
LANES = 4
OURS = ("cold", "warm")
# (ours, rival) -> what has to be reached, without and with a delay.
TARGETS = {("cold", "client"): (5.0, None), ("warm", "client"): (8.0, None), ("cold", "gcsfs"): (5.0, 40.0), ("warm", "gcsfs"): (8.0, 40.0)}
RIVALS = {"client": "a GET per object, OpenCV", "gcsfs": "gcsfs open().read(), imageio", "own stream": "own stream, a GET per sample"}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench.py data_stream", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1000, help="in the shards (default 1000)")
    parser.add_argument("--few", type=int, default=128, help="samples that the slow readers read (default 128)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each reader (default 3)")
    parser.add_argument("--workers", type=int, default=0, help="processes that read; 0 for none beside the main one (default 0)")
    parser.add_argument("--batch", type=int, default=16, help="rows of a batch, a multiple of 4 (default 16)")
    parser.add_argument("--delays", default="0,20", help="milliseconds by which answers are late, one table each (default 0,20)")
    parser.add_argument("--quick", action="store_true", help="few small samples, one turn: shows that it runs, measures nothing")
    options = parser.parse_args(arguments)
    if options.quick:
        options.samples, options.few, options.rounds, options.batch, options.delays = 12, 4, 1, 4, "0"
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as cache, bucket() as server:
        os.environ |= {"MAMMOLIBS_CACHE": cache, "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}
        put_samples(options)
        readers = make_readers(Path(cache), options)
        compare_samples(readers)
        for delay_ms in map(float, options.delays.split(",")):
            ask(server, delay_ms / 1000)
            turns = [{name: timed(read, server) for name, read in readers.items()} for _ in range(options.rounds)]
            ask(server, 0.0)
            print_table(delay_ms, turns, options)


def put_samples(options: argparse.Namespace) -> None:
    """Write the three forms of the samples into the bucket."""
    side = 64 if options.quick else 512
    write_shards(open_store(SHARDS), samples(options.samples, side), contract=Contract(), lanes=LANES)
    # No two samples fit into one byte, so that each is an object of its own.
    write_shards(open_store(SINGLES), samples(options.few, side), contract=Contract(), lanes=LANES, shard_bytes=1, codec="png")
    objects = open_store(OBJECTS)
    for sample in samples(options.few, side):
        for kind, array in (("images", sample.image), ("masks", sample.mask * np.uint8(255))):
            objects.write(f"{kind}/{sample.image_id}.png", cv2.imencode(".png", array)[1].tobytes())


Reader = Callable[[], Iterator[tuple[tuple[str, ...], torch.Tensor, torch.Tensor]]]


def make_readers(cache: Path, options: argparse.Namespace) -> dict[str, Reader]:
    """name -> reader of one pass, which gives ids, images and masks of each batch."""
    # A store is read as it is, an address through the cache.
    readers = our_readers(cache, options)
    readers |= {"own stream": lambda: our_pass(open_store(SINGLES), options), "client": PerSample(ByClient(), options)}
    with contextlib.suppress(ImportError):
        import gcsfs  # noqa: F401

        readers["gcsfs"] = PerSample(ByGcsfs(), options)
    return readers


def our_readers(cache: Path, options: argparse.Namespace) -> dict[str, Reader]:
    """The stream over `SHARDS`, beginning with an empty cache and with whatever is in it."""

    def cold() -> Iterator:
        shutil.rmtree(cache / "objects", ignore_errors=True)
        return our_pass(SHARDS, options)

    return {"cold": cold, "warm": lambda: our_pass(SHARDS, options)}


def our_pass(location: Any, options: argparse.Namespace) -> Iterator:
    stream = Stream(location, global_batch=options.batch, workers=options.workers, cache_bytes=0)
    for batch in stream.batches(stop_step=stream.steps_per_pass):
        yield batch.ids, batch.images, batch.masks


class PerSample:
    """A torch data set of one object per image and mask, and its loader, whose workers live from pass to pass."""

    def __init__(self, fetch: Callable[[str], np.ndarray], options: argparse.Namespace):
        workers = {"persistent_workers": True, "multiprocessing_context": "forkserver"} if options.workers else {}
        generator = torch.Generator().manual_seed(0)
        self.loader = DataLoader(
            Objects(fetch, options.few), batch_size=options.batch, shuffle=True, num_workers=options.workers, generator=generator, **workers
        )

    def __call__(self) -> Iterator:
        for batch in self.loader:
            yield batch["id"], batch["image"], batch["mask"]


class Objects(Dataset):
    def __init__(self, fetch: Callable[[str], np.ndarray], count: int):
        self.fetch, self.count = fetch, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> dict[str, Any]:
        image, mask = self.fetch(f"objects/images/{number}.png"), self.fetch(f"objects/masks/{number}.png")
        return as_tensors(str(number), image, mask > 0)


def as_tensors(number: str, image: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
    """What our batches hold of a sample: image, mask and breast, each 1 H W float32."""
    image = torch.from_numpy(image.astype(np.float32) / np.float32(65535))[None]
    return {"id": number, "image": image, "mask": torch.from_numpy(mask.astype(np.float32))[None], "breast": (image > 0).float()}


class ByClient:
    bucket = None

    def __call__(self, name: str) -> np.ndarray:
        if self.bucket is None:
            from google.cloud import storage

            self.bucket = storage.Client.create_anonymous_client().bucket(BUCKET)
        return cv2.imdecode(np.frombuffer(self.bucket.blob(name).download_as_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)


class ByGcsfs:
    files = None

    def __call__(self, name: str) -> np.ndarray:
        import imageio.v2 as imageio

        if self.files is None:
            import gcsfs

            self.files = gcsfs.GCSFileSystem(token="anon", endpoint_url=os.environ["STORAGE_EMULATOR_HOST"])
        with self.files.open(f"{BUCKET}/{name}", "rb") as file:
            return np.asarray(imageio.imread(file.read()))


def compare_samples(readers: dict[str, Reader]) -> None:
    """Everybody gives the same images and masks by id, or the bench ends. It also starts the workers."""
    found = {name: {} for name in readers}
    for name, read in readers.items():
        for ids, images, masks in read():
            for one, image, mask in zip(ids, images, masks, strict=True):
                found[name][one] = (image.double().sum().item(), mask.sum().item())
        found[name].pop("", None)
        if any(found["cold"][one] != sums for one, sums in found[name].items()):
            sys.exit(f"{name}: gives other samples than our shards hold")


def timed(read: Reader, server: Connection) -> tuple[float, float]:
    """(samples a second, requests a sample) of one pass, the opening of the set included."""
    before, began = ask(server), time.perf_counter()
    count = sum(sum(map(bool, ids)) for ids, _, _ in read())
    return count / (time.perf_counter() - began), (ask(server) - before) / count


def print_table(delay_ms: float, turns: list[dict[str, tuple[float, float]]], options: argparse.Namespace) -> None:
    print_head(f"Stream: {options.samples} samples from a bucket, {options.workers} workers, each request {delay_ms:g} ms late")
    requests = {name: f"{statistics.median(turn[name][1] for turn in turns):.3g} requests each" for name in turns[0]}
    for rival, words in RIVALS.items():
        if rival not in turns[0]:
            print(f"{'stream':<8}{'':<22}{words}: not installed; `bench.py data` brings it", flush=True)
            continue
        for ours in OURS:
            ratio = statistics.median(turn[ours][0] / turn[rival][0] for turn in turns)
            rates = (statistics.median(turn[name][0] for turn in turns) for name in (ours, rival))
            print_row("stream", ours, words, *rates, ratio, TARGETS.get((ours, rival), (None, None))[delay_ms > 0])
    print("; ".join(f"{name}: {words}" for name, words in requests.items()), flush=True)
