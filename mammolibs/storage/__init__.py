"""Bytes in and out. One door for every place that data can lie: `open_store(location)`."""

from mammolibs.storage.archive import is_archive, unpack
from mammolibs.storage.mirror import Mirror, mirror_of, working_copy
from mammolibs.storage.store import (
    ChangedByAnother,
    GuardedStore,
    LocalStore,
    MemoryStore,
    Store,
    open_store,
    write_atomic,
    write_json,
)

__all__ = [
    "ChangedByAnother",
    "GuardedStore",
    "LocalStore",
    "MemoryStore",
    "Mirror",
    "Store",
    "is_archive",
    "mirror_of",
    "open_store",
    "unpack",
    "working_copy",
    "write_atomic",
    "write_json",
]
