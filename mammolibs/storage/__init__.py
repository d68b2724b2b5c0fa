"""Bytes in and out. One door for every place that data can lie: `open_store(location)`."""

from mammolibs.storage.archive import is_archive, is_archive_name, unpack
from mammolibs.storage.cached import CachedStore
from mammolibs.storage.mirror import Mirror, leaves_machine, mirror_of, working_copy
from mammolibs.storage.packed import packed_address
from mammolibs.storage.places import (
    KEY_MARK,
    Place,
    below,
    cache_folder,
    disk_file,
    disk_stamp,
    is_address,
    is_local,
    local_file,
    locate,
    only_writer,
)
from mammolibs.storage.sealed import seal, unseal
from mammolibs.storage.shadow import Shadow, fetch_whole, open_shadow
from mammolibs.storage.store import (
    ChangedByAnother,
    GuardedStore,
    LocalStore,
    MemoryStore,
    Store,
    json_bytes,
    open_store,
    write_atomic,
    write_json,
)

__all__ = [
    "CachedStore",
    "ChangedByAnother",
    "GuardedStore",
    "KEY_MARK",
    "LocalStore",
    "MemoryStore",
    "Mirror",
    "Place",
    "Shadow",
    "Store",
    "below",
    "cache_folder",
    "disk_file",
    "disk_stamp",
    "fetch_whole",
    "is_address",
    "is_archive",
    "is_archive_name",
    "is_local",
    "json_bytes",
    "leaves_machine",
    "local_file",
    "locate",
    "mirror_of",
    "only_writer",
    "open_shadow",
    "open_store",
    "packed_address",
    "seal",
    "unpack",
    "unseal",
    "working_copy",
    "write_atomic",
    "write_json",
]
