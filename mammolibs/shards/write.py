"""Samples -> tar shards and their index, in one pass over a stream of any length."""

from __future__ import annotations

import hashlib
import json
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any, Protocol

import google_crc32c
import numpy as np

from mammolibs.errors import BadConfig, BadData
from mammolibs.records import Sample
from mammolibs.shards.codec import encode_image, encode_mask, endings
from mammolibs.shards.index import MEMBERS, NUMBER_COLUMNS, TEXT_COLUMNS, ShardFile, ShardIndex, index_bytes
from mammolibs.shards.place import SetPlace, take_place
from mammolibs.storage import Store

SPOOL_BYTES = 8_000_000
TAR_END = bytes(2 * tarfile.BLOCKSIZE)
ARRAYS = {"image", "mask"}


class HashedContract(Protocol):
    """What the shards keep of the contract that the samples were prepared under."""

    def hash(self) -> str: ...
    def to_dict(self) -> dict[str, Any]: ...


def write_shards(
    store: Store,
    samples: Iterable[Sample],
    *,
    contract: HashedContract,
    lanes: int = 8,
    shard_bytes: int = 64_000_000,
    codec: str = "blosc2",
) -> ShardIndex:
    """Write a shard set in place of whatever shard set the store held; returns its index.

    Samples are dealt to `lanes` in turn, those of each kind (source, label, lesion or not)
    evenly, so that lanes stay equally long when a kind is repeated. With fewer samples than
    lanes there are as many lanes as samples. Each lane owns whole tar files of at most
    `shard_bytes` (more only where one sample is larger). Memory holds one shard and a few megabytes per lane. The index is written
    last: a set without one is unfinished. The same samples give the same bytes. Of two
    processes that write to one place in a bucket the one that began later goes on.

    Raises BadConfig for impossible options; BadData where there are no samples, where an
    image_id comes twice, or where a sample contradicts itself; BadFile where another process
    has begun to write here since.
    """
    if lanes < 1 or shard_bytes < 1:
        raise BadConfig(f"lanes is {lanes} and shard_bytes {shard_bytes}, both must be 1 or more")
    endings(codec)
    place = take_place(store)
    with ExitStack() as stack:
        writer = _SetWriter(place, lanes, shard_bytes, codec, stack)
        for sample in samples:
            writer.add(sample)
        index = writer.finish(contract)
    place.finish(index_bytes(index))
    return index


class _SetWriter:
    def __init__(self, place: SetPlace, lanes: int, shard_bytes: int, codec: str, stack: ExitStack):
        self.place, self.shard_bytes, self.codec = place, shard_bytes, codec
        self.lanes = [_Lane(number, stack) for number in range(lanes)]
        self.shards: list[ShardFile | None] = []
        self.columns: dict[str, list] = {name: [] for name in (*TEXT_COLUMNS, *NUMBER_COLUMNS)}
        self.seen: set[str] = set()

    def add(self, sample: Sample) -> None:
        _check(sample, self.seen)
        self.seen.add(sample.image_id)
        kind = (sample.source, sample.label, sample.has_lesion)
        lane = min(self.lanes, key=lambda one: (one.kinds[kind], one.dealt, one.number))
        lane.kinds[kind] += 1
        lane.dealt += 1
        members = _members(sample, f"{len(self.columns['image_id']):08d}", self.codec)
        room = self.shard_bytes - lane.file.tell() - len(TAR_END)
        if lane.samples and sum(_tar_bytes(data) for _, _, data in members) > room:
            self._close(lane)
        if lane.shard is None:
            lane.shard = len(self.shards)
            self.shards.append(None)
        places = {member: lane.append(name, data) for member, name, data in members}
        lane.samples += 1
        self._note(sample, lane.shard, places)

    def _note(self, sample: Sample, shard: int, places: dict[str, tuple[int, int, int]]) -> None:
        for name in TEXT_COLUMNS:
            self.columns[name].append(getattr(sample, name))
        height, width = sample.image.shape
        facts = {"label": sample.label, "has_lesion": sample.has_lesion, "height": height, "width": width, "shard": shard}
        for member in MEMBERS:
            offset, length, crc = places.get(member, (0, 0, 0))
            facts |= {f"{member}_offset": offset, f"{member}_length": length, f"{member}_crc32c": crc}
        for name, value in facts.items():
            self.columns[name].append(value)

    def _close(self, lane: _Lane) -> None:
        lane.file.write(TAR_END)
        lane.file.seek(0)
        data = lane.file.read()
        name = self.place.write_shard(lane.number, lane.closed, data)
        self.shards[lane.shard] = ShardFile(
            name=name, lane=lane.number, size=len(data), crc32c=google_crc32c.value(data), samples=lane.samples
        )
        lane.start_next()

    def finish(self, contract: HashedContract) -> ShardIndex:
        if not self.seen:
            raise BadData(f"{self.place.store.location}: there are no samples to write into shards")
        for lane in self.lanes:
            if lane.shard is not None:
                self._close(lane)
        text = {name: tuple(self.columns[name]) for name in TEXT_COLUMNS}
        numbers = {name: np.array(self.columns[name], dtype) for name, dtype in NUMBER_COLUMNS.items()}
        return ShardIndex(
            contract_hash=contract.hash(),
            contract=contract.to_dict(),
            codec=self.codec,
            lanes=min(len(self.lanes), len(self.seen)),
            shards=tuple(self.shards),
            text=text,
            numbers=numbers,
            data_hash=_data_hash(contract.hash(), text, numbers),
        )


