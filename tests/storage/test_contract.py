"""What every store promises, whatever lies under it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from mammolibs.errors import BadConfig, BadFile, RuntimeUnavailable
from mammolibs.storage import ChangedByAnother, LocalStore, locate, open_store

DATA = bytes(range(256)) * 4


def test_what_is_written_is_read_whole_and_in_parts(store):
    store.write("a/b.bin", DATA)
    assert store.read("a/b.bin") == DATA
    assert store.read("a/b.bin", 10, 5) == DATA[10:15]
    assert store.read("a/b.bin", 0, 1) == DATA[:1]
    assert store.read("a/b.bin", 1000) == DATA[1000:]
    assert store.read("a/b.bin", 10, 0) == b""
    assert store.read("a/b.bin", len(DATA)) == b""
    assert (store.exists("a/b.bin"), store.size("a/b.bin")) == (True, len(DATA))


def test_a_second_write_replaces_the_first(store):
    store.write("a", DATA)
    store.write("a", b"short")
    assert (store.read("a"), store.size("a")) == (b"short", 5)


def test_an_empty_object_is_there(store):
    store.write("empty", b"")
    assert (store.read("empty"), store.size("empty"), store.exists("empty")) == (b"", 0, True)


@pytest.mark.parametrize(("start", "length"), [(1000, 100), (0, 2000), (2000, 1)])
def test_a_part_that_is_not_wholly_there_is_refused(store, start, length):
    store.write("a", DATA)
    with pytest.raises(BadFile, match="cut short"):
        store.read("a", start, length)


def test_names_are_listed_in_order_by_prefix_and_relative_to_the_store(store):
    names = sorted(["b", "a/2", "a/10", "ab", "with space", "ümlaut", "a/x#y?z%20", "c+d"])
    for name in reversed(names):
        store.write(name, name.encode())
    assert store.list() == names
    assert store.list("a") == ["a/10", "a/2", "a/x#y?z%20", "ab"]
    assert store.list("a/") == ["a/10", "a/2", "a/x#y?z%20"]
    assert store.list("no such") == []
    assert [store.read(name) for name in names] == [name.encode() for name in names]


def test_a_store_of_nothing_lists_nothing(store):
    assert store.list() == []


def test_deleting_what_is_not_there_is_fine(store):
    store.write("a", DATA)
    store.delete("a")
    store.delete("a")
    assert not store.exists("a")
    assert store.list() == []


@pytest.mark.parametrize("span", [(), (0, 5), (0, 0)])
def test_a_missing_name_is_told(store, span):
    with pytest.raises(BadFile, match="gone"):
        store.read("gone", *span)
    with pytest.raises(BadFile, match="gone"):
        store.size("gone")
    assert not store.exists("gone")


def test_a_conditional_write_needs_the_generation_that_is_there(guarded):
    first = guarded.write_if("token", b"one", 0)
    assert guarded.read_with_generation("token") == (b"one", first)
    second = guarded.write_if("token", b"two", first)
    for stale in (0, first):
        with pytest.raises(ChangedByAnother, match="token: .*another writer"):
            guarded.write_if("token", b"three", stale)
    assert guarded.read_with_generation("token") == (b"two", second)
    assert (guarded.generation("token"), guarded.generation("none")) == (second, 0)


def test_a_plain_write_and_a_new_object_make_earlier_generations_stale(guarded):
    first = guarded.write_if("token", b"one", 0)
    guarded.write("token", b"by force")
    with pytest.raises(ChangedByAnother):
        guarded.write_if("token", b"two", first)
    guarded.delete("token")
    with pytest.raises(ChangedByAnother):
        guarded.write_if("token", b"two", first)
    assert guarded.write_if("token", b"two", 0) != first


def test_of_many_writers_exactly_one_wins(guarded):
    start = guarded.write_if("token", b"nobody", 0)

    def claim(writer: int) -> bool:
        try:
            guarded.write_if("token", b"%d" % writer, start)
            return True
        except ChangedByAnother:
            return False

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(claim, range(8)))
    assert won.count(True) == 1
    assert guarded.read("token") == b"%d" % won.index(True)


def test_locations_open_their_store(server, tmp_path):
    assert isinstance(open_store(tmp_path), LocalStore)
    store = open_store("gs://bucket/runs/a/")
    assert store.location == "gs://bucket/runs/a"
    store.write("x", b"1")
    assert open_store("gs://bucket").list() == ["runs/a/x"]


@pytest.mark.parametrize(
    ("location", "error", "line"),
    [
        ("s3://b/p", RuntimeUnavailable, "s3://b/p: only folders and gs://BUCKET/PREFIX are read and written; copy"),
        ("gs://", BadConfig, "gs://: names no bucket; write gs://BUCKET/PREFIX"),
        ("gs:///p", BadConfig, "gs:///p: names no bucket; write gs://BUCKET/PREFIX"),
        ("gs:/b/p", BadConfig, "gs:/b/p: a bucket's address has two slashes"),
    ],
)
def test_locations_that_are_none(location, error, line):
    with pytest.raises(error) as told:
        open_store(location)
    assert str(told.value).startswith(line)


def test_a_file_is_located_below_its_folder_and_a_whole_bucket_nowhere(server, tmp_path):
    for location, folder in (("gs://bucket/a/b/", "gs://bucket/a"), ("gs://bucket/b", "gs://bucket"), (tmp_path / "b", str(tmp_path))):
        store, name = locate(location)
        assert (store.location, name) == (folder, "b")
    for bucket in ("gs://bucket", "gs://bucket/"):
        with pytest.raises(BadConfig, match=f"{bucket}: is a whole bucket, where a place in one is needed; write gs://bucket/NAME"):
            locate(bucket)
