"""Which lane, shard and place within it a sample gets: a function of the samples before it and of nothing else."""

from __future__ import annotations

import tarfile
from collections import Counter
from typing import NamedTuple

from mammolibs.shards.pack import PackedSample

TAR_END = bytes(2 * tarfile.BLOCKSIZE)


class Place(NamedTuple):
    """row: of the index. number: which of the lane's shards, counted from 0. offset: where in the tar the sample begins."""

    row: int
    lane: int
    number: int
    offset: int


class Dealer:
    """Deals samples to lanes in turn, those of each kind evenly; each lane fills one shard after the other."""

    def __init__(self, lanes: int, shard_bytes: int):
        self.rows = 0
        self._shard_bytes = shard_bytes
        self._lanes = [_Lane(number) for number in range(lanes)]

    def deal(self, sample: PackedSample) -> Place:
        """The place of the next sample. A shard is as large as allowed at most, larger only where one sample is."""
        lane = min(self._lanes, key=lambda one: (one.kinds[sample.kind], one.dealt, one.lane))
        size = sum(tar_bytes(member.length) for member in sample.members)
        if lane.filled and lane.filled + size + len(TAR_END) > self._shard_bytes:
            lane.number, lane.filled = lane.number + 1, 0
        place = Place(self.rows, lane.lane, lane.number, lane.filled)
        lane.kinds[sample.kind] += 1
        lane.dealt += 1
        lane.filled += size
        self.rows += 1
        return place


class _Lane:
    def __init__(self, lane: int):
        self.lane, self.number, self.filled, self.dealt = lane, 0, 0, 0
        self.kinds: Counter = Counter()


def tar_bytes(length: int) -> int:
    """What a member of that many bytes takes in a tar."""
    return tarfile.BLOCKSIZE + length + -length % tarfile.BLOCKSIZE
