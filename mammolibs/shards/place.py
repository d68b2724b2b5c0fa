"""The place of a shard set while it is written: an earlier set makes way, and of two writers one goes on.

A bucket's objects have generations. There a writer first empties the index, on condition that it is what it was when
the names were listed: that is its claim, and its generation is in the names of its shards. Only what was listed before
the claim is removed, and the index is written on condition that the claim still stands. So whatever two writers do at
the same time, none overwrites or removes a shard of one that began later.
Of the shards of an earlier writer those may be kept, under their names, that its notes tell of (`journal.py`). A
writer that loses its claim removes what it wrote since its last note and no more, since the one that came after may
keep the rest. One that had begun to clear the place goes on with that for a moment: so what is kept is looked for after the
claim, and again before the index is written, which therefore names no shard that is not there.
In a folder one process writes at a time, which its caller sees to (`storage.only_writer`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol, runtime_checkable

import google_crc32c
from tqdm import tqdm

from mammolibs.errors import BadFile
from mammolibs.shards.index import INDEX_NAME, open_index
from mammolibs.storage import ChangedByAnother, GuardedStore, Store

SHARD, NOTE = "lane", "journal-"
CLEARED_AT_A_TIME = 100


class SetPlace(Protocol):
    """Takes the shards of one set, and notes on them, then its index. Raises BadFile where the place was lost to another writer.

    notes: names of the notes of earlier writers.
    """

    store: Store
    notes: tuple[str, ...]

    def clear(self, keep: Collection[str] = ()) -> None:
        """Remove what earlier writers have left, but for these shards and notes."""
        ...

    def write_shard(self, lane: int, number: int, data: bytes) -> str:
        """The name that it got."""
        ...

    def write_note(self, data: bytes) -> str: ...
    def finish(self, index: bytes) -> None: ...


def take_place(store: Store) -> SetPlace:
    """Remove the index of an earlier set, so that no reader meets a mixture.

    Raises BadFile where another process has begun to write at the same moment.
    """
    return _Claim(store) if isinstance(store, GuardedStore) else _Folder(store)


def clear_shards(store: Store) -> None:
    """Remove a set where there is one, finished or not. In a bucket an empty index stays behind. Raises as `take_place`."""
    if store.exists(INDEX_NAME) or _left(store):
        take_place(store).clear()


def clear_notes(store: Store) -> None:
    """Remove the notes on a set that is finished."""
    for name in store.list(NOTE):
        store.delete(name)


def stored_sums(store: Store, names: Collection[str]) -> dict[str, tuple[int, int]]:
    """name -> (bytes, crc32c) of those that are there: as a bucket's service tells them, else by reading them."""
    if isinstance(store, _Summed):
        return {name: sums for name, sums in store.checksums(SHARD).items() if name in names}
    found = {}
    wanted = sorted(set(store.list(SHARD)).intersection(names))
    for name in tqdm(wanted, desc="checking shards", unit="shard", delay=2.0, leave=False):
        data = store.read(name)
        found[name] = len(data), google_crc32c.value(data)
    return found


def is_whole(store: Store) -> bool:
    """True where a finished set lies all of whose shards are what its index says."""
    try:
        told = {shard.name: (shard.size, shard.crc32c) for shard in open_index(store).shards}
        return stored_sums(store, told) == told
    except BadFile:
        return False


@runtime_checkable
class _Summed(Protocol):
    def checksums(self, prefix: str = "") -> dict[str, tuple[int, int]]: ...


class _Folder:
    def __init__(self, store: Store):
        self.store = store
        store.delete(INDEX_NAME)
        self._earlier = _left(store)
        self.notes = _notes(self._earlier)
        self._next_note = 1 + max((int(name.removeprefix(NOTE).partition(".")[0]) for name in self.notes), default=-1)

    def clear(self, keep: Collection[str] = ()) -> None:
        # A writer that was killed leaves the file that it was at, under a name that begins with a dot.
        cut_short = [name for name in self.store.list(".") if name.startswith((f".{SHARD}", f".{NOTE}", f".{INDEX_NAME}."))]
        for name in (*self._earlier, *cut_short):
            if name not in keep:
                self.store.delete(name)

    def write_shard(self, lane: int, number: int, data: bytes) -> str:
        name = f"{SHARD}{lane:03d}-{number:05d}.tar"
        self.store.write(name, data)
        return name

    def write_note(self, data: bytes) -> str:
        name = f"{NOTE}{self._next_note:05d}.json"
        self._next_note += 1
        self.store.write(name, data)
        return name

    def finish(self, index: bytes) -> None:
        self.store.write(INDEX_NAME, index)


class _Claim:
    def __init__(self, store: GuardedStore):
        self.store = store
        self._not_noted: list[str] = []
        self._kept: set[str] = set()
        self._next_note = 0
        before = store.read_with_generation(INDEX_NAME)[1] if store.exists(INDEX_NAME) else 0
        self._earlier = _left(store)
        self.notes = _notes(self._earlier)
        try:
            self._generation = store.write_if(INDEX_NAME, b"", before)
        except ChangedByAnother as error:
            raise self._lost() from error

    def clear(self, keep: Collection[str] = ()) -> None:
        self._kept = {name for name in keep if name.startswith(SHARD)}
        for number, name in enumerate(name for name in self._earlier if name not in keep):
            if number % CLEARED_AT_A_TIME == 0:
                self._check()
            self.store.delete(name)

    def write_shard(self, lane: int, number: int, data: bytes) -> str:
        """Writes only while the claim stands, so that who has lost it does not go on for hours."""
        self._check()
        name = f"{SHARD}{lane:03d}-{number:05d}-{self._generation}.tar"
        self._not_noted.append(name)
        self.store.write(name, data)
        return name

    def write_note(self, data: bytes) -> str:
        self._check()
        name = f"{NOTE}{self._next_note:05d}-{self._generation}.json"
        self._next_note += 1
        self.store.write(name, data)
        self._not_noted.clear()
        return name

    def finish(self, index: bytes) -> None:
        if self._kept and not self._kept.issubset(self.store.list(SHARD)):
            raise self._lost()
        try:
            self.store.write_if(INDEX_NAME, index, self._generation)
        except ChangedByAnother as error:
            raise self._lost() from error

    def _check(self) -> None:
        if not self.store.exists(INDEX_NAME) or self.store.read_with_generation(INDEX_NAME)[1] != self._generation:
            raise self._lost()

    def _lost(self) -> BadFile:
        for name in self._not_noted:
            self.store.delete(name)
        problem = "another process has begun to write shards here since"
        return BadFile(self.store.location, problem, "stop one of the two, then make the shards again")


def _left(store: Store) -> list[str]:
    """Shards and notes that lie in a store."""
    return [name for name in (*store.list(SHARD), *store.list(NOTE)) if name.endswith((".tar", ".json"))]


def _notes(names: list[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name.startswith(NOTE))
