"""Streams from a bucket: the batches of a folder, few requests, and no fault that shortens a pass in silence."""

from __future__ import annotations

import re
import threading
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from mammolibs.augment import Augment
from mammolibs.errors import BadConfig, BadFile, RuntimeUnavailable
from mammolibs.shards import open_index, write_shards
from mammolibs.shards.order import WINDOW_SHARDS
from mammolibs.storage import open_store
from mammolibs.storage.cached import LOCK_NAME
from mammolibs.storage.gcs import GcsStore
from mammolibs.storage.places import alone
from mammolibs.stream import Stream
from tests.storage.gcs_server import GcsServer, damaged

PLACE = "gs://bucket/data/train"


@pytest.fixture
def server(monkeypatch, tmp_path):
    """An empty bucket, a machine with an empty cache of 2 GB, and a store that waits milliseconds where a run waits seconds."""
    monkeypatch.setitem(GcsStore.__init__.__kwdefaults__, "first_wait", 0.001)
    with GcsServer("bucket") as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        monkeypatch.setenv("MAMMOLIBS_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("MAMMOLIBS_CACHE_GB", "2")
        yield server
        assert server.violations == []


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Go to a machine: one with a cache of its own."""
    return lambda name: monkeypatch.setenv("MAMMOLIBS_CACHE", str(tmp_path / name))


@pytest.fixture
def both(server, make_shards):
    """The same shard set in a folder and in the bucket."""

    def put(rows: int = 21, lanes: int = 4):
        folder = make_shards(rows, lanes)
        for path in folder.glob("*.*"):
            server.put("bucket", f"data/train/{path.name}", path.read_bytes())
        return folder

    return put


class Contract:
    def hash(self) -> str:
        return "c0ffee"

    def to_dict(self) -> dict:
        return {}


@pytest.fixture
def tiny(server, sample):
    """Writes a set of tiny samples to the bucket."""

    def put(rows: int, lanes: int, shard_bytes: int):
        one = replace(sample(0), image=np.full((16, 16), 9, np.uint16), mask=None, has_lesion=0, breast=(0, 0, 16, 16))
        samples = (replace(one, image_id=f"{number:05d}") for number in range(rows))
        index = write_shards(open_store(PLACE), samples, contract=Contract(), lanes=lanes, shard_bytes=shard_bytes)
        server.counts.clear()
        return index

    return put


def summary(batches):
    return [(b.rows, b.ids, b.images.sum().item(), b.labels.tolist()) for b in batches]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_bucket_gives_the_batches_of_a_folder(workers, both):
    folder = both()
    options = {"global_batch": 4, "augment": Augment(), "views": "masked", "repeats": {"lesion": 3}, "seed": 3}
    expected = list(Stream(folder, **options).batches(2, 9))
    for found, wanted in zip(Stream(PLACE, workers=workers, **options).batches(2, 9), expected, strict=True):
        assert (found.rows, found.ids) == (wanted.rows, wanted.ids)
        assert all(torch.equal(getattr(found, name), getattr(wanted, name)) for name in ("images", "hidden", "masks", "breast", "weights"))


def test_evaluation_from_a_bucket_shows_every_row_once(both):
    folder = both()
    options = {"global_batch": 8, "mode": "evaluate"}
    assert summary(Stream(PLACE, **options).batches()) == summary(Stream(folder, **options).batches())


def test_a_pass_over_a_bucket_takes_ten_requests_per_thousand_samples_at_most(tiny, server):
    """Shards of some 250 samples, as 64 MB hold of 512x512 pixels; a second pass takes none."""
    index = tiny(10_000, 4, 600_000)
    stream = Stream(PLACE, global_batch=100, cache_bytes=0)
    seen = Counter(row for batch in stream.batches(stop_step=stream.steps_per_pass) for row in batch.rows)
    assert set(seen.values()) == {1} and len(seen) == 10_000
    assert 150 < 10_000 / len(index.shards) < 300
    assert server.counts.total() == len(index.shards) + 2 <= 100
    for _ in stream.batches(stream.steps_per_pass, stream.steps_per_pass + 5):
        pass
    assert server.counts.total() == len(index.shards) + 2


@pytest.mark.parametrize("workers", [0, 2])
def test_through_a_small_cache_each_shard_of_a_bucket_is_fetched_once_in_a_pass(workers, tiny, server, monkeypatch, tmp_path):
    """Two lanes of 14 shards, a cache for 17 of the 28, which stays below its limit at every moment that is looked at."""
    index = tiny(640, 2, 50_000)
    size = max(shard.size for shard in index.shards)
    assert len(index.shards) >= 24
    limit = 17 * size
    monkeypatch.setenv("MAMMOLIBS_CACHE_GB", str((limit + 1) / 1e9))
    most, done, cache = [0], threading.Event(), tmp_path / "cache" / "objects"

    def watch():
        while not done.is_set():
            if cache.is_dir():
                with alone(cache / LOCK_NAME):
                    most[0] = max(most[0], sum(path.stat().st_size for path in cache.iterdir()))

    stream = Stream(PLACE, global_batch=10, cache_bytes=0, workers=workers)
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        rows = [row for batch in stream.batches(stop_step=2 * stream.steps_per_pass) for row in batch.rows]
    finally:
        done.set()
        watcher.join()
    assert Counter(row for row in rows if row >= 0) == dict.fromkeys(range(640), 2)
    assert 10 * size < most[0] <= limit
    assert server.counts["read"] - 1 <= 2 * len(index.shards)


def test_each_host_reads_its_own_lanes_of_a_bucket(tiny, server, machine):
    index = tiny(400, 4, 30_000)
    for host in range(2):
        machine(f"host{host}")
        server.counts.clear()
        stream = Stream(PLACE, global_batch=8, hosts=2, host=host)
        rows = {row for batch in stream.batches(stop_step=stream.steps_per_pass) for row in batch.rows if row >= 0}
        assert {int(lane) % 2 for lane in index.lane_of_row[sorted(rows)]} == {host}
        assert server.counts["read"] - 1 == sum(shard.lane % 2 == host for shard in index.shards)


def test_shards_of_a_bucket_are_fetched_before_their_turn(tiny, server):
    """The first steps need a few shards of a long lane; the others come meanwhile."""
    index = tiny(400, 1, 10_000)
    stream = Stream(PLACE, global_batch=1)
    batches = stream.batches()
    first = [next(batches) for _ in range(3)]
    needed = {index.entry(row).shard for batch in first for row in batch.rows}
    for thread in threading.enumerate():
        if thread.name == "shards ahead":
            thread.join()
    assert server.counts["read"] - 1 > len(needed)
    batches.close()


def test_a_stream_from_a_bucket_goes_on_at_a_step_on_another_machine(both, machine):
    both()
    options = {"global_batch": 4, "augment": Augment(), "repeats": {"lesion": 3}, "seed": 3}
    whole = summary(Stream(PLACE, **options).batches(0, 30))
    for number, start in enumerate((1, 13, 29)):
        machine(f"machine{number}")
        assert summary(Stream(PLACE, **options).batches(start, 30)) == whole[start:]
    stream = Stream(PLACE, **options)
    list(stream.batches(7, 9))
    assert summary(stream.batches(2, 5)) == whole[2:5]


def broken_pass(**options):
    """Steps that came before the error of a pass, and the error."""
    stream, made = Stream(PLACE, global_batch=4, **options), 0
    with pytest.raises((BadFile, RuntimeUnavailable)) as told:
        for _ in stream.batches(stop_step=stream.steps_per_pass):
            made += 1
        pytest.fail("the pass ended as if nothing were wrong")
    assert made < stream.steps_per_pass and "\n" not in str(told.value)
    return str(told.value)


@pytest.mark.parametrize(
    ("workers", "change", "words"),
    [
        (0, damaged, "does not match its checksum; make it again"),
        (0, lambda data: data[:-100], "bytes, .* expected; make it again"),
        (0, None, "is not there; check the name"),
        (2, damaged, "does not match its checksum; make it again"),
    ],
)
def test_a_damaged_cut_or_missing_shard_of_a_bucket_ends_the_pass_with_its_name(workers, change, words, both, server):
    both()
    if change is None:
        del server.objects.buckets["bucket"]["data/train/lane002-00000.tar"]
    else:
        server.put("bucket", "data/train/lane002-00000.tar", change(server.objects.buckets["bucket"]["data/train/lane002-00000.tar"].data))
    line = broken_pass(workers=workers)
    assert line.startswith(f"{PLACE}/lane002-00000.tar: ")
    assert re.search(words, line)


@pytest.mark.parametrize("fault", ["503", "429", "reset", "truncated", "wrong_bytes"])
def test_faults_of_a_bucket_in_a_row_change_nothing(fault, both, server):
    folder = both()
    stream = Stream(PLACE, global_batch=4)
    server.plant(fault, on="read", times=2)
    assert summary(stream.batches(0, 6)) == summary(Stream(folder, global_batch=4).batches(0, 6))
    assert server.counts["read"] >= 4 + 1 + 2


@pytest.mark.parametrize("fault", ["503", "reset"])
def test_a_bucket_that_stays_away_ends_the_pass_with_one_line(fault, both, server, monkeypatch):
    both()
    monkeypatch.setitem(GcsStore.__init__.__kwdefaults__, "deadline", 0.05)
    stream = Stream(PLACE, global_batch=4)
    server.plant(fault, on="read", times=100_000)
    with pytest.raises(RuntimeUnavailable, match=rf"^{PLACE}/lane.* within 0.05 s .*; check the network, then run again$"):
        list(stream.batches(0, 6))


def test_credentials_of_a_bucket_that_expire_end_the_pass_with_one_line(both, server):
    both()
    stream = Stream(PLACE, global_batch=4)
    server.plant("401", on="read", times=100_000)
    with pytest.raises(RuntimeUnavailable, match=r"no valid credentials for Google Cloud .*; run `gcloud auth application-default login`"):
        list(stream.batches(0, 6))


def test_a_cache_that_cannot_hold_the_open_shards_of_a_bucket_is_refused_before_the_first_step(tiny, monkeypatch):
    tiny(400, 2, 10_000)
    monkeypatch.setenv("MAMMOLIBS_CACHE_GB", "0.0001")
    line = rf"{PLACE}: 0.000\d+ GB of its shards are open at a time, the cache may hold 0.0001; set MAMMOLIBS_CACHE_GB to 0.01 or more"
    with pytest.raises(BadConfig, match=line):
        Stream(PLACE, global_batch=4)


def test_processes_of_a_machine_share_the_room_of_the_cache(tiny, monkeypatch):
    """Of four lanes two are open in each of two processes: eight shards that one process has room for, sixteen that two have not."""
    index = tiny(640, 4, 20_000)
    size = max(shard.size for shard in index.shards)
    assert len(index.shards) > 2 * WINDOW_SHARDS * index.lanes
    limit = 3 * WINDOW_SHARDS * index.lanes // 2 * size
    monkeypatch.setenv("MAMMOLIBS_CACHE_GB", str((limit + 1) / 1e9))
    Stream(PLACE, global_batch=4, hosts=2)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    line = r"shards are open at a time in the 2 processes of this machine, the cache may hold .*; set MAMMOLIBS_CACHE_GB to .* or more"
    with pytest.raises(BadConfig, match=line):
        Stream(PLACE, global_batch=4, hosts=2)
    Stream(PLACE, global_batch=4, hosts=2, mode="evaluate")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
    Stream(PLACE, global_batch=4, hosts=2)


def test_processes_of_a_machine_fetch_each_shard_once_in_a_pass(tiny, server, monkeypatch):
    index = tiny(640, 2, 50_000)
    limit = 17 * max(shard.size for shard in index.shards)
    assert len(index.shards) >= 24
    monkeypatch.setenv("MAMMOLIBS_CACHE_GB", str((limit + 1) / 1e9))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    streams = [Stream(PLACE, global_batch=10, cache_bytes=0, hosts=2, host=host) for host in range(2)]
    server.counts.clear()
    for _ in zip(*(stream.batches(stop_step=2 * stream.steps_per_pass) for stream in streams), strict=True):
        pass
    assert server.counts["read"] <= 2 * len(index.shards)


def test_an_index_of_a_bucket_that_is_missing_is_told(server):
    with pytest.raises(BadFile, match=f"{PLACE}/index.json: is not there, so this is no finished shard set"):
        Stream(PLACE, global_batch=4)
    assert server.counts.total() == 1
    assert not open_store(PLACE).exists("index.json")
    with pytest.raises(BadFile):
        open_index(open_store(PLACE))
