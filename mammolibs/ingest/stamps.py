"""What tells that files are other ones by now: of many in a bucket by few requests."""

from __future__ import annotations

import os
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from mammolibs.errors import BadFile
from mammolibs.storage import disk_stamp, open_store

if TYPE_CHECKING:
    from mammolibs.storage.gcs import GcsStore

BUCKET = "gs://"
# An image with its masks is asked for one by one, and of data sets that lie beside each other each on its own. One listing of a
# thousand objects costs what asking for one does.
MOST_LISTINGS = 16
READERS = 8


def stamps(paths: Iterable[str]) -> dict[str, tuple[int, int] | None]:
    """Size and date of each file, of a bucket's object size and checksum; None where it is not there."""
    found = {path: disk_stamp(path) for path in paths}
    by_bucket = defaultdict(list)
    for path in found:
        if path.startswith(BUCKET):
            bucket, _, name = path.removeprefix(BUCKET).partition("/")
            by_bucket[bucket].append(name)
    for bucket, names in by_bucket.items():
        store = open_store(BUCKET + bucket)
        for group in groups_of(names, MOST_LISTINGS):
            there = _stored(store, group)
            found |= {f"{BUCKET}{bucket}/{name}": there[name] for name in group if name in there}
    return found


def groups_of(names: Sequence[str], most: int) -> list[list[str]]:
    """The names in at most so many groups, each as deep in the tree of folders as that allows."""
    done, to_part = [], deque([list(names)])
    while to_part:
        group = to_part.popleft()
        parts = _by_next_part(group)
        if len(group) == 1 or len(done) + len(to_part) + len(parts) > most:
            done.append(group)
        else:
            to_part += parts
    return done


def _by_next_part(names: Sequence[str]) -> list[list[str]]:
    """The names of one folder by what they lie in there."""
    folder = os.path.commonprefix(names).rpartition("/")[0]
    begin = len(folder) + 1 if folder else 0
    found = defaultdict(list)
    for name in names:
        # With the slash: an object may be called as a folder is.
        found[name[begin:].partition("/")[:2]].append(name)
    return list(found.values())


def _stored(store: GcsStore, names: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Of those that are there. Who may read objects need not have the right to list them: then they are asked for one by one."""
    try:
        return store.checksums(os.path.commonprefix(names))
    except BadFile:
        with ThreadPoolExecutor(READERS) as readers:
            told = dict(zip(names, readers.map(lambda name: _asked(store, name), names), strict=True))
        return {name: sums for name, sums in told.items() if sums}


def _asked(store: GcsStore, name: str) -> tuple[int, int] | None:
    try:
        return store.checksum(name)
    except BadFile:
        # Reading it says so too, and costs this image and no other.
        return None
