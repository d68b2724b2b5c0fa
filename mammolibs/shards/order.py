"""The order of training: a pure function of (index, repeats, seed, step), integers only.

A run is one endless sequence of places: place r = step * global_batch + i. Place r belongs
to lane r mod L, and within that lane to slot r // L. Each lane goes through its own rows
pass after pass, every row as often as its repeats say; a pass has the same number of slots
in every lane, so lanes that are shorter are filled with padding of weight 0. Therefore

* in a pass of `pass_slots` * L places every row comes exactly `repeats` times;
* the step alone gives the position, and nothing is remembered between steps;
* a step's rows do not depend on the number of hosts: of H hosts, which must divide L, host
  h takes the places with r mod H == h, hence whole lanes, hence only its lanes' shards.

Within a lane a pass goes through windows of a few shards in random order. In a window every
occurrence gets a key in [0, 1) and the keys are sorted: the c-th of w occurrences of a row
draws its key from [c/w, (c+1)/w), so that repeats lie apart. Padding is spread in the same
way over the whole pass, so that no batch consists of it, and stands on rows of the window
that it falls into, so that no further shard is opened for it.
"""

from __future__ import annotations

import numpy as np

from mammolibs.errors import BadConfig, BadData
from mammolibs.shards.index import ShardIndex

WINDOW_SHARDS = 4
UNIT = 2.0**-53


class Order:
    """Which rows come at which step.

    repeats: whole number >= 0 per row of the index, 0 leaves a row out. Places that are
    padding hold ~row (negative) of some row of the same lane, which may stand in for an
    image where statistics must not meet an empty one; `rows` of them count for nothing.

    Raises BadData where nothing is left to train on; BadConfig for a negative seed.
    """

    def __init__(
        self, lane_of_row: np.ndarray, shard_of_row: np.ndarray, repeats: np.ndarray, *, seed: int, window_shards: int = WINDOW_SHARDS
    ):
        repeats = np.asarray(repeats, np.int64)
        if seed < 0:
            raise BadConfig(f"seed is {seed}, allowed are 0 and above")
        if repeats.min(initial=0) < 0 or not repeats.any():
            raise BadData("repeats must be whole numbers of 0 or more, and above 0 for some row")
        self.seed, self.window_shards, self.repeats = seed, window_shards, repeats
        self.lanes = int(lane_of_row.max()) + 1
        self._shard_of_row = np.asarray(shard_of_row)
        self._rows_of_lane = [np.flatnonzero(lane_of_row == lane) for lane in range(self.lanes)]
        self.pass_slots = max(int(repeats[rows].sum()) for rows in self._rows_of_lane)
        self._queues: dict[tuple[int, int], np.ndarray] = {}

    @classmethod
    def of_index(cls, index: ShardIndex, repeats: np.ndarray, *, seed: int) -> Order:
        """The order over a shard set."""
        return cls(index.lane_of_row, index.numbers["shard"], repeats, seed=seed)

    @property
    def pass_places(self) -> int:
        """Places of one pass, padding included."""
        return self.pass_slots * self.lanes

    def queue(self, lane: int, number: int) -> np.ndarray:
        """int64 array of `pass_slots` rows: what a lane goes through in pass `number`; ~row is padding."""
        if (lane, number) not in self._queues:
            while len(self._queues) >= 2 * self.lanes:
                self._queues.pop(next(iter(self._queues)))
            self._queues[lane, number] = self._make_queue(lane, number)
        return self._queues[lane, number]

    def places(self, places: np.ndarray) -> np.ndarray:
        """int64 array: the row at each of the given places of the run; ~row (negative) is padding."""
        places = np.asarray(places, np.int64)
        lanes, slots = places % self.lanes, places // self.lanes
        passes, slots = np.divmod(slots, self.pass_slots)
        rows = np.empty(len(places), np.int64)
        for lane, number in {*zip(lanes.tolist(), passes.tolist(), strict=True)}:
            here = (lanes == lane) & (passes == number)
            rows[here] = self.queue(lane, number)[slots[here]]
        return rows

    def step(self, step: int, global_batch: int, *, hosts: int = 1, host: int = 0) -> np.ndarray:
        """int64 array of global_batch / hosts rows: one host's share of a step, in the batch's order."""
        return self.places(step * global_batch + np.arange(host, global_batch, hosts))

    def _make_queue(self, lane: int, number: int) -> np.ndarray:
        rows = self._rows_of_lane[lane]
        draws = _Draws(self.seed, lane, number)
        shards = np.unique(self._shard_of_row[rows])
        window = np.empty(len(shards), np.int64)
        window[np.argsort(draws.uniform(len(shards)), kind="stable")] = np.arange(len(shards)) // self.window_shards
        window_of_row = window[np.searchsorted(shards, self._shard_of_row[rows])]
        windows = int(window.max()) + 1

        repeats = self.repeats[rows]
        first = np.repeat(np.cumsum(repeats) - repeats, repeats)
        share = np.repeat(repeats, repeats)
        turn = np.arange(len(first)) - first
        keys = np.repeat(window_of_row, repeats) + (turn + draws.uniform(len(first))) / share

        missing = self.pass_slots - len(first)
        shuffled = np.argsort(draws.uniform(len(rows)), kind="stable")
        padding_keys = windows * (np.arange(missing) + draws.uniform(missing)) / max(missing, 1)
        stand_in = np.empty(missing, np.int64)
        window_of_padding = np.minimum(padding_keys.astype(np.int64), windows - 1)
        for one in range(windows):
            here = np.flatnonzero(window_of_padding == one)
            open_rows = rows[shuffled[window_of_row[shuffled] == one]]
            stand_in[here] = open_rows[np.arange(len(here)) % len(open_rows)]
        queue = np.concatenate([np.repeat(rows, repeats), ~stand_in])
        return queue[np.argsort(np.concatenate([keys, padding_keys]), kind="stable")]


class _Draws:
    """Uniform numbers from raw 64-bit draws, which numpy keeps the same from version to version."""

    def __init__(self, seed: int, lane: int, number: int):
        self._bits = np.random.PCG64(np.random.SeedSequence([seed, lane, number]))

    def uniform(self, n: int) -> np.ndarray:
        return (self._bits.random_raw(n) >> np.uint64(11)) * UNIT if n else np.empty(0)


def check_hosts(hosts: int, host: int, *, global_batch: int, lanes: int | None) -> None:
    """Raises BadConfig, naming the nearest allowed number, unless hosts divide lanes and batch evenly."""
    if not 0 <= host < hosts:
        raise BadConfig(f"host is {host}, allowed are 0 to {hosts - 1}")
    if global_batch < 1:
        raise BadConfig(f"batch is {global_batch}, allowed are 1 and above")
    if lanes is not None and lanes % hosts:
        allowed = [n for n in range(1, lanes + 1) if lanes % n == 0]
        nearest = min(allowed, key=lambda n: (abs(n - hosts), n))
        raise BadConfig(
            f"{hosts} hosts cannot share the {lanes} lanes of these shards evenly; allowed are {', '.join(map(str, allowed))} hosts, "
            f"nearest {nearest} (or write the shards again with a multiple of {hosts} lanes)"
        )
    if global_batch % hosts:
        nearest = max(hosts, round(global_batch / hosts) * hosts)
        raise BadConfig(f"batch {global_batch} cannot be shared by {hosts} hosts; the nearest batch is {nearest}")
