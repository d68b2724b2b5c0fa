"""Shard sets written straight to a bucket: whole or not there, and never a mixture of two writers'."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from mammolibs.errors import BadFile, RuntimeUnavailable
from mammolibs.shards import clear_shards, is_finished, open_index, open_shards, read_sample, verify, write_shards
from mammolibs.shards.index import INDEX_NAME
from mammolibs.storage import MemoryStore
from mammolibs.storage.gcs import GcsStore
from tests.storage.gcs_server import GcsServer

LOST = "another process has begun to write shards here since; stop one of the two, then make the shards again"


@pytest.fixture
def server(monkeypatch, tmp_path):
    with GcsServer("bucket") as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        monkeypatch.setenv("MAMMOLIBS_CACHE", str(tmp_path / "cache"))
        yield server
        assert server.violations == []


@pytest.fixture(params=["memory", "bucket"])
def place(request):
    """Opens the place that two processes write to."""
    if request.param == "memory":
        store = MemoryStore()
        return lambda: store
    request.getfixturevalue("server")
    return lambda: GcsStore("gs://bucket/data/train", deadline=20.0, first_wait=0.001)


def changed(samples, label):
    return [replace(sample, label=label) for sample in samples]


def labels(store):
    index = open_index(store)
    assert verify(store, index) == len(index)
    assert set(store.list()) == {INDEX_NAME, *(shard.name for shard in index.shards)}
    return set(index.numbers["label"].tolist())


def test_a_set_in_a_bucket_holds_what_a_folder_would(place, samples, contract, tmp_path):
    index = write_shards(place(), samples(9), contract=contract, lanes=2, shard_bytes=4000)
    folder = write_shards(MemoryStore(), samples(9), contract=contract, lanes=2, shard_bytes=4000)
    assert index.data_hash == folder.data_hash
    assert [(s.lane, s.size, s.crc32c, s.samples) for s in index.shards] == [(s.lane, s.size, s.crc32c, s.samples) for s in folder.shards]
    assert verify(place(), open_index(place())) == 9


def test_a_second_set_leaves_nothing_of_the_first_in_a_bucket(place, samples, contract):
    write_shards(place(), changed(samples(12), 0), contract=contract, shard_bytes=1000)
    write_shards(place(), changed(samples(5), 1), contract=contract, lanes=2)
    assert labels(place()) == {1}


@pytest.mark.parametrize("begin_after", [0, 7, 19])
def test_of_two_writers_in_a_bucket_the_later_goes_on_and_the_other_is_told(place, begin_after, samples, contract):
    """The second writer begins and finishes while the first has taken that many of its samples."""

    def interrupted():
        for number, sample in enumerate(changed(samples(20), 0)):
            if number == begin_after:
                write_shards(place(), changed(samples(20), 1), contract=contract, lanes=2, shard_bytes=4000)
            yield sample

    with pytest.raises(BadFile, match=LOST):
        write_shards(place(), interrupted(), contract=contract, lanes=2, shard_bytes=4000)
    assert labels(place()) == {1}


def test_of_two_writers_at_once_in_a_bucket_one_finishes_and_nothing_of_the_other_stays(place, samples, contract):
    both_have_begun = threading.Barrier(2)

    def write(label: int) -> int | None:
        def slow_to_start():
            # Broken where the other has lost its claim before it began.
            with contextlib.suppress(threading.BrokenBarrierError):
                both_have_begun.wait()
            yield from changed(samples(20), label)

        try:
            write_shards(place(), slow_to_start(), contract=contract, lanes=2, shard_bytes=4000)
            return label
        except BadFile as error:
            assert LOST in str(error)
            both_have_begun.abort()
            return None

    with ThreadPoolExecutor(2) as pool:
        (finished,) = (label for label in pool.map(write, (0, 1)) if label is not None)
    assert labels(place()) == {finished}


def test_a_claim_in_a_bucket_that_was_taken_at_the_same_moment_is_told(server, samples, contract, monkeypatch):
    """Both have looked at the same index; one claim comes first."""
    store, other = (GcsStore("gs://bucket/data/train") for _ in range(2))
    really = GcsStore.write_if

    def late(self, name, data, generation):
        if self is store and data == b"":
            write_shards(other, changed(samples(4), 1), contract=contract)
        return really(self, name, data, generation)

    monkeypatch.setattr(GcsStore, "write_if", late)
    with pytest.raises(BadFile, match=LOST):
        write_shards(store, changed(samples(4), 0), contract=contract)
    assert labels(other) == {1}


def test_an_unfinished_set_in_a_bucket_is_none(place, samples, contract):
    def dies():
        yield from samples(9)
        raise RuntimeError("power cut")

    write_shards(place(), samples(5), contract=contract)
    with pytest.raises(RuntimeError, match="power cut"):
        write_shards(place(), dies(), contract=contract, lanes=1, shard_bytes=1000)
    assert not is_finished(place())
    with pytest.raises(BadFile, match="index.json: is empty, so this is no finished shard set: a writer is at it, or was stopped; make"):
        open_index(place())
    write_shards(place(), samples(5), contract=contract)
    assert is_finished(place()) and labels(place()) == {0, 1}


def test_clearing_a_set_in_a_bucket_stops_its_writer(place, samples, contract):
    def cleared():
        yield from samples(5)
        clear_shards(place())

    with pytest.raises(BadFile, match=LOST):
        write_shards(place(), cleared(), contract=contract, lanes=1, shard_bytes=1000)
    assert place().list() == [INDEX_NAME] and not is_finished(place())


def test_where_nothing_lies_in_a_bucket_nothing_is_cleared(place):
    clear_shards(place())
    assert place().list() == []


@pytest.mark.parametrize("fault", ["503", "reset", "lost", "wrong_bytes"])
def test_faults_while_a_set_is_written_to_a_bucket_are_passed_over(server, fault, samples, contract):
    store = GcsStore("gs://bucket/data/train", deadline=20.0, first_wait=0.001)
    for _ in range(5):
        server.plant(fault, on="write")
        server.plant("", on="write")
    write_shards(store, samples(9), contract=contract, lanes=2, shard_bytes=2000)
    assert verify(store, open_index(store)) == 9


def test_a_bucket_that_fails_while_a_set_is_written_leaves_none_that_looks_finished(server, samples, contract):
    store = GcsStore("gs://bucket/data/train", deadline=0.05, first_wait=0.001)

    def failing():
        yield from samples(9)
        server.plant("503", on="write", times=10_000)

    with pytest.raises(RuntimeUnavailable, match="within 0.05 s"):
        write_shards(store, failing(), contract=contract, lanes=1)
    assert not is_finished(store)


def test_samples_of_a_bucket_are_read_through_the_cache(server, samples, contract):
    write_shards(GcsStore("gs://bucket/data/train"), samples(20), contract=contract, lanes=2, shard_bytes=6000)
    server.counts.clear()
    store, index = open_shards("gs://bucket/data/train")
    for row in np.random.default_rng(0).permutation(40) % 20:
        assert read_sample(store, index, int(row)).image_id == index.image_ids[row]
    assert server.counts == {"stat": 1, "read": 1 + len(index.shards)}


@pytest.mark.parametrize("member", ["image", "mask", "json"])
def test_a_byte_that_flips_in_the_cache_is_fetched_again_from_the_bucket(server, member, samples, contract, tmp_path):
    write_shards(GcsStore("gs://bucket/data/train"), samples(4), contract=contract, lanes=1)
    store, index = open_shards("gs://bucket/data/train")
    read_sample(store, index, 0)
    (copy,) = (tmp_path / "cache" / "objects").glob("*.[0-9a-f]*")
    data = bytearray(copy.read_bytes())
    data[index.numbers[f"{member}_offset"][3] + 3] ^= 1
    copy.write_bytes(data)
    server.counts.clear()
    np.testing.assert_array_equal(read_sample(store, index, 3).image, samples(4)[3].image)
    assert server.counts == {"read": 1}
