"""The place of a shard set while it is written: an earlier set makes way, and of two writers one goes on.

A bucket's objects have generations. There a writer first empties the index, on condition that it is what it was when
the shards were listed: that is its claim, and its generation is in the names of its shards. Only what was listed before
the claim is removed, and the index is written on condition that the claim still stands. So whatever two writers do at
the same time, none overwrites or removes a shard of one that began later, and an index never names shards of two.
In a folder one process writes at a time, which its caller sees to.
"""

from __future__ import annotations

from typing import Protocol

from mammolibs.errors import BadFile
from mammolibs.shards.index import INDEX_NAME
from mammolibs.storage import ChangedByAnother, GuardedStore, Store


class SetPlace(Protocol):
    """Takes the shards of one set, then its index. Raises BadFile where the place was lost to another writer."""

    store: Store

    def write_shard(self, lane: int, number: int, data: bytes) -> str: ...
    def finish(self, index: bytes) -> None: ...


def take_place(store: Store) -> SetPlace:
    """Remove an earlier set, its index first, so that no reader meets a mixture.

    Raises BadFile where another process has begun to write at the same moment.
    """
    return _Claim(store) if isinstance(store, GuardedStore) else _Folder(store)


def clear_shards(store: Store) -> None:
    """Remove a set where there is one, finished or not. In a bucket an empty index stays behind. Raises as `take_place`."""
    if store.exists(INDEX_NAME) or _shards(store):
        take_place(store)


class _Folder:
    def __init__(self, store: Store):
        self.store = store
        store.delete(INDEX_NAME)
        for name in _shards(store):
            store.delete(name)

    def write_shard(self, lane: int, number: int, data: bytes) -> str:
        name = f"lane{lane:03d}-{number:05d}.tar"
        self.store.write(name, data)
        return name

    def finish(self, index: bytes) -> None:
        self.store.write(INDEX_NAME, index)


class _Claim:
    def __init__(self, store: GuardedStore):
        self.store, self._written = store, []
        before = store.read_with_generation(INDEX_NAME)[1] if store.exists(INDEX_NAME) else 0
        earlier = _shards(store)
        try:
            self._generation = store.write_if(INDEX_NAME, b"", before)
        except ChangedByAnother as error:
            raise self._lost() from error
        for name in earlier:
            store.delete(name)

    def write_shard(self, lane: int, number: int, data: bytes) -> str:
        """Writes only while the claim stands, so that who has lost it does not go on for hours."""
        if not self.store.exists(INDEX_NAME) or self.store.read_with_generation(INDEX_NAME)[1] != self._generation:
            raise self._lost()
        name = f"lane{lane:03d}-{number:05d}-{self._generation}.tar"
        self._written.append(name)
        self.store.write(name, data)
        return name

    def finish(self, index: bytes) -> None:
        try:
            self.store.write_if(INDEX_NAME, index, self._generation)
        except ChangedByAnother as error:
            raise self._lost() from error

    def _lost(self) -> BadFile:
        for name in self._written:
            self.store.delete(name)
        problem = "another process has begun to write shards here since"
        return BadFile(self.store.location, problem, "stop one of the two, then make the shards again")


def _shards(store: Store) -> list[str]:
    return [name for name in store.list("lane") if name.endswith(".tar")]
