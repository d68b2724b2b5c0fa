"""One sample by its row, checked; and the check of a whole shard set."""

from __future__ import annotations

import json
from dataclasses import fields

import google_crc32c
import numpy as np

from mammolibs.errors import BadFile
from mammolibs.records import Placement, Sample
from mammolibs.shards.codec import decode_image, decode_mask
from mammolibs.shards.index import MEMBERS, REMEDY, ShardIndex
from mammolibs.storage import CachedStore, Store

PLACEMENT_FIELDS = tuple(f.name for f in fields(Placement))


def read_sample(store: Store, index: ShardIndex, row: int) -> Sample:
    """Sample number `row` of the index; its arrays may be read-only. One read from the store.

    A cache's copy of the shard that was damaged since it was fetched is fetched again. Raises
    BadFile, naming shard and sample, where the shard is missing or cut short or the sample's
    bytes do not match their checksum; IndexError for a row that is not there.
    """
    if not 0 <= row < len(index):
        raise IndexError(f"row {row}, the index has {len(index)}")
    numbers = index.numbers
    shard = index.shards[numbers["shard"][row]]
    file, image_id = f"{store.location}/{shard.name}", index.image_ids[row]
    payload, damaged = _members(store, index, row, shard.name)
    if damaged and isinstance(store, CachedStore) and store.renew(shard.name):
        payload, damaged = _members(store, index, row, shard.name)
    if damaged:
        raise BadFile(file, f"the {damaged} of sample {image_id} (row {row}) does not match its checksum", REMEDY)
    shape = (int(numbers["height"][row]), int(numbers["width"][row]))
    try:
        image = decode_image(payload["image"], shape, index.codec)
        mask = decode_mask(payload["mask"], shape, index.codec) if "mask" in payload else None
        return _sample(json.loads(payload["json"]), image, mask)
    except (ValueError, KeyError, TypeError) as error:
        raise BadFile(file, f"sample {image_id} (row {row}) cannot be read ({error})", REMEDY) from error


def verify(store: Store, index: ShardIndex) -> int:
    """Read every byte of a shard set and decode every sample; the number of samples.

    Raises BadFile for the first shard that is missing, has another size or checksum than
    the index says, or holds a sample that cannot be read.
    """
    for number, shard in enumerate(index.shards):
        file = f"{store.location}/{shard.name}"
        size = store.size(shard.name)
        if size != shard.size:
            raise BadFile(file, f"has {size} bytes, the index says {shard.size}", REMEDY)
        for row in np.flatnonzero(index.numbers["shard"] == number):
            read_sample(store, index, int(row))
        if google_crc32c.value(store.read(shard.name)) != shard.crc32c:
            raise BadFile(file, "does not match its checksum", REMEDY)
    return len(index)


def _members(store: Store, index: ShardIndex, row: int, shard: str) -> tuple[dict[str, bytes], str]:
    """The bytes of a sample's members by name, and which of them does not match its checksum, "" for none."""
    numbers = index.numbers
    spans = {m: (int(numbers[f"{m}_offset"][row]), int(numbers[f"{m}_length"][row])) for m in MEMBERS}
    start, end = spans["image"][0], sum(spans["json"])
    block = memoryview(store.read(shard, start, end - start))
    payload = {m: bytes(block[offset - start : offset - start + length]) for m, (offset, length) in spans.items() if length}
    damaged = (member for member, data in payload.items() if google_crc32c.value(data) != numbers[f"{member}_crc32c"][row])
    return payload, next(damaged, "")


def _sample(facts: dict, image, mask) -> Sample:
    facts.pop("shape")
    facts["breast"] = tuple(facts["breast"])
    placement = facts["placement"]
    if placement is not None:
        placed = {name: tuple(v) if isinstance(v := placement[name], list) else v for name in PLACEMENT_FIELDS}
        facts["placement"] = Placement(**placed)
    return Sample(image=image, mask=mask, **facts)
