"""A zip and a tar read where they lie."""

from __future__ import annotations

import errno
import multiprocessing
import tarfile
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mammolibs.errors import BadConfig, BadFile
from mammolibs.storage import archive as archives
from mammolibs.storage import disk_file, disk_stamp, local_file, open_store, packed_address, unpack
from mammolibs.storage.places import alone

FILES = {"set/a.bin": bytes(range(256)) * 40, "set/deep/b with space.txt": b"x" * 5000, "set/empty": b"", "top.csv": b"a,b\n1,2\n"}


@pytest.fixture(params=["stored.zip", "deflated.zip", "plain.tar"])
def archive(tmp_path, request) -> Path:
    path = tmp_path / request.param
    if path.suffix == ".tar":
        folder = tmp_path / "in"
        for name, data in FILES.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        with tarfile.open(path, "w") as tar:
            tar.add(folder, arcname=".")
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED if "stored" in path.name else zipfile.ZIP_DEFLATED) as opened:
            opened.mkdir("set")
            for name, data in FILES.items():
                opened.writestr(name, data)
    return path


def test_members_are_read_whole_and_in_parts_and_found_below_a_folder(archive):
    store = open_store(packed_address(archive))
    assert store.list() == sorted(FILES) and store.list("set/d") == ["set/deep/b with space.txt"]
    for name, data in FILES.items():
        assert store.exists(name) and store.size(name) == len(data) and store.read(name) == data
    data = FILES["set/a.bin"]
    assert (store.read("set/a.bin", 100, 7), store.read("set/a.bin", 10_000)) == (data[100:107], data[10_000:])
    below = open_store(f"{packed_address(archive)}/set")
    assert below.list() == ["a.bin", "deep/b with space.txt", "empty"] and below.read("a.bin") == data


def test_a_reader_that_wants_a_path_gets_one(archive):
    with local_file(f"{packed_address(archive)}/set/deep/b with space.txt") as path:
        assert path.read_bytes() == FILES["set/deep/b with space.txt"] and path.suffix == ".txt"


def test_other_processes_read_at_the_same_time(archive):
    store = open_store(packed_address(archive))
    assert store.read("set/a.bin", 0, 1) == b"\0"
    for context in map(multiprocessing.get_context, ("fork", "spawn")):
        with context.Pool(2) as pool:
            assert pool.map(store.read, list(FILES) * 20) == list(FILES.values()) * 20


def test_what_is_not_there_cut_short_or_to_be_written_is_told(archive):
    store = open_store(packed_address(archive))
    with pytest.raises(BadFile, match="gone.*is not there"):
        store.read("gone")
    with pytest.raises(BadFile, match="cut short"):
        store.read("set/a.bin", 10_000, 1000)
    with pytest.raises(BadFile, match="only read"):
        store.write("new", b"")
    with pytest.raises(BadConfig, match="names no archive"):
        open_store(f"{packed_address(archive.with_name('no' + archive.suffix))}")


def test_damage_is_told_and_never_read_as_data(archive):
    whole = bytearray(archive.read_bytes())
    if archive.suffix == ".tar":  # no checksums of members: only its headers are guarded
        whole[:512] = b"\x01" * 512
    else:
        place = whole.index(b"set/a.bin") + 60
        whole[place] ^= 0x40
    archive.write_bytes(whole)
    with pytest.raises(BadFile, match="download"):
        open_store(packed_address(archive)).read("set/a.bin")


def test_members_that_would_leave_the_archive_are_not_there(tmp_path):
    path = tmp_path / "bad.zip"
    with zipfile.ZipFile(path, "w") as opened:
        for name in ("../out.dcm", "/abs.dcm", "a/../../b.dcm", "good.dcm"):
            opened.writestr(name, b"x")
    assert open_store(packed_address(path)).list() == ["good.dcm"]


def test_a_compressed_tar_has_no_address(tmp_path):
    assert packed_address(tmp_path / "a.tar.gz") is None and packed_address(tmp_path / "a.txz") is None


def test_a_folder_whose_name_begins_with_a_dot_is_found(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as opened:
        opened.writestr(".films/a.bin", b"x")
    assert open_store(f"{packed_address(tmp_path / 'set.zip')}/.films").read("a.bin") == b"x"


def test_what_lies_in_an_archive_is_told_by_the_archive_and_is_gone_with_it(archive):
    inside = f"{packed_address(archive)}/set/a.bin"
    stat = archive.stat()
    assert disk_file(inside) == str(archive) and disk_stamp(inside) == disk_stamp(archive) == (stat.st_size, stat.st_mtime_ns)
    archive.unlink()
    assert disk_file(inside) is disk_stamp(inside) is disk_stamp(archive) is disk_stamp("gs://bucket/a.bin") is None


def test_a_full_disk_is_no_damaged_archive(archive, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("mammolibs.storage.archive._extract", full)
    with pytest.raises(BadFile, match="out: cannot be written .No space left on device.; free some disk space"):
        unpack(archive, tmp_path / "out")
    assert [path.suffix for path in (tmp_path / "out").iterdir()] == [".lock"]


def test_two_that_unpack_one_archive_at_the_same_time_find_it_whole(archive, tmp_path, monkeypatch):
    extract, both_there, second, folders, first = archives._extract, threading.Event(), [], [], threading.get_ident()

    def announced(path):
        if threading.get_ident() != first:
            both_there.set()
        return alone(path)

    def slow(path, folder):
        folders.append(folder)
        if threading.get_ident() != first:
            both_there.set()
        extract(path, folder)
        if threading.get_ident() == first:
            second.append(pool.submit(unpack, archive, tmp_path / "out"))
            assert both_there.wait(30)

    monkeypatch.setattr(archives, "alone", announced, raising=False)
    monkeypatch.setattr(archives, "_extract", slow)
    with ThreadPoolExecutor(1) as pool:
        folder = unpack(archive, tmp_path / "out")
    assert second[0].result() == folder and len(folders) == 1
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
