"""The index beside the shards: what lies where, with checksums, in one JSON file of columns.

    {"format": "mammolibs shards", "version": 1, "crc32c": <of the bytes after this line>, "index":
    {"contract_hash": .., "contract": {..}, "codec": .., "lanes": .., "shards": [{name, lane, size, crc32c, samples}, ..],
     "samples": {"image_id": [..], .., "shard": [..], "image_offset": [..], "image_length": [..], "image_crc32c": [..], ..}}
    }

Row i of every column describes sample i. A mask of length 0 is not there. All else about
a sample lies in its own JSON member, so that the tar files are readable without the index.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import google_crc32c
import numpy as np

from mammolibs.errors import BadFile
from mammolibs.storage import CachedStore, Store, is_address, open_store

INDEX_NAME = "index.json"
FORMAT = "mammolibs shards"
VERSION = 1
TEXT_COLUMNS = ("image_id", "patient_id", "exam_id", "source", "split")
MEMBERS = ("image", "mask", "json")
NUMBER_COLUMNS = {"label": np.int8, "has_lesion": np.int8, "height": np.int32, "width": np.int32, "shard": np.int32} | {
    f"{member}_{what}": np.int64 for member in MEMBERS for what in ("offset", "length", "crc32c")
}
REMEDY = "make the shards again with dataset_enhancement/make_shards.py"


@dataclass(frozen=True, kw_only=True)
class ShardFile:
    """One tar file: name in the store, the lane that owns it, bytes, checksum, number of samples."""

    name: str
    lane: int
    size: int
    crc32c: int
    samples: int


@dataclass(frozen=True, kw_only=True)
class IndexEntry:
    """What the index says of one sample; `repeats` functions decide on it."""

    row: int
    image_id: str
    patient_id: str
    exam_id: str
    source: str
    split: str
    label: int
    has_lesion: int
    lane: int
    shard: str


@dataclass(frozen=True, kw_only=True, eq=False)
class ShardIndex:
    """All samples of one shard set, by row.

    text: column name -> tuple of str, numbers: column name -> integer array, one item per
    row. data_hash: sha256 of what is stored (ids, facts, checksums), not of where it lies.
    """

    contract_hash: str
    contract: dict[str, Any]
    codec: str
    lanes: int
    shards: tuple[ShardFile, ...]
    text: dict[str, tuple[str, ...]]
    numbers: dict[str, np.ndarray]
    data_hash: str

    def __len__(self) -> int:
        return len(self.text["image_id"])

    @cached_property
    def lane_of_row(self) -> np.ndarray:
        """int32 array: the lane that owns each row."""
        return np.array([s.lane for s in self.shards], np.int32)[self.numbers["shard"]]

    @property
    def image_ids(self) -> tuple[str, ...]:
        return self.text["image_id"]

    def entry(self, row: int) -> IndexEntry:
        """The facts of one row."""
        shard = self.shards[self.numbers["shard"][row]]
        return IndexEntry(
            row=row,
            lane=shard.lane,
            shard=shard.name,
            label=int(self.numbers["label"][row]),
            has_lesion=int(self.numbers["has_lesion"][row]),
            **{name: self.text[name][row] for name in TEXT_COLUMNS},
        )


def index_bytes(index: ShardIndex) -> bytes:
    """What `index.json` holds."""
    samples = {n: list(v) for n, v in index.text.items()} | {n: v.tolist() for n, v in index.numbers.items()}
    body = _dumps(
        {
            "contract_hash": index.contract_hash,
            "contract": index.contract,
            "codec": index.codec,
            "lanes": index.lanes,
            "data_hash": index.data_hash,
            "shards": [vars(s) for s in index.shards],
            "samples": samples,
        }
    )
    rest = body + b"\n}\n"
    head = _dumps({"format": FORMAT, "version": VERSION, "crc32c": google_crc32c.value(rest)})
    return head[:-1] + b', "index":\n' + rest


def is_finished(store: Store) -> bool:
    """True where a shard set lies that was written to its end. An empty index is the claim of a writer."""
    return store.exists(INDEX_NAME) and store.size(INDEX_NAME) > 0


def open_index(store: Store) -> ShardIndex:
    """The index of a shard set.

    Raises BadFile where it is missing, damaged, changed by hand or of another version.
    """
    file = f"{store.location}/{INDEX_NAME}"
    if not store.exists(INDEX_NAME):
        raise BadFile(file, "is not there, so this is no finished shard set", REMEDY)
    data = store.read(INDEX_NAME)
    if not data:
        raise BadFile(file, "is empty, so this is no finished shard set: a writer is at it, or was stopped", REMEDY)
    try:
        document = json.loads(data)
        found, checksum = (document["format"], document["version"]), document["crc32c"]
    except (ValueError, KeyError, TypeError) as error:
        raise BadFile(file, f"is damaged or no shard index ({error})", REMEDY) from error
    if found != (FORMAT, VERSION):
        raise BadFile(file, f"is {found[0]!r} version {found[1]}, this software reads {FORMAT!r} version {VERSION}", REMEDY)
    if google_crc32c.value(data.partition(b"\n")[2]) != checksum or "index" not in document:
        raise BadFile(file, "does not match its checksum: it was damaged or edited", REMEDY)
    return _from_body(document["index"])


def open_shards(location: str | os.PathLike) -> tuple[Store, ShardIndex]:
    """A shard set to read from: its store and its index. A bucket's shards are read through this machine's cache.

    Raises as `open_store`, `open_index` and `CachedStore`.
    """
    store = open_store(location)
    index = open_index(store)
    if is_address(location):
        store = CachedStore(store, {shard.name: (shard.size, shard.crc32c) for shard in index.shards})
    return store, index


def _from_body(body: dict[str, Any]) -> ShardIndex:
    samples = body["samples"]
    return ShardIndex(
        contract_hash=body["contract_hash"],
        contract=body["contract"],
        codec=body["codec"],
        lanes=body["lanes"],
        data_hash=body["data_hash"],
        shards=tuple(ShardFile(**s) for s in body["shards"]),
        text={name: tuple(map(sys.intern, samples[name])) for name in TEXT_COLUMNS},
        numbers={name: np.array(samples[name], dtype) for name, dtype in NUMBER_COLUMNS.items()},
    )


def _dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
