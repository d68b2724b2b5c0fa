"""Shards of a bucket fetched before the step that needs them."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections import deque

import numpy as np

from mammolibs.errors import BadConfig, MammolibsError
from mammolibs.records import Batch
from mammolibs.shards.order import WINDOW_SHARDS
from mammolibs.storage.cached import LIMIT_VARIABLE
from mammolibs.stream.maker import BatchMaker
from mammolibs.stream.packed import PackedBatch

STEPS_AHEAD = 256


class ShardsAhead:
    """A maker of batches over a cached shard set that has a thread fetch the shards of coming steps, soonest first.

    As many are fetched as the cache holds beside those in use, so that nothing is fetched twice in a pass; of several
    processes on this machine each takes its share of that room. What goes wrong in the thread is left to the step that
    needs the shard, which meets it again and tells.
    """

    def __init__(self, maker: BatchMaker):
        self.maker, self.store = maker, maker.store
        self._room = maker.store.limit_bytes // _sharers(maker)
        self._sizes = [shard.size for shard in maker.index.shards]
        self._last_step: dict[int, int] = {}
        self._wanted: deque[int] = deque()
        self._step = self._seen_until = 0
        self._thread: threading.Thread | None = None

    def __call__(self, step: int) -> Batch | PackedBatch:
        """The batch of a step. Raises BadFile where a sample cannot be read."""
        self._look_ahead(step)
        if self._wanted and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(target=_fetch, args=(weakref.ref(self),), daemon=True, name="shards ahead")
            self._thread.start()
        return self.maker(step)

    def fetch_next(self) -> bool:
        """Fetch the shard that is needed first and not here; False where there is none."""
        if not self._wanted:
            return False
        shard, in_use = self._wanted.popleft(), list(self._last_step)
        names = [self.maker.index.shards[one].name for one in (shard, *in_use)]
        if shard in in_use:
            with contextlib.suppress(MammolibsError):
                self.store.prefetch(names[0], keep=names[1:])
        return True

    def _look_ahead(self, step: int) -> None:
        """Note the shards of this step and of those after it, in the order of their use, as far as there is room."""
        if step < self._step:
            self._last_step, self._seen_until = {}, step
        self._step, self._seen_until = step, max(step, self._seen_until)
        self._last_step = {shard: last for shard, last in self._last_step.items() if last >= step}
        room = self._room - max(self._sizes) - sum(self._sizes[shard] for shard in self._last_step)
        while self._seen_until < step + STEPS_AHEAD:
            shards = self._shards_of(self._seen_until)
            new = [shard for shard in shards if shard not in self._last_step]
            room -= sum(self._sizes[shard] for shard in new)
            if room < 0:
                break
            self._wanted.extend(new)
            self._last_step |= dict.fromkeys(shards, self._seen_until)
            self._seen_until += 1

    def _shards_of(self, step: int) -> list[int]:
        rows = self.maker.rows_of(step)
        return list(dict.fromkeys(self.maker.index.numbers["shard"][np.where(rows >= 0, rows, ~rows)].tolist()))


def check_room(maker: BatchMaker) -> None:
    """Raises BadConfig where the cache cannot hold the shards that are open at a time, in all processes of this machine together."""
    # Two windows of each lane: one ends while the next begins.
    own = [lane for lane in range(maker.index.lanes) if maker.order is None or lane % maker.hosts == maker.host]
    at_a_time = 2 * (1 if maker.order is None else WINDOW_SHARDS)
    sizes = {lane: sorted((shard.size for shard in maker.index.shards if shard.lane == lane), reverse=True) for lane in own}
    sharers, limit = _sharers(maker), maker.store.limit_bytes
    needed = sharers * sum(sum(lane[:at_a_time]) for lane in sizes.values())
    if needed > limit:
        where = f" in the {sharers} processes of this machine" if sharers > 1 else ""
        raise BadConfig(
            f"{maker.store.location}: {needed / 1e9:.3g} GB of its shards are open at a time{where}, the cache may hold {limit / 1e9:.3g}; "
            f"set {LIMIT_VARIABLE} to {np.ceil(needed / 1e7) / 100:g} or more, or share the lanes among more hosts"
        )


def _sharers(maker: BatchMaker) -> int:
    """Processes of this machine, as torchrun starts them, that read other shards each; in evaluation all read the same."""
    return 1 if maker.order is None else min(maker.hosts, int(os.environ.get("LOCAL_WORLD_SIZE", 1)))


def _fetch(reader: weakref.ref) -> None:
    """Fetch for as long as somebody reads."""
    while (shards := reader()) is not None and shards.fetch_next():
        del shards
