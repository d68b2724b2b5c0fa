"""Our stream against mosaicml-streaming and webdataset: the same samples from the same server on loopback, the same tensors.

    blosc2     our payload, decoded by our codec: webdataset reads our very shards, over http; MDS has the members as bytes
    ndarray    MDS as its users write arrays: uncompressed, three times the bytes
    png        webdataset as its users write images, decoded by OpenCV

"cold" begins without any copy of the data (webdataset then reads from the connection), "warm" with all of it in the reader's
own cache folder. All shuffle: ours the whole set, webdataset shards and a buffer of 1000, MDS by its default. The first pass
of each is not timed; then they take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np
import torch
from benches.data import BUCKET, Contract, bucket, print_head, print_row, samples
from benches.data_stream import LANES, OURS, SHARDS, Reader, as_tensors, compare_samples, our_readers, timed
from torch.utils.data import DataLoader, default_collate

from mammolibs.shards import write_shards
from mammolibs.shards.codec import decode_image, decode_mask, encode_image, encode_mask
from mammolibs.storage import Store, open_store

SHARD_BYTES = 64_000_000
SHUFFLED = 1000
MDS_COLUMNS = {"blosc2": {"image": "bytes", "mask": "bytes"}, "ndarray": {"image": "ndarray", "mask": "ndarray"}}
TARGET = 1.0


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench.py data_rivals", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1000, help="in each set (default 1000)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each reader (default 3)")
    parser.add_argument("--workers", type=int, default=0, help="processes that read; 0 for none beside the main one (default 0)")
    parser.add_argument("--batch", type=int, default=16, help="rows of a batch, a multiple of 4 (default 16)")
    parser.add_argument("--quick", action="store_true", help="few small samples, one turn: shows that it runs, measures nothing")
    options = parser.parse_args(arguments)
    options.side = 512
    if options.quick:
        options.samples, options.rounds, options.batch, options.side = 12, 1, 4, 64
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder, bucket() as server:
        os.environ["MAMMOLIBS_CACHE"] = folder
        write_shards(open_store(SHARDS), samples(options.samples, options.side), contract=Contract(), lanes=LANES)
        readers = our_readers(Path(folder), options)
        for name, add in (("webdataset", add_webdataset), ("streaming", add_streaming)):
            try:
                readers |= add(Path(folder) / name, options)
            except ImportError as error:
                print(f"{name}: not installed ({error}); `bench.py data` brings it", flush=True)
        compare_samples(readers)
        turns = [{name: timed(read, server)[0] for name, read in readers.items()} for _ in range(options.rounds)]
    print_head(f"Rivals: {options.samples} samples of {options.side}x{options.side} from a bucket, {options.workers} workers")
    for name in readers:
        if name in OURS:
            continue
        ours = name.rpartition(" ")[2]
        rates = (statistics.median(turn[one] for turn in turns) for one in (ours, name))
        print_row("rivals", ours, name, *rates, statistics.median(turn[ours] / turn[name] for turn in turns), TARGET)


def add_webdataset(cache: Path, options: argparse.Namespace) -> dict[str, Reader]:
    """Readers of our shards and of a set that webdataset wrote."""
    import webdataset

    store = open_store(f"gs://{BUCKET}")
    cache.mkdir()
    with tempfile.TemporaryDirectory() as folder:
        with webdataset.ShardWriter(f"{folder}/%05d.tar", maxsize=SHARD_BYTES, verbose=0) as sink:
            for sample in samples(options.samples, options.side):
                arrays = {"image.png": sample.image, "mask.png": sample.mask * np.uint8(255)}
                members = {name: cv2.imencode(".png", array)[1].tobytes() for name, array in arrays.items()}
                sink.write({"__key__": sample.image_id, **members, "json": {"image_id": sample.image_id}})
        upload(folder, store, "png")

    def decode_blosc2(sample: dict) -> dict:
        shape = (options.side, options.side)
        image, mask = decode_image(sample["image.blosc2"], shape, "blosc2"), decode_mask(sample["mask.zst"], shape, "blosc2")
        return as_tensors(json.loads(sample["json"])["image_id"], image, mask)

    def decode_png(sample: dict) -> dict:
        image, mask = (cv2.imdecode(np.frombuffer(sample[f"{kind}.png"], np.uint8), cv2.IMREAD_UNCHANGED) for kind in ("image", "mask"))
        return as_tensors(json.loads(sample["json"])["image_id"], image, mask > 0)

    def one_pass(prefix: str, decode: Callable[[dict], dict], cache_dir: str | None) -> Iterator:
        address = os.environ["STORAGE_EMULATOR_HOST"] + f"/download/storage/v1/b/{BUCKET}/o/"
        urls = [f"{address}{quote(name, safe='')}?alt=media" for name in store.list(f"{prefix}/") if name.endswith(".tar")]
        read = webdataset.WebDataset(urls, shardshuffle=len(urls), cache_dir=cache_dir, empty_check=False, seed=0)
        read = read.shuffle(SHUFFLED).map(decode).batched(options.batch, collation_fn=default_collate)
        for batch in webdataset.WebLoader(read, batch_size=None, num_workers=options.workers):
            yield batch["id"], batch["image"], batch["mask"]

    readers = {}
    for name, prefix, decode in (("blosc2", "shards", decode_blosc2), ("png", "png", decode_png)):
        folder = cache / name
        folder.mkdir()
        arguments = (prefix, decode)
        readers |= {
            f"webdataset {name} cold": lambda arguments=arguments: one_pass(*arguments, None),
            f"webdataset {name} warm": lambda arguments=arguments, folder=folder: one_pass(*arguments, str(folder)),
        }
    return readers


def add_streaming(cache: Path, options: argparse.Namespace) -> dict[str, Reader]:
    """Readers of two sets that mosaicml-streaming wrote."""
    import streaming
    from streaming.base.util import clean_stale_shared_memory

    store = open_store(f"gs://{BUCKET}")
    for name, columns in MDS_COLUMNS.items():
        with tempfile.TemporaryDirectory() as folder:
            with streaming.MDSWriter(out=folder, columns={"id": "str", **columns}, size_limit=SHARD_BYTES) as sink:
                for sample in samples(options.samples, options.side):
                    arrays = {"image": sample.image, "mask": sample.mask}
                    if name == "blosc2":
                        arrays = {"image": encode_image(sample.image, name), "mask": encode_mask(sample.mask, name)}
                    sink.write({"id": sample.image_id, **arrays})
            upload(folder, store, f"mds-{name}")

    class Samples(streaming.StreamingDataset):
        def __getitem__(self, number: int) -> dict:
            sample = super().__getitem__(number)
            image, mask = sample["image"], sample["mask"]
            if isinstance(image, bytes):
                shape = (options.side, options.side)
                image, mask = decode_image(image, shape, "blosc2"), decode_mask(mask, shape, "blosc2")
            return as_tensors(sample["id"], image, mask)

    def one_pass(name: str, forget: bool) -> Iterator:
        local = cache / name
        if forget:
            shutil.rmtree(local, ignore_errors=True)
        log_in_as_nobody()
        clean_stale_shared_memory()
        read = Samples(remote=f"gs://{BUCKET}/mds-{name}", local=str(local), shuffle=True, batch_size=options.batch)
        for batch in DataLoader(read, batch_size=options.batch, num_workers=options.workers):
            yield batch["id"], batch["image"], batch["mask"]

    return {f"MDS {name} {when}": lambda name=name, when=when: one_pass(name, when == "cold") for name in MDS_COLUMNS for when in OURS}


def log_in_as_nobody() -> None:
    """MDS asks for Google's default credentials, also where a server on loopback wants none."""
    import google.auth
    from google.auth.credentials import AnonymousCredentials

    google.auth.default = lambda *_, **__: (AnonymousCredentials(), BUCKET)


def upload(folder: str, store: Store, prefix: str) -> None:
    for path in sorted(Path(folder).iterdir()):
        store.write(f"{prefix}/{path.name}", path.read_bytes())