class _Lane:
    """The tar file that one lane is filling."""

    def __init__(self, number: int, stack: ExitStack):
        self.number, self.closed, self.samples, self.dealt = number, 0, 0, 0
        self.shard: int | None = None
        self.kinds: Counter = Counter()
        self.file = stack.enter_context(tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES))

    def append(self, name: str, data: bytes) -> tuple[int, int, int]:
        """Write one tar member; its data's offset, length and crc32c."""
        header = tarfile.TarInfo(name)
        header.size = len(data)
        self.file.write(header.tobuf(tarfile.USTAR_FORMAT))
        offset = self.file.tell()
        self.file.write(data)
        self.file.write(bytes(-len(data) % tarfile.BLOCKSIZE))
        return offset, len(data), google_crc32c.value(data)

    def start_next(self) -> None:
        self.file.seek(0)
        self.file.truncate()
        self.closed, self.samples, self.shard = self.closed + 1, 0, None


def _tar_bytes(data: bytes) -> int:
    return tarfile.BLOCKSIZE + len(data) + -len(data) % tarfile.BLOCKSIZE


def _members(sample: Sample, key: str, codec: str) -> list[tuple[str, str, bytes]]:
    ends = endings(codec)
    members = [("image", f"{key}.image.{ends.image}", encode_image(sample.image, codec))]
    if sample.mask is not None:
        members.append(("mask", f"{key}.mask.{ends.mask}", encode_mask(sample.mask, codec)))
    facts = {name: value for name, value in vars(sample).items() if name not in ARRAYS}
    facts["placement"] = None if sample.placement is None else asdict(sample.placement)
    facts["shape"] = list(sample.image.shape)
    try:
        text = json.dumps(facts, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
    except (TypeError, ValueError) as error:
        raise BadData(f"{sample.image_id}: its facts cannot be written as JSON ({error})") from error
    return [*members, ("json", f"{key}.json", text.encode())]


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is no JSON type")


def _check(sample: Sample, seen: set[str]) -> None:
    image, mask, name = sample.image, sample.mask, sample.image_id
    if name in seen:
        raise BadData(f"{name}: comes twice; image ids must be unique within a shard set")
    if image.dtype != np.uint16 or image.ndim != 2:
        raise BadData(f"{name}: the image is {image.dtype} {image.shape}, expected uint16 with height and width")
    if mask is None:
        return
    if mask.dtype != np.uint8 or mask.shape != image.shape:
        raise BadData(f"{name}: the mask is {mask.dtype} {mask.shape}, the image {image.shape}; expected uint8 of that size")
    if mask.size and mask.max() > 1:
        raise BadData(f"{name}: the mask holds {mask.max()}, allowed are 0 and 1")


def _data_hash(contract_hash: str, text: dict[str, tuple[str, ...]], numbers: dict[str, np.ndarray]) -> str:
    """sha256 over contents: independent of lanes and shard size, different for another codec."""
    content = ("label", "has_lesion", "image_crc32c", "mask_crc32c", "json_crc32c")
    digest = hashlib.sha256(contract_hash.encode())
    for name in TEXT_COLUMNS:
        digest.update(json.dumps(text[name], ensure_ascii=False).encode())
    for name in content:
        digest.update(numbers[name].astype("<i8").tobytes())
    return digest.hexdigest()
