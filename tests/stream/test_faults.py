"""Faults injected one by one along the data path: each ends in the complete, identical batches or in one clear error."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from mammolibs.errors import BadFile, MammolibsError, RuntimeUnavailable
from mammolibs.shards import CODECS, open_index, verify, write_shards
from mammolibs.storage import open_store
from mammolibs.storage.gcs import GcsStore
from mammolibs.stream import Stream
from tests.storage.gcs_server import GcsServer
from tests.stream.conftest import FakeContract

PLACE = "gs://bucket/data/train"
ROWS = 6


@pytest.fixture
def bucket(monkeypatch, tmp_path):
    """An empty bucket, and stores that wait milliseconds where a run waits seconds."""
    for name, value in (("first_wait", 0.001), ("answer_timeout", 0.1)):
        monkeypatch.setitem(GcsStore.__init__.__kwdefaults__, name, value)
    with GcsServer("bucket") as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        yield server
        assert server.violations == []


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Go to a new machine, one with an empty cache, at each call."""
    numbers = iter(range(10_000))
    return lambda: monkeypatch.setenv("MAMMOLIBS_CACHE", str(tmp_path / f"machine{next(numbers)}"))


@pytest.fixture
def folder(sample, tmp_path):
    """Writes a set of small samples in three lanes of a shard each; the tests damage it file by file."""

    def put(codec: str = "blosc2"):
        write_shards(open_store(tmp_path / codec), map(sample, range(ROWS)), contract=FakeContract(), lanes=3, codec=codec)
        return tmp_path / codec

    return put


@pytest.fixture
def sent(bucket, folder, machine):
    """The set in the bucket, and what a pass over it shows."""
    for path in folder().glob("*.*"):
        bucket.put("bucket", f"data/train/{path.name}", path.read_bytes())
    machine()
    expected = one_pass(PLACE)
    assert bucket.counts["read"] == 1 + len(shards_of(bucket)) == 4
    return expected


def shards_of(bucket) -> list[str]:
    return [name for name in bucket.objects.buckets["bucket"] if name.endswith(".tar")]


def one_pass(place):
    """All that a pass over a set shows: every row once, in its order."""
    return [
        (
            batch.rows,
            batch.ids,
            *(getattr(batch, name).numpy().tobytes() for name in ("images", "masks", "mask_known", "labels", "weights")),
        )
        for batch in Stream(place, global_batch=3, mode="evaluate", cache_bytes=0).batches()
    ]


def told(place, expected) -> str:
    """The line that a pass ends with, "" where it shows what is expected; anything else is a failure."""
    try:
        assert one_pass(place) == expected
    except (BadFile, RuntimeUnavailable) as error:
        line = str(error)
        assert line and "\n" not in line
        return line
    return ""


