"""Notes beside an unfinished shard set, so that who was stopped need not begin again.

A note tells what became of some items, in the order in which they are written, and which shards were closed meanwhile:

    {"format": "mammolibs shard journal", "crc32c": <of the bytes after this line>, "journal":
    {"made_from": .., "entries": [[item, note, [sample, ..]], ..], "closed": [[lane, number, {name, size, ..}, content, last], ..]}
    }

Nothing in it is taken on trust. Where samples lie follows from the samples before them alone (`deal.py`), so the entries are
dealt again, and a shard counts only where it was closed with exactly the samples that lie in it then and still has its
size and checksum. Notes of several writers may therefore lie together: what contradicts is not used.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import google_crc32c

from mammolibs.errors import BadFile
from mammolibs.shards.deal import Dealer
from mammolibs.shards.index import ShardFile
from mammolibs.shards.pack import PackedSample
from mammolibs.shards.place import stored_sums
from mammolibs.storage import Store

FORMAT = "mammolibs shard journal"
READERS = 8


@dataclass(frozen=True)
class Entry:
    """What became of one item: a note in JSON's types for whoever made it, and its bare samples, none where it was skipped."""

    item: int
    note: Any
    samples: tuple[PackedSample, ...]


@dataclass(frozen=True)
class Closed:
    """A shard that was closed: the lane's how many-th; content: `Content.digest` of its samples; last: because there were no more."""

    lane: int
    number: int
    file: ShardFile
    content: str
    last: bool


class Content:
    """The samples of one shard, told by rows, facts and checksums."""

    def __init__(self):
        self._sha = hashlib.sha256()

    def add(self, row: int, sample: PackedSample) -> None:
        self._sha.update(json.dumps([row, sample.to_json()], ensure_ascii=False).encode())

    @property
    def digest(self) -> str:
        return self._sha.hexdigest()


@dataclass(frozen=True)
class Earlier:
    """What earlier writers have left that is still true.

    entries: of the first items, without a gap. kept: (lane, number) -> a shard that need not be written again. done:
    items whose samples all lie in such shards. damaged: shards that were closed and are no longer what they were.
    """

    entries: tuple[Entry, ...] = ()
    kept: dict[tuple[int, int], ShardFile] = field(default_factory=dict)
    done: frozenset[int] = frozenset()
    damaged: tuple[str, ...] = ()


def note_bytes(made_from: str, entries: Iterable[Entry], closed: Iterable[Closed]) -> bytes:
    """What one note holds."""
    body = {
        "made_from": made_from,
        "entries": [[entry.item, entry.note, [sample.to_json() for sample in entry.samples]] for entry in entries],
        "closed": [[one.lane, one.number, asdict(one.file), one.content, one.last] for one in closed],
    }
    rest = _dumps(body) + b"\n}\n"
    head = _dumps({"format": FORMAT, "crc32c": google_crc32c.value(rest)})
    return head[:-1] + b', "journal":\n' + rest


def read_notes(store: Store, names: Sequence[str], made_from: str) -> tuple[list[Entry], list[Closed]]:
    """All that the notes made from the same input tell. A note that is damaged or gone tells nothing."""
    entries: list[Entry] = []
    closed: list[Closed] = []
    with ThreadPoolExecutor(READERS) as readers:
        for told in readers.map(partial(_read_note, store, made_from=made_from), names):
            entries += told[0]
            closed += told[1]
    return entries, closed


def still_true(store: Store, entries: Iterable[Entry], closed: Iterable[Closed], *, items: int, lanes: int, shard_bytes: int) -> Earlier:
    """What may be kept of what notes tell of a set of so many items."""
    known = _without_gap(entries)
    dealer = Dealer(lanes, shard_bytes)
    contents: dict[tuple[int, int], Content] = defaultdict(Content)
    places: list[set[tuple[int, int]]] = []
    for entry in known:
        places.append(set())
        for sample in entry.samples:
            place = dealer.deal(sample)
            contents[place.lane, place.number].add(place.row, sample)
            places[-1].add((place.lane, place.number))
    whole = len(known) == items
    right = [one for one in closed if (one.lane, one.number) in contents and contents[one.lane, one.number].digest == one.content]
    right = [one for one in right if whole or not one.last]
    sums = stored_sums(store, {one.file.name for one in right})
    kept = {(one.lane, one.number): one.file for one in right if sums.get(one.file.name) == (one.file.size, one.file.crc32c)}
    return Earlier(
        entries=known,
        kept=kept,
        done=frozenset(entry.item for entry, where in zip(known, places, strict=True) if where <= kept.keys()),
        damaged=tuple(sorted({one.file.name for one in right if (one.lane, one.number) not in kept})),
    )


def _without_gap(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """One entry of each item, from the first up to where one is missing or two contradict each other."""
    by_item: dict[int, Entry | None] = {}
    for entry in entries:
        by_item[entry.item] = entry if by_item.get(entry.item, entry) == entry else None
    known = []
    while (entry := by_item.get(len(known))) is not None:
        known.append(entry)
    return tuple(known)


def _read_note(store: Store, name: str, made_from: str) -> tuple[list[Entry], list[Closed]]:
    try:
        data = store.read(name)
        document = json.loads(data)
        body = document["journal"]
        if google_crc32c.value(data.partition(b"\n")[2]) != document["crc32c"] or body["made_from"] != made_from:
            return [], []
        entries = [Entry(item, note, tuple(map(PackedSample.from_json, samples))) for item, note, samples in body["entries"]]
        return entries, [Closed(lane, number, ShardFile(**file), content, last) for lane, number, file, content, last in body["closed"]]
    except (BadFile, ValueError, TypeError, KeyError):
        return [], []


def _dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
