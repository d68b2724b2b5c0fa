"""Samples -> tar shards and their index, in one pass over a stream of any length."""

from __future__ import annotations

import hashlib
import json
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Protocol

import google_crc32c
import numpy as np

from mammolibs.errors import BadConfig, BadData, BadFile
from mammolibs.records import Sample
from mammolibs.shards.codec import endings
from mammolibs.shards.deal import TAR_END, Dealer, Place
from mammolibs.shards.index import MEMBERS, NUMBER_COLUMNS, TEXT_COLUMNS, ShardFile, ShardIndex, index_bytes
from mammolibs.shards.journal import Closed, Content, Earlier, Entry, note_bytes, read_notes, still_true
from mammolibs.shards.pack import Member, PackedSample, pack
from mammolibs.shards.place import take_place
from mammolibs.storage import Store

SHARD_BYTES = 64_000_000
SPOOL_BYTES = 8_000_000


class HashedContract(Protocol):
    """What the shards keep of the contract that the samples were prepared under."""

    def hash(self) -> str: ...
    def to_dict(self) -> dict[str, Any]: ...


class MadeOtherwise(Exception):
    """An item gave other samples than an earlier writer noted; the notes have been cut there, and the set is to be opened again."""


def write_shards(
    store: Store,
    samples: Iterable[Sample],
    *,
    contract: HashedContract,
    lanes: int = 8,
    shard_bytes: int = SHARD_BYTES,
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
    has begun to write here since, and where the temporary folder has no room for a shard.
    """
    with open_set(store, contract=contract, lanes=lanes, shard_bytes=shard_bytes, codec=codec) as shards:
        for number, sample in enumerate(samples):
            shards.add(number, None, (pack(sample, codec),))
        return shards.finish()


@contextmanager
def open_set(
    store: Store,
    *,
    contract: HashedContract,
    lanes: int = 8,
    shard_bytes: int = SHARD_BYTES,
    codec: str = "blosc2",
    made_from: str = "",
    items: int = 0,
) -> Iterator[ShardSet]:
    """A shard set to write item by item, as `write_shards`, which see, does with one sample an item.

    made_from: a hash of the `items` items that will come. With it the set is noted on while
    it is written, and goes on from what an earlier writer with the same hash, contract and
    options has left: `done` says what need not be made again. The notes stay until
    `clear_notes`. Without it the set begins anew.
    """
    if lanes < 1 or shard_bytes < 1:
        raise BadConfig(f"lanes is {lanes} and shard_bytes {shard_bytes}, both must be 1 or more")
    endings(codec)
    with ExitStack() as stack:
        yield ShardSet(store, contract, lanes, shard_bytes, codec, made_from, items, stack)


class ShardSet:
    """A shard set while it is written.

    done: item -> the note on it, of the items that need not be made again. kept, damaged: how
    many shards of an earlier writer stay, and how many are not what they were.
    """

    def __init__(
        self, store: Store, contract: HashedContract, lanes: int, shard_bytes: int, codec: str, made_from: str, items: int, stack: ExitStack
    ):
        self._contract, self._codec = contract, codec
        self._made_from = made_from and " ".join(map(str, (made_from, contract.hash(), codec, lanes, shard_bytes)))
        self._place = take_place(store)
        self._notes = [*self._place.notes]
        entries, closed = read_notes(store, self._notes, self._made_from) if made_from else ([], [])
        earlier = still_true(store, entries, closed, items=items, lanes=lanes, shard_bytes=shard_bytes) if entries else Earlier()
        self._place.clear({*self._notes, *(file.name for file in earlier.kept.values())})
        if len({entry.item for entry in entries}) != len(earlier.entries) or not entries:
            self._rewrite_notes(earlier.entries, closed)
        self._earlier = {entry.item: entry for entry in earlier.entries}
        self.done = {item: self._earlier[item].note for item in earlier.done}
        self.kept, self.damaged = len(earlier.kept), len(earlier.damaged)
        self._dealer = Dealer(lanes, shard_bytes)
        self._lanes = [_Lane(number, earlier.kept, stack) for number in range(lanes)]
        self._shards: list[ShardFile | None] = []
        self._columns: dict[str, list] = {name: [] for name in (*TEXT_COLUMNS, *NUMBER_COLUMNS)}
        self._seen: set[str] = set()
        self._entries: list[Entry] = []
        self._closed: list[Closed] = []

    def __len__(self) -> int:
        """The samples that it has by now."""
        return len(self._seen)

    def add(self, item: int, note: Any, samples: Sequence[PackedSample]) -> None:
        """The next item: its number, a note on it in JSON's types, and its samples, none where it was skipped.

        Raises BadData where an image_id comes twice; MadeOtherwise where an earlier writer noted other samples.
        """
        entry = Entry(item, note, tuple(sample.bare() for sample in samples)) if self._made_from else None
        noted = self._earlier.get(item)
        if noted and noted.samples != entry.samples:
            entries, closed = read_notes(self._place.store, self._notes, self._made_from)
            self._rewrite_notes([one for one in entries if one.item < item], closed)
            raise MadeOtherwise(f"item {item}")
        for sample in samples:
            self._put(sample)
        if entry and not noted:
            self._entries.append(entry)
        self._write_note()

    def add_done(self, item: int) -> None:
        """The next item is one of those that are done."""
        for sample in self._earlier[item].samples:
            self._put(sample)
        self._write_note()

    def finish(self) -> ShardIndex:
        """Write what is left, and the index. Raises BadData where there was no sample."""
        if not self._seen:
            raise BadData(f"{self._place.store.location}: there are no samples to write into shards")
        for lane in self._lanes:
            if lane.shard is not None:
                self._close(lane, last=True)
        self._write_note()
        index = self._index()
        self._place.finish(index_bytes(index))
        return index

    def _put(self, sample: PackedSample) -> None:
        if sample.image_id in self._seen:
            raise BadData(f"{sample.image_id}: comes twice; image ids must be unique within a shard set")
        self._seen.add(sample.image_id)
        place = self._dealer.deal(sample)
        lane = self._lanes[place.lane]
        if lane.shard is not None and place.number != lane.number:
            self._close(lane)
        if lane.shard is None:
            lane.start(place.number, len(self._shards))
            self._shards.append(None)
        self._note(sample, lane.shard, lane.append(place, sample))

    def _note(self, sample: PackedSample, shard: int, places: dict[str, tuple[int, Member]]) -> None:
        facts = dict(zip(TEXT_COLUMNS, sample.text, strict=True))
        height, width = sample.shape
        facts |= {"label": sample.label, "has_lesion": sample.has_lesion, "height": height, "width": width, "shard": shard}
        for kind in MEMBERS:
            offset, member = places.get(kind, (0, Member(kind, "", 0, 0, None)))
            facts |= {f"{kind}_offset": offset, f"{kind}_length": member.length, f"{kind}_crc32c": member.crc32c}
        for name, value in facts.items():
            self._columns[name].append(value)

    def _close(self, lane: _Lane, last: bool = False) -> None:
        file = lane.kept
        if file is None:
            data = lane.whole()
            name = self._place.write_shard(lane.lane, lane.number, data)
            file = ShardFile(name=name, lane=lane.lane, size=len(data), crc32c=google_crc32c.value(data), samples=lane.samples)
            self._closed.append(Closed(lane.lane, lane.number, file, lane.content.digest, last))
        self._shards[lane.shard] = file
        lane.shard = None

    def _write_note(self) -> None:
        """Once a shard was closed: what was not closed is made again in any case."""
        if self._made_from and self._closed:
            self._notes.append(self._place.write_note(note_bytes(self._made_from, self._entries, self._closed)))
            self._entries, self._closed = [], []

    def _rewrite_notes(self, entries: Sequence[Entry], closed: Sequence[Closed]) -> None:
        """Make the notes tell this and no more."""
        old, self._notes = self._notes, []
        if entries:
            self._notes.append(self._place.write_note(note_bytes(self._made_from, entries, closed)))
        for name in old:
            self._place.store.delete(name)

    def _index(self) -> ShardIndex:
        text = {name: tuple(self._columns[name]) for name in TEXT_COLUMNS}
        numbers = {name: np.array(self._columns[name], dtype) for name, dtype in NUMBER_COLUMNS.items()}
        return ShardIndex(
            contract_hash=self._contract.hash(),
            contract=self._contract.to_dict(),
            codec=self._codec,
            lanes=min(len(self._lanes), len(self._seen)),
            shards=tuple(self._shards),
            text=text,
            numbers=numbers,
            data_hash=_data_hash(self._contract.hash(), text, numbers),
        )


class _Lane:
    """The shard that one lane is filling: bytes, or, of one that is kept, only where they lie."""

    def __init__(self, lane: int, kept: dict[tuple[int, int], ShardFile], stack: ExitStack):
        self.lane, self.number, self.samples = lane, 0, 0
        self.shard: int | None = None
        self.kept: ShardFile | None = None
        self.content = Content()
        self._kept_ones = kept
        self._file = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES)
        stack.callback(_close, self._file)

    def start(self, number: int, shard: int) -> None:
        """Begin the lane's shard of this number, which is that shard of the set."""
        self.number, self.shard, self.samples, self.content = number, shard, 0, Content()
        self.kept = self._kept_ones.get((self.lane, number))
        with _temporary():
            self._file.seek(0)
            self._file.truncate()

    def append(self, place: Place, sample: PackedSample) -> dict[str, tuple[int, Member]]:
        """Write a sample's members; where the data of each begins."""
        self.samples += 1
        self.content.add(place.row, sample)
        offset, found = place.offset, {}
        for member in sample.members:
            header = tarfile.TarInfo(f"{place.row:08d}.{member.ending}")
            header.size = member.length
            head, padding = header.tobuf(tarfile.USTAR_FORMAT), bytes(-member.length % tarfile.BLOCKSIZE)
            found[member.kind] = offset + len(head), member
            offset += len(head) + member.length + len(padding)
            if self.kept is None:
                with _temporary():
                    self._file.write(head + member.data + padding)
        return found

    def whole(self) -> bytes:
        """The whole tar."""
        with _temporary():
            self._file.write(TAR_END)
            self._file.seek(0)
            return self._file.read()


@contextmanager
def _temporary() -> Iterator[None]:
    """What goes wrong in the temporary folder as one error of the family."""
    try:
        yield
    except OSError as error:
        problem = f"cannot be written ({error.strerror})"
        raise BadFile(tempfile.gettempdir(), problem, "free some disk space, or name another folder in TMPDIR") from error


def _close(file: tempfile.SpooledTemporaryFile) -> None:
    # On a full disk closing fails as writing did, and would be told in its place.
    with suppress(OSError):
        file.close()


def _data_hash(contract_hash: str, text: dict[str, tuple[str, ...]], numbers: dict[str, np.ndarray]) -> str:
    """sha256 over contents: independent of lanes and shard size, different for another codec."""
    content = ("label", "has_lesion", "image_crc32c", "mask_crc32c", "json_crc32c")
    digest = hashlib.sha256(contract_hash.encode())
    for name in TEXT_COLUMNS:
        digest.update(json.dumps(text[name], ensure_ascii=False).encode())
    for name in content:
        digest.update(numbers[name].astype("<i8").tobytes())
    return digest.hexdigest()
