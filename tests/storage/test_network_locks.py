"""The cache of objects in a home directory that lies on a network file system."""

from __future__ import annotations

import errno
import fcntl
import os
import queue
from concurrent.futures import ThreadPoolExecutor

import google_crc32c
import pytest

from mammolibs.storage import CachedStore, MemoryStore
from mammolibs.storage.cached import PART

DATA = {"a.tar": os.urandom(1000), "b.tar": os.urandom(1000)}


@pytest.fixture
def locked(monkeypatch):
    """Locks as NFS has them: an exclusive one needs a file that is open for writing. Gives the files (inodes) that are waited for."""
    flock, waited = fcntl.flock, queue.SimpleQueue()

    def nfs_flock(file, operation):
        if operation == fcntl.LOCK_EX:
            waited.put(os.fstat(file.fileno()).st_ino)
        if fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", nfs_flock)
    return waited


@pytest.fixture
def cached(locked, tmp_path):
    """A cache with room for one of the objects."""
    store = MemoryStore()
    for name, content in DATA.items():
        store.write(name, content)
    known = {name: (len(content), google_crc32c.value(content)) for name, content in DATA.items()}
    return CachedStore(store, known, folder=tmp_path, limit_bytes=1000)


def test_what_a_dead_process_has_left_behind_is_removed(cached):
    part = cached.folder / f"dead{PART}"
    part.write_bytes(bytes(1000))
    assert cached.read("a.tar") == DATA["a.tar"]
    assert not part.exists()


def test_room_that_another_takes_is_waited_for(cached, locked):
    with ThreadPoolExecutor(1) as pool:
        with cached._claimed(cached._copy("a.tar"), wait=True) as part:
            part.truncate(1000)
            number = os.fstat(part.fileno()).st_ino
            assert locked.get(timeout=30) == number
            reading = pool.submit(cached.read, "b.tar")
            while locked.get(timeout=30) != number:
                pass
        assert reading.result() == DATA["b.tar"]
