"""Samples in tar files that any tool opens, with an index that makes them random-access."""

from mammolibs.shards.codec import CODECS
from mammolibs.shards.index import IndexEntry, ShardFile, ShardIndex, is_finished, open_index, open_shards
from mammolibs.shards.order import Order, check_hosts
from mammolibs.shards.pack import PackedSample, pack
from mammolibs.shards.place import clear_notes, clear_shards, is_whole
from mammolibs.shards.read import read_sample, verify
from mammolibs.shards.write import SHARD_BYTES, MadeOtherwise, ShardSet, open_set, write_shards

__all__ = [
    "CODECS",
    "SHARD_BYTES",
    "IndexEntry",
    "MadeOtherwise",
    "Order",
    "PackedSample",
    "ShardFile",
    "ShardIndex",
    "ShardSet",
    "check_hosts",
    "clear_notes",
    "clear_shards",
    "is_finished",
    "is_whole",
    "open_index",
    "open_set",
    "open_shards",
    "pack",
    "read_sample",
    "verify",
    "write_shards",
]
