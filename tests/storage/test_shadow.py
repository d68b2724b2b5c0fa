"""A folder of a bucket as a folder here: sizes without bytes, bytes that were asked for, and nothing outside of it."""

from __future__ import annotations

import os

import pytest

from mammolibs.errors import BadConfig, BadFile, RuntimeUnavailable
from mammolibs.storage import fetch_whole, open_shadow
from mammolibs.storage.gcs import GcsStore

ADDRESS = "gs://bucket/raw"
DATA = bytes(range(256)) * 1000


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("MAMMOLIBS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def names(shadow):
    return [path.relative_to(shadow.folder).as_posix() for path in shadow.paths()]


def first(count):
    return lambda data, size: count


def test_files_have_the_sizes_of_their_objects_and_the_bytes_that_were_asked_for(server):
    for name in ("raw/a/1", "raw/a/2", "raw/b", "raw/", "raw/a/", "other/c"):
        server.put("bucket", name, DATA)
    with open_shadow(f"{ADDRESS}/") as shadow:
        assert names(shadow) == ["a/1", "a/2", "b"] and shadow.folder.name == "raw"
        one, two, three = shadow.paths()
        assert server.counts == {"list": 2} and {path.stat().st_size for path in shadow.paths()} == {len(DATA)}
        assert sum(path.stat().st_blocks for path in shadow.paths()) == 0
        assert shadow.bring([one], first(1000)) == {} and one.read_bytes() == DATA[:1000].ljust(len(DATA), b"\0")
        assert shadow.bring([one, two, shadow.folder / "none", shadow.folder.parent]) == {}
        assert one.read_bytes() == two.read_bytes() == DATA and not any(three.read_bytes())
        assert shadow.address(f"{three} is odd") == f"{ADDRESS}/b is odd"


def test_bytes_are_asked_for_until_they_are_enough(server):
    server.put("bucket", "raw/a", DATA)
    server.put("bucket", "raw/b", DATA)
    asked = []

    def needed(data, size):
        asked.append((len(data), size))
        return 10 * len(data) if len(data) < 50_000 else 45_000

    with open_shadow(ADDRESS) as shadow:
        shadow.bring(shadow.paths()[:1], needed)
        assert asked == [(32 << 10, len(DATA)), (len(DATA), len(DATA))]
        assert shadow.paths()[0].read_bytes() == DATA[:45_000].ljust(len(DATA), b"\0")


def test_what_is_here_is_not_fetched_again_and_what_has_changed_is(server):
    for name in "abc":
        server.put("bucket", f"raw/{name}", DATA)
    with open_shadow(ADDRESS) as shadow:
        shadow.bring(shadow.paths()[:2], first(10))
    server.put("bucket", "raw/a", DATA[::-1])
    server.put("bucket", "raw/b", DATA)
    del server.objects.buckets["bucket"]["raw/c"]
    server.put("bucket", "raw/d/e", DATA[:7])
    server.counts.clear()
    with open_shadow(ADDRESS) as shadow:
        assert names(shadow) == ["a", "b", "d/e"] and not (shadow.folder / "c").exists()
        shadow.bring(shadow.paths(), first(10))
        assert server.counts == {"list": 1, "read": 2}
        assert [path.read_bytes()[:10] for path in shadow.paths()] == [DATA[::-1][:10], DATA[:10], DATA[:7]]
        shadow.bring(shadow.paths()[2:])
    del server.objects.buckets["bucket"]["raw/d/e"]
    server.put("bucket", "raw/d", DATA)
    with open_shadow(ADDRESS) as shadow:
        assert names(shadow) == ["a", "b", "d"]


def test_names_that_lead_elsewhere_or_contradict_each_other_are_told(server, tmp_path):
    odd = ("a/../../../../escape", "/rooted", "a//b", "." * 2, "x" * 300, "good/under")
    for name in (*odd, "good", "a/fine"):
        server.put("bucket", f"raw/{name}", b"data")
    before = {path for path in tmp_path.rglob("*")}
    with open_shadow(ADDRESS) as shadow:
        assert names(shadow) == ["a/fine", "good"] and shadow.refused.keys() == set(odd)
        made = {path for path in tmp_path.rglob("*") if path.is_file()} - before
        assert made == {*shadow.paths(), shadow.folder.parent / ".lock"}


def test_an_object_that_cannot_be_read_costs_itself_and_a_full_disk_is_an_error(server, monkeypatch):
    for name in "ab":
        server.put("bucket", f"raw/{name}", DATA)
    with open_shadow(ADDRESS) as shadow:
        del server.objects.buckets["bucket"]["raw/a"]
        failed = shadow.bring(shadow.paths())
        assert {path.name: str(error) for path, error in failed.items()} == {"a": f"{ADDRESS}/a: is not there; check the name"}
        monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        server.put("bucket", "raw/b", DATA[::-1])
    with open_shadow(ADDRESS) as shadow, pytest.raises(BadFile, match="b: cannot be written .No space left on device.; free some disk"):
        shadow.bring(shadow.paths())


def test_a_large_object_comes_in_pieces_and_a_change_between_them_is_seen(server, monkeypatch):
    monkeypatch.setattr("mammolibs.storage.shadow.PIECE_BYTES", 100_000)
    server.put("bucket", "raw/a.zip", DATA)
    server.put("bucket", "raw/a.zip.md5", b"x")
    for _ in range(2):
        path = fetch_whole(f"{ADDRESS}/a.zip")
        assert path.name == "a.zip" and path.read_bytes() == DATA
    assert server.counts == {"list": 2, "read": 3}
    really = GcsStore.read

    def read(self, name, start=0, length=None):
        if start == 200_000:
            server.put("bucket", "raw/a.zip", DATA[::-1])
        return really(self, name, start, length)

    server.put("bucket", "raw/a.zip", DATA + b"more")
    monkeypatch.setattr(GcsStore, "read", read)
    with pytest.raises(BadFile, match=f"{ADDRESS}/a.zip: (was changed while it was read; run again|gives .* bytes)"):
        fetch_whole(f"{ADDRESS}/a.zip")
    with pytest.raises(BadFile, match=f"{ADDRESS}/b.zip: is not there"):
        fetch_whole(f"{ADDRESS}/b.zip")


def parts(cache):
    return list(cache.rglob("part-*"))


@pytest.mark.parametrize("needed", [None, first(10)])
def test_a_download_that_breaks_off_leaves_no_part(needed, server, monkeypatch, cache):
    server.put("bucket", "raw/a", DATA)

    def gone(*_):
        raise RuntimeUnavailable("the network is gone")

    with open_shadow(ADDRESS) as shadow:
        monkeypatch.setattr(GcsStore, "read", gone)
        with pytest.raises(RuntimeUnavailable, match="the network is gone"):
            shadow.bring(shadow.paths(), needed)
        assert parts(cache) == []
        monkeypatch.undo()


def test_a_full_disk_keeps_no_part(server, monkeypatch, cache):
    server.put("bucket", "raw/a", DATA)
    with open_shadow(ADDRESS) as shadow:
        monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(BadFile, match="a: cannot be written"):
            shadow.bring(shadow.paths())
        assert parts(cache) == []


def test_the_part_of_a_process_that_was_killed_goes_with_the_next_use(server, cache):
    server.put("bucket", "raw/a.zip", DATA)
    with open_shadow(ADDRESS) as shadow:
        left = [shadow.folder.parent / "part-1", fetch_whole(f"{ADDRESS}/a.zip").parent.parent / "part-2"]
    for part in left:
        part.write_bytes(DATA)
    assert sorted(parts(cache)) == sorted(left)
    fetch_whole(f"{ADDRESS}/a.zip")
    with open_shadow(ADDRESS):
        assert parts(cache) == []


@pytest.mark.parametrize("place", ["folder", "ftp://host/folder"])
def test_what_is_no_bucket_has_no_shadow(place):
    with pytest.raises((BadConfig, RuntimeUnavailable), match=place), open_shadow(place):
        raise AssertionError
