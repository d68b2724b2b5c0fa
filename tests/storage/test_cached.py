"""Objects of a store read through a bounded folder: one request each, never too many bytes, never wrong ones."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import google_crc32c
import pytest

from mammolibs.errors import BadConfig, BadFile, RuntimeUnavailable
from mammolibs.storage import CachedStore, LocalStore, MemoryStore
from mammolibs.storage.cached import LOCK_NAME, PART, cache_limit
from mammolibs.storage.gcs import GcsStore
from mammolibs.storage.places import alone

SIZE = 10_000
DATA = {f"lane000-{number:05d}.tar": os.urandom(SIZE) for number in range(6)}
NAMES = list(DATA)


class Counted(MemoryStore):
    """Counts reads, and looks at the folder in the middle of each."""

    def __init__(self, folder=None):
        super().__init__()
        self.reads, self.held, self.folder = [], [], folder

    def read(self, name, start=0, length=None):
        self.reads.append(name)
        if self.folder is not None:
            self.held.append(bytes_in(self.folder))
        return super().read(name, start, length)


def bytes_in(folder) -> int:
    total = 0
    for entry in os.scandir(folder):
        with contextlib.suppress(FileNotFoundError):  # given up by another process since it was listed
            total += entry.stat().st_size
    return total


def known(data=DATA) -> dict[str, tuple[int, int]]:
    return {name: (len(content), google_crc32c.value(content)) for name, content in data.items()}


def filled(store, data=DATA):
    for name, content in data.items():
        store.write(name, content)
    return store


@pytest.fixture
def counted(tmp_path):
    return filled(Counted(tmp_path / "cache"))


@pytest.fixture
def cached(counted, tmp_path):
    return lambda shards=3, store=counted: CachedStore(store, known(), folder=tmp_path / "cache", limit_bytes=shards * SIZE)


def test_pieces_of_an_object_cost_one_read_of_it(cached, counted):
    store = cached()
    name, data = NAMES[0], DATA[NAMES[0]]
    for start, length in [(0, 10), (500, 700), (SIZE - 5, 5), (3, 0), (7, None), (0, None), (SIZE, None)]:
        assert store.read(name, start, length) == data[start : None if length is None else start + length]
    assert counted.reads == [name]
    with pytest.raises(BadFile, match=f"{name}: has 10000 bytes, 10001 expected; make it again; it was cut short"):
        store.read(name, SIZE - 4, 5)


def test_a_copy_outlives_the_process_that_fetched_it(cached, counted):
    cached().read(NAMES[0])
    assert cached().read(NAMES[0], 5, 5) == DATA[NAMES[0]][5:10]
    assert counted.reads == NAMES[:1]


def test_what_was_read_the_longest_ago_makes_room(cached, counted):
    store = cached(3)
    for number in (0, 1, 2, 0, 3, 0, 2):
        store.read(NAMES[number], 0, 1)
    assert counted.reads == [NAMES[n] for n in (0, 1, 2, 3)]
    store.read(NAMES[1], 0, 1)
    store.read(NAMES[0], 0, 1)
    assert counted.reads[4:] == [NAMES[1]]


def test_the_limit_holds_at_every_moment(cached, counted):
    for shards in (1, 2, 4):
        for name in NAMES * 2:
            cached(shards).read(name, 0, 1)
        assert max(counted.held) == bytes_in(counted.folder) == shards * SIZE
        counted.held.clear()
        for path in counted.folder.iterdir():
            path.unlink()


def test_other_names_are_read_and_written_past_the_cache(cached, counted):
    store = cached()
    store.read(NAMES[1])
    store.write("index.json", b"one")
    assert (store.read("index.json"), store.size("index.json"), store.exists("index.json")) == (b"one", 3, True)
    store.write("index.json", b"two")
    assert store.read("index.json") == b"two"
    assert store.list("lane") == NAMES
    store.read(NAMES[0])
    store.write(NAMES[0], b"new")
    assert store.read(NAMES[0]) == b"new"
    store.delete(NAMES[0])
    assert not store.exists(NAMES[0])


def test_a_set_that_was_written_anew_never_meets_old_copies(cached, counted, tmp_path):
    cached().read(NAMES[0])
    counted.write(NAMES[0], DATA[NAMES[1]])
    anew = CachedStore(counted, known({NAMES[0]: DATA[NAMES[1]]}), folder=tmp_path / "cache", limit_bytes=3 * SIZE)
    assert anew.read(NAMES[0]) == DATA[NAMES[1]]


def test_two_stores_with_the_same_names_share_a_folder(cached, tmp_path):
    other = {name: content[::-1] for name, content in DATA.items()}
    elsewhere = CachedStore(filled(MemoryStore("elsewhere"), other), known(other), folder=tmp_path / "cache", limit_bytes=3 * SIZE)
    for name in NAMES:
        assert (cached().read(name), elsewhere.read(name)) == (DATA[name], other[name])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (DATA[NAMES[0]][:-1], "has 9999 bytes, 10000 expected"),
        (b"x" + DATA[NAMES[0]][1:], "does not match its checksum"),
        (None, "is not there"),
    ],
)
def test_a_wrong_or_missing_object_is_named_and_leaves_nothing(content, words, cached, counted):
    counted.delete(NAMES[0])
    if content is not None:
        counted.write(NAMES[0], content)
    for _ in range(2):
        with pytest.raises(BadFile, match=f"^memory/{NAMES[0]}: {words}; "):
            cached().read(NAMES[0], 0, 1)
    assert bytes_in(counted.folder) == 0
    counted.write(NAMES[0], DATA[NAMES[0]])
    assert cached().read(NAMES[0]) == DATA[NAMES[0]]


def test_a_copy_that_was_cut_is_fetched_again(cached, counted):
    cached().read(NAMES[0])
    (copy,) = (path for path in counted.folder.iterdir() if path.stat().st_size)
    os.truncate(copy, 17)
    assert cached().read(NAMES[0], 100, 5) == DATA[NAMES[0]][100:105]
    assert len(counted.reads) == 2


def test_a_damaged_copy_is_renewed_and_a_good_one_left(cached, counted):
    store = cached()
    store.read(NAMES[0])
    assert not store.renew(NAMES[0]) and len(counted.reads) == 1
    (copy,) = (path for path in counted.folder.iterdir() if path.stat().st_size)
    copy.write_bytes(b"x" + DATA[NAMES[0]][1:])
    assert store.renew(NAMES[0]) and len(counted.reads) == 2
    assert store.read(NAMES[0]) == DATA[NAMES[0]]


def test_a_part_that_a_dead_process_has_left_behind_is_no_hindrance(cached, counted):
    store = cached(1)
    store.read(NAMES[0])
    part = store._copy(NAMES[1]).with_name(store._copy(NAMES[1]).name + PART)
    part.write_bytes(bytes(SIZE))
    store._copy(NAMES[0]).unlink()
    assert store.read(NAMES[2]) == DATA[NAMES[2]]
    assert not part.exists()
    part.write_bytes(b"half")
    assert store.read(NAMES[1]) == DATA[NAMES[1]]


def test_an_object_is_fetched_once_however_many_threads_want_it(cached, counted):
    store, gate = cached(6), threading.Barrier(8)

    def read(number: int) -> bool:
        gate.wait()
        return all(store.read(name) == DATA[name] for name in NAMES[number % 6 :] + NAMES[: number % 6])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(8)))
    assert sorted(counted.reads) == NAMES


def read_all(store: CachedStore, turn: int) -> bool:
    names = list(store.objects)
    return all(store.read(name) == store.store.read(name) for name in names[turn:] + names[:turn])


def test_processes_share_a_cache_that_is_smaller_than_what_they_read(tmp_path):
    """Each process reads all in another order through room for two objects, so that all of them wait for each other."""
    remote = filled(LocalStore(tmp_path / "remote"))
    store = CachedStore(remote, known(), folder=tmp_path / "cache", limit_bytes=2 * SIZE)
    store.read(NAMES[0])
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("fork")) as pool:
        answers = [pool.submit(read_all, store, turn) for turn in range(6)]
        most = 0
        while not all(answer.done() for answer in answers):
            with alone(tmp_path / "cache" / LOCK_NAME):
                most = max(most, bytes_in(tmp_path / "cache"))
    assert all(answer.result() for answer in answers)
    assert most <= 2 * SIZE


def test_prefetch_leaves_what_is_in_use(cached, counted):
    store = cached(3)
    for number in (0, 1, 2):
        store.prefetch(NAMES[number])
    store.prefetch(NAMES[0])
    store.prefetch(NAMES[3], keep=[NAMES[0], NAMES[2]])
    assert counted.reads == NAMES[:4]
    store.read(NAMES[0]), store.read(NAMES[2]), store.read(NAMES[3])
    assert counted.reads == NAMES[:4]


def test_prefetch_passes_over_what_another_is_fetching(cached, counted):
    store = cached(2)
    with store._claimed(store._copy(NAMES[0]), wait=True) as part:
        part.truncate(SIZE)
        store.prefetch(NAMES[0])
        store.prefetch(NAMES[1])
        store.prefetch(NAMES[2])
    assert counted.reads == NAMES[1:3]


def test_an_object_that_never_fits_is_refused_at_once(cached, counted):
    with pytest.raises(BadConfig, match=r"lane000-0000\d.tar: has 10000 bytes, the cache may hold 9999; set MAMMOLIBS_CACHE_GB higher"):
        CachedStore(counted, known(), limit_bytes=SIZE - 1)


@pytest.mark.parametrize("text", ["none", "0", "-1", "nan", "inf"])
def test_a_limit_that_is_none_is_named(text, monkeypatch):
    monkeypatch.setenv("MAMMOLIBS_CACHE_GB", text)
    with pytest.raises(BadConfig, match=f"MAMMOLIBS_CACHE_GB is '{text}', allowed are numbers above 0"):
        cache_limit()
    monkeypatch.setenv("MAMMOLIBS_CACHE_GB", "1.5")
    assert cache_limit() == 1_500_000_000


def test_a_folder_that_cannot_be_written_is_named(counted, tmp_path):
    (tmp_path / "file").write_text("in the way")
    store = CachedStore(counted, known(), folder=tmp_path / "file" / "cache", limit_bytes=3 * SIZE)
    line = r"file/cache/.*: cannot be kept here \(Not a directory\); free some disk space, or name another folder in MAMMOLIBS_CACHE"
    with pytest.raises(BadFile, match=line):
        store.read(NAMES[0])


def test_a_full_disk_is_named_and_nothing_half_stays(cached, counted, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(BadFile, match=r"cannot be kept here \(No space left on device\); free some disk space"):
        cached().read(NAMES[0])
    assert bytes_in(counted.folder) == 0


def test_a_bucket_is_asked_once_for_each_object_and_faults_are_passed_over(gcs, server, tmp_path):
    filled(gcs)
    server.counts.clear()
    for fault in ("503", "503", "reset", "truncated", "wrong_bytes"):
        server.plant(fault, on="read")
    store = CachedStore(gcs, known(), folder=tmp_path, limit_bytes=10 * SIZE)
    for name in NAMES * 2:
        assert store.read(name, 7, 9) == DATA[name][7:16]
    assert server.counts == {"read": len(NAMES) + 5}


def test_a_bucket_that_does_not_answer_is_told(server, tmp_path):
    store = CachedStore(GcsStore("gs://bucket/a", deadline=0.05, first_wait=0.001), known(), folder=tmp_path, limit_bytes=10 * SIZE)
    server.plant("503", on="read", times=10_000)
    with pytest.raises(RuntimeUnavailable, match="within 0.05 s"):
        store.read(NAMES[0], 0, 1)
    assert bytes_in(tmp_path) == 0


def test_a_bucket_behind_a_cache_travels_to_another_process(gcs, tmp_path):
    filled(gcs)
    store = CachedStore(gcs, known(), folder=tmp_path, limit_bytes=10 * SIZE)
    store.read(NAMES[0])
    again = pickle.loads(pickle.dumps(store))
    assert (again.read(NAMES[1], 5, 5), again.location, again.limit_bytes) == (DATA[NAMES[1]][5:10], gcs.location, 10 * SIZE)