def spread(count: int, size: int) -> list[int]:
    return sorted({number * (size - 1) // (count - 1) for number in range(count)})


@pytest.mark.parametrize("codec", CODECS)
def test_a_byte_flipped_anywhere_in_a_shard_is_found_or_changes_nothing(codec, folder):
    path = folder(codec)
    expected, shard = one_pass(path), min(path.glob("*.tar"))
    good, lines = shard.read_bytes(), Counter()
    for place in spread(60, len(good)):
        shard.write_bytes(good[:place] + bytes([good[place] ^ 1 << place % 8]) + good[place + 1 :])
        lines[told(path, expected)] += 1
    # Headers of a tar and what fills its blocks hold nothing that is read, and are much of such small samples.
    assert lines.total() == 60 and 0 < lines[""] < 45
    assert all(shard.name in line and "does not match its checksum; make the shards again" in line for line in lines if line)


@pytest.mark.parametrize("damage", ["flipped", "cut"])
def test_an_index_that_was_damaged_anywhere_opens_no_stream(damage, folder):
    path = folder()
    expected, index = one_pass(path), path / "index.json"
    good = index.read_bytes()
    for place in spread(60, len(good) - 2):
        index.write_bytes(good[:place] + (bytes([good[place] ^ 1]) + good[place + 1 :] if damage == "flipped" else b""))
        assert str(index) in told(path, expected), place


def test_a_shard_that_was_cut_anywhere_ends_the_pass(folder):
    path = folder()
    expected, shard = one_pass(path), min(path.glob("*.tar"))
    good = shard.read_bytes()
    # The two empty blocks at the end, and what fills the last sample's block, are not read.
    read_to = len(good) - 2 * 512 - 511
    for length in spread(40, read_to):
        shard.write_bytes(good[:length])
        assert shard.name in told(path, expected), length


@pytest.mark.parametrize("kept", ["folder", "bucket"])
def test_any_shard_that_is_missing_ends_the_pass_with_its_name(kept, folder, request, machine):
    place = folder()
    expected = request.getfixturevalue("sent") if kept == "bucket" else one_pass(place)
    place = PLACE if kept == "bucket" else place
    store = open_store(place)
    for shard in open_index(store).shards:
        machine()
        data = store.read(shard.name)
        store.delete(shard.name)
        line = told(place, expected)
        assert shard.name in line and ("is not there" in line or "cannot be read (No such file" in line)
        store.write(shard.name, data)


def test_an_object_of_a_bucket_that_was_cut_anywhere_ends_the_pass(sent, bucket, machine):
    objects = bucket.objects.buckets["bucket"]
    for name in (min(shards_of(bucket)), "data/train/index.json"):
        good = objects[name].data
        for length in spread(10, len(good) - 1):
            machine()
            bucket.put("bucket", name, good[:length])
            assert f"gs://bucket/{name}: " in told(PLACE, sent), length
        bucket.put("bucket", name, good)
    machine()
    assert told(PLACE, sent) == ""


@pytest.mark.parametrize("fault", ["429", "503", "reset", "truncated", "wrong_bytes", "slow"])
def test_a_fault_at_any_request_of_a_pass_over_a_bucket_changes_nothing(fault, sent, bucket, machine):
    for kind, count in sorted(bucket.counts.items()):
        for number in range(count):
            if kind == "stat" and fault == "wrong_bytes":
                continue
            machine()
            bucket.counts.clear()
            for planted in (*[""] * number, fault):
                bucket.plant(planted, on=kind)
            assert told(PLACE, sent) == "", (kind, number)
            assert bucket.counts[kind] == count + 1


@pytest.mark.parametrize(
    ("fault", "words"), [("503", "check the network"), ("reset", "check the network"), ("401", "no valid credentials for Google Cloud")]
)
def test_a_bucket_that_is_lost_at_any_request_of_a_pass_ends_it_with_one_line(fault, words, sent, bucket, machine, monkeypatch):
    monkeypatch.setitem(GcsStore.__init__.__kwdefaults__, "deadline", 0.02)
    for kind, count in sorted(bucket.counts.items()):
        for number in range(count):
            machine()
            for planted in (*[""] * number, *[fault] * 200):
                bucket.plant(planted, on=kind)
            line = told(PLACE, sent)
            assert line.startswith(PLACE) and words in line, (kind, number)
            bucket._faults.clear()


@pytest.mark.parametrize("fault", ["503", "lost", "wrong_bytes"])
def test_a_fault_at_any_write_of_a_set_to_a_bucket_changes_nothing(fault, folder, bucket, sample):
    expected, store = open_index(open_store(folder())).data_hash, open_store("gs://bucket/new")

    def write():
        bucket.counts.clear()
        write_shards(store, map(sample, range(ROWS)), contract=FakeContract(), lanes=3)
        return bucket.counts["write"]

    for number in range(write()):
        for planted in (*[""] * number, fault):
            bucket.plant(planted, on="write")
        assert write() > number
        index = open_index(store)
        assert verify(store, index) == ROWS and index.data_hash == expected, number


def test_a_disk_that_is_full_at_any_write_of_a_set_leaves_none_that_looks_finished(folder, sample, monkeypatch, tmp_path):
    really, writes, full_at = os.fsync, [0], [-1]

    def fsync(handle):
        writes[0] += 1
        if writes[0] - 1 == full_at[0]:
            raise OSError(28, "No space left on device")
        really(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    expected = one_pass(folder())
    count, place = writes[0], tmp_path / "blosc2"
    assert count >= 4
    for number in range(count):
        writes[0], full_at[0] = 0, number
        with pytest.raises(MammolibsError, match="No space left on device"):
            folder()
        assert not [path for path in place.iterdir() if path.name.startswith(".")]
        with pytest.raises(BadFile, match="so this is no finished shard set"):
            open_index(open_store(place))
    full_at[0] = -1
    folder()
    assert told(place, expected) == ""
