"""The stream: what a stage iterates over."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from mammolibs.augment import Augment
from mammolibs.errors import BadConfig, BadData
from mammolibs.records import Batch
from mammolibs.shards import IndexEntry, Order, ShardIndex, check_hosts, open_index, open_shards
from mammolibs.storage import CachedStore, Store
from mammolibs.stream.ahead import ShardsAhead, check_room
from mammolibs.stream.loading import load_in_thread, load_in_workers
from mammolibs.stream.maker import MODES, VIEWS, BatchMaker, SampleCache
from mammolibs.stream.packed import PackedBatch

Repeats = Mapping[str, int] | Callable[[IndexEntry], int] | None
CACHE_BYTES = 512_000_000
REPEAT_KEYS = ("lesion", "malignant", "source:<name>")


class Stream:
    """Batches of one shard set, from any step on.

    mode "train": the endless order of `shards.order`, shuffled by `seed`, rows repeated by
    `repeats` (a mapping with the keys lesion, malignant, source:<name>, whose numbers
    multiply; or a function of the index entry). mode "evaluate": every row once, in index
    order, the last batch padded with weight 0. views "one"; "two": two augmented views in
    `images` and `second`, with `masks` and `breast` None; "masked": `hidden` covers the share
    `hidden_share` of the breast in blocks of `hidden_block` pixels. Augmentation depends on
    (seed, step, image id) alone; in evaluation on (seed, image id).

    hosts, host: this process takes 1/hosts of each global batch. workers: processes that
    make batches, 0 for a thread. limit: in training only so many rows, evenly spread over the index; in evaluation the first. cache_bytes: decoded
    samples kept in memory, over all workers. Padding carries a real image, weight 0, row -1.

    The shards of a bucket are read through this machine's cache ($MAMMOLIBS_CACHE, at most
    $MAMMOLIBS_CACHE_GB, 32 by default), each fetched whole before its turn comes, and once in a
    pass. While it is fetched a process holds it in memory too. In evaluation each host reads all of them.

    Raises BadFile for a missing or damaged index; BadConfig for options that do not go
    together or a cache that is too small; BadData where the samples differ in size or nothing is left to train on.
    """

    def __init__(
        self,
        location: str | os.PathLike | Store,
        *,
        global_batch: int,
        seed: int = 0,
        repeats: Repeats = None,
        augment: Augment | None = None,
        views: str = "one",
        workers: int = 0,
        hosts: int = 1,
        host: int = 0,
        mode: str = "train",
        hidden_share: float = 0.5,
        hidden_block: int = 16,
        limit: int | None = None,
        cache_bytes: int = CACHE_BYTES,
    ):
        _check_options(views, mode, augment, workers, limit, hidden_share, hidden_block)
        store, self.index = open_shards(location) if isinstance(location, (str, os.PathLike)) else (location, open_index(location))
        check_hosts(hosts, host, global_batch=global_batch, lanes=self.index.lanes if mode == "train" else None)
        self.shape = _common_shape(store, self.index)
        self.rows = len(self.index) if limit is None else min(limit, len(self.index))
        self.mode, self.seed, self.global_batch, self.workers = mode, seed, global_batch, workers
        self._limit = limit
        self._maker = BatchMaker(
            store=store,
            index=self.index,
            order=self._order(repeats) if mode == "train" else None,
            rows=self.rows,
            global_batch=global_batch,
            hosts=hosts,
            host=host,
            seed=seed,
            augment=augment,
            views=views,
            hidden_share=hidden_share,
            hidden_block=hidden_block,
            cache=SampleCache(limit_bytes=cache_bytes),
        )
        if isinstance(store, CachedStore):
            check_room(self._maker)

    @property
    def steps_per_pass(self) -> int:
        """Steps in which every row has come at least once; in training the last one may begin the next pass."""
        places = self.rows if self._maker.order is None else self._maker.order.pass_places
        return math.ceil(places / self.global_batch)

    @property
    def contract_hash(self) -> str:
        return self.index.contract_hash

    @property
    def data_hash(self) -> str:
        """sha256 of what this stream can show: the shard set's own where each row comes once, else with how often each does."""
        counts = np.arange(len(self.index)) < self.rows if self._maker.order is None else self._maker.order.repeats
        if (counts == 1).all():
            return self.index.data_hash
        return hashlib.sha256(self.index.data_hash.encode() + counts.astype("<i8").tobytes()).hexdigest()

    def batches(self, start_step: int = 0, stop_step: int | None = None) -> Iterator[Batch]:
        """The batches of start_step, start_step + 1, ... before stop_step.

        Without stop_step training goes on for ever and evaluation ends after its pass. The
        batches of a step are the same wherever one starts and for any number of workers.

        Raises BadFile at the step whose sample cannot be read.
        """
        last = self.steps_per_pass if self.mode == "evaluate" else 2**62
        steps = range(start_step, last if stop_step is None else min(stop_step, last))
        if not self.workers:
            return load_in_thread(self._reading(self._maker), steps)
        share = SampleCache(limit_bytes=self._maker.cache.limit_bytes // self.workers)
        packed = self._reading(replace(self._maker, cache=share, packed=True))
        return load_in_workers(packed, steps, self.workers, receive=PackedBatch.unpack)

    def make(self, step: int) -> Batch:
        """The batch of one step, made here and now. Raises BadFile where a sample cannot be read."""
        return self._maker(step)

    @staticmethod
    def _reading(maker: BatchMaker) -> Callable[[int], Batch | PackedBatch]:
        return ShardsAhead(maker) if isinstance(maker.store, CachedStore) else maker

    def _order(self, repeats: Repeats) -> Order:
        counts = _count_repeats(self.index, repeats)
        # Rows are dealt by kind, lesions first: a limit takes every k-th, so that it leaves no kind out.
        chosen = np.zeros(len(self.index), bool)
        chosen[np.linspace(0, len(self.index) - 1, self.rows).round().astype(int)] = True
        counts[~chosen] = 0
        if not counts.any():
            raise BadData("repeats leave out every row; nothing is left to train on")
        return Order.of_index(self.index, counts, seed=self.seed)


def _count_repeats(index: ShardIndex, repeats: Repeats) -> np.ndarray:
    """int64 array: how often each row of the index comes in a pass."""
    counts = np.ones(len(index), np.int64)
    if repeats is None:
        return counts
    if callable(repeats):
        return np.array([repeats(index.entry(row)) for row in range(len(index))], np.int64)
    sources = np.array(index.text["source"])
    for key, times in repeats.items():
        if int(times) != times or times < 0:
            raise BadConfig(f"repeats of {key!r} is {times}, allowed are whole numbers of 0 and above")
        if key == "lesion":
            chosen = index.numbers["has_lesion"] == 1
        elif key == "malignant":
            chosen = index.numbers["label"] == 1
        elif key.startswith("source:"):
            chosen = sources == key.removeprefix("source:")
        else:
            raise BadConfig(f"repeats names {key!r}, allowed are {', '.join(REPEAT_KEYS)}")
        counts[chosen] *= int(times)
    return counts


def _common_shape(store: Store, index: ShardIndex) -> tuple[int, int]:
    shapes = np.unique(np.stack([index.numbers["height"], index.numbers["width"]]), axis=1)
    if shapes.shape[1] != 1:
        raise BadData(f"{store.location}: samples have {shapes.shape[1]} different sizes; make the shards with one contract")
    return int(shapes[0, 0]), int(shapes[1, 0])


def _check_options(views, mode, augment, workers, limit, hidden_share, hidden_block) -> None:
    for name, value, allowed in (("views", views, VIEWS), ("mode", mode, MODES)):
        if value not in allowed:
            raise BadConfig(f"{name} is {value!r}, allowed are {', '.join(allowed)}")
    if views == "two" and augment is None:
        raise BadConfig("views 'two' need an augment configuration: without one both views would be the same")
    if workers < 0:
        raise BadConfig(f"workers is {workers}, allowed are 0 and above")
    if limit is not None and limit < 1:
        raise BadConfig(f"limit is {limit}, allowed are 1 and above")
    if not 0 < hidden_share < 1 or hidden_block < 1:
        raise BadConfig(f"hidden_share is {hidden_share}, hidden_block {hidden_block}; allowed are shares in (0, 1), blocks of 1 and above")
