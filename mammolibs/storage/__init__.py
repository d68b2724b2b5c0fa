"""Bytes in and out. One door for every place that data can lie: `open_store(location)`."""

from mammolibs.storage.archive import is_archive, unpack
from mammolibs.storage.store import LocalStore, MemoryStore, Store, open_store, write_atomic, write_json

__all__ = ["LocalStore", "MemoryStore", "Store", "is_archive", "open_store", "unpack", "write_atomic", "write_json"]
