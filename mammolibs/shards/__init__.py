"""Samples in tar files that any tool opens, with an index that makes them random-access."""

from mammolibs.shards.codec import CODECS
from mammolibs.shards.index import IndexEntry, ShardFile, ShardIndex, is_finished, open_index, open_shards
from mammolibs.shards.order import Order, check_hosts
from mammolibs.shards.place import clear_shards
from mammolibs.shards.read import read_sample, verify
from mammolibs.shards.write import write_shards

__all__ = [
    "CODECS",
    "IndexEntry",
    "Order",
    "ShardFile",
    "ShardIndex",
    "check_hosts",
    "clear_shards",
    "is_finished",
    "open_index",
    "open_shards",
    "read_sample",
    "verify",
    "write_shards",
]
