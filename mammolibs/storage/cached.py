"""Whole objects of another store in a bounded folder of this machine, for readers that need many small pieces of each.

An object is fetched once, with one request, by whoever needs it first; other threads and processes wait for it. It is
written beside and renamed, so that a copy is whole or not there. Room is made before it is fetched: the file takes its
full length at once, and what was read the longest ago goes. A reader opens the file for each piece and keeps nothing
open, so that what goes is gone from the disk at once, and is fetched again where somebody still wanted it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import google_crc32c

from mammolibs.errors import BadConfig, BadFile
from mammolibs.storage.places import CACHE_VARIABLE, alone, cache_folder
from mammolibs.storage.store import Store

LIMIT_VARIABLE = "MAMMOLIBS_CACHE_GB"
LIMIT_GB = 32.0
LOCK_NAME = ".lock"
PART = ".part"
# On NFS, where home directories of clusters lie, only a file that is open for writing can be locked for one alone.
LOCKABLE = "r+b"


def cache_limit() -> int:
    """Bytes that the cache may take: $MAMMOLIBS_CACHE_GB, else 32 GB. Raises BadConfig for what is no number above 0."""
    text = os.environ.get(LIMIT_VARIABLE) or str(LIMIT_GB)
    try:
        limit = int(float(text) * 1e9)
    except (ValueError, OverflowError):
        limit = 0
    if limit < 1:
        raise BadConfig(f"{LIMIT_VARIABLE} is {text!r}, allowed are numbers above 0, such as {LIMIT_GB:g}")
    return limit


class CachedStore:
    """`objects` (name -> size in bytes, crc32c) of a store, read through a folder that never holds more than `limit_bytes`.

    Names that are not among the objects go straight to the store: nothing says whether a copy of them were still true.
    A copy's name holds its checksum, so that one folder serves any number of stores, and a set that was written anew
    never meets copies of the old one. The store can be pickled, and used by several threads and processes.

    Raises BadConfig where an object is larger than the limit. Reading raises what the store raises, and BadFile where
    an object has another size or checksum than expected or the folder cannot be written.
    """

    def __init__(
        self,
        store: Store,
        objects: Mapping[str, tuple[int, int]],
        *,
        folder: str | os.PathLike | None = None,
        limit_bytes: int | None = None,
    ):
        self.store, self.objects, self.location = store, dict(objects), store.location
        self.folder = Path(folder) if folder else cache_folder() / "objects"
        self.limit_bytes = cache_limit() if limit_bytes is None else limit_bytes
        name, (size, _) = max(self.objects.items(), key=lambda item: item[1][0], default=("", (0, 0)))
        if size > self.limit_bytes:
            raise BadConfig(f"{self._address(name)}: has {size} bytes, the cache may hold {self.limit_bytes}; set {LIMIT_VARIABLE} higher")

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """As `Store.read`, from the copy here, which is fetched where it is missing."""
        if name not in self.objects:
            return self.store.read(name, start, length)
        size = self.objects[name][0]
        end = size if length is None else start + length
        if end > size and length:
            raise BadFile(self._address(name), f"has {size} bytes, {end} expected", "make it again; it was cut short")
        with self._telling(name):
            while True:
                data = self._read_here(name, start, end)
                if data is None and (whole := self._fetch(name, wait=True)) is not None:
                    data = whole[start:end]
                if data is not None:
                    return data

    def prefetch(self, name: str, keep: Iterable[str] = ()) -> None:
        """Fetch an object that will soon be read, unless another is at it or what others are fetching leaves no room.

        keep: names whose copies go last where room is made, as if they had just been read.
        """
        with self._telling(name):
            if self._is_here(name):
                return
            for kept in keep:
                with contextlib.suppress(FileNotFoundError):
                    os.utime(self._copy(kept))
            self._fetch(name, wait=False)

    def renew(self, name: str) -> bool:
        """Fetch an object again where its copy is damaged, and say whether it was."""
        if name not in self.objects or google_crc32c.value(self.read(name)) == self.objects[name][1]:
            return False
        self._copy(name).unlink(missing_ok=True)
        self.read(name)
        return True

    def size(self, name: str) -> int:
        return self.store.size(name)

    def exists(self, name: str) -> bool:
        return self.store.exists(name)

    def list(self, prefix: str = "") -> list[str]:
        return self.store.list(prefix)

    def write(self, name: str, data: bytes) -> None:
        """Into the store; from then on the name is read from there."""
        self.objects.pop(name, None)
        self.store.write(name, data)

    def delete(self, name: str) -> None:
        self.objects.pop(name, None)
        self.store.delete(name)

    def _address(self, name: str) -> str:
        return f"{self.location}/{name}"

    def _copy(self, name: str) -> Path:
        # A name from a stranger's index may not lead out of the folder, nor be too long for a file system.
        return self.folder / f"{hashlib.sha256(self._address(name).encode()).hexdigest()[:32]}.{self.objects[name][1]:08x}"

    @contextlib.contextmanager
    def _telling(self, name: str) -> Iterator[None]:
        """What goes wrong on this machine's disk as one error of the family."""
        try:
            yield
        except OSError as error:
            problem = f"cannot be kept here ({error.strerror})"
            raise BadFile(self._copy(name), problem, f"free some disk space, or name another folder in {CACHE_VARIABLE}") from error

    def _is_here(self, name: str) -> bool:
        try:
            return self._copy(name).stat().st_size == self.objects[name][0]
        except FileNotFoundError:
            return False

    def _read_here(self, name: str, start: int, end: int) -> bytes | None:
        """A piece of the copy, which counts as used now; None where there is none."""
        try:
            with open(self._copy(name), "rb", buffering=0) as file:
                if os.fstat(file.fileno()).st_size != self.objects[name][0]:
                    return None
                os.utime(file.fileno())
                return os.pread(file.fileno(), max(0, end - start), start)
        except FileNotFoundError:
            return None

    def _fetch(self, name: str, *, wait: bool) -> bytes | None:
        """Bring an object here; its bytes, or None where another has brought it, or is at it or in the way and `wait` is False."""
        with self._claimed(self._copy(name), wait) as part:
            if part is None or self._is_here(name) or not self._reserve(part, self.objects[name][0], wait):
                return None
            data = self._fetched(name)
            part.seek(0)
            part.write(data)
            part.flush()
            with alone(self.folder / LOCK_NAME):
                os.replace(part.name, self._copy(name))
            return data

    def _fetched(self, name: str) -> bytes:
        data, (size, crc32c) = self.store.read(name), self.objects[name]
        if len(data) != size:
            raise BadFile(self._address(name), f"has {len(data)} bytes, {size} expected", "make it again")
        if google_crc32c.value(data) != crc32c:
            raise BadFile(self._address(name), "does not match its checksum", "make it again")
        return data

    @contextlib.contextmanager
    def _claimed(self, copy: Path, wait: bool) -> Iterator[BinaryIO | None]:
        """The file that a copy is written to, for one writer at a time; None where another was or is at it."""
        path = copy.with_name(copy.name + PART)
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(path, LOCKABLE, opener=lambda name, flags: os.open(name, flags | os.O_CREAT, 0o666)) as part:
            if not _lock(part, wait) or not _is_at(part, path):
                yield None
                return
            try:
                yield part
            finally:
                if _is_at(part, path):
                    path.unlink()

    def _reserve(self, part: BinaryIO, size: int, wait: bool) -> bool:
        """Give the part its full length as soon as there is room for it; False where that were to be waited for and is not."""
        while True:
            with alone(self.folder / LOCK_NAME):
                part.truncate(0)
                fetching = self._make_room(size)
                if fetching is None:
                    part.truncate(size)
                    return True
            if not wait:
                return False
            # Who has reserved waits for nobody, so that this ends.
            with contextlib.suppress(FileNotFoundError), open(fetching, LOCKABLE) as other:
                _lock(other, wait=True)

    def _make_room(self, size: int) -> Path | None:
        """Remove what was used the longest ago until `size` bytes fit; where they cannot, nothing, and a part that is being fetched."""
        files = [(path, path.stat()) for path in self.folder.iterdir() if path.suffix != PART and path.name != LOCK_NAME]
        copies = [(stat.st_mtime_ns, stat.st_size, path) for path, stat in files]
        parts = [(length, path) for path in self.folder.glob(f"*{PART}") if (length := _size_in_use(path))]
        taken = sum(length for length, _ in parts)
        if taken + size > self.limit_bytes:
            return parts[0][1]
        taken += sum(length for _, length, _ in copies)
        for _, length, path in sorted(copies):
            if taken + size <= self.limit_bytes:
                break
            path.unlink()
            taken -= length
        return None


def _lock(file: BinaryIO, wait: bool) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


def _is_at(file: BinaryIO, path: Path) -> bool:
    """True where the open file still is what lies at the path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _size_in_use(path: Path) -> int:
    """Bytes of a part that somebody is fetching; 0 where nobody is. What a dead process has left behind, without its lock, is removed."""
    try:
        with open(path, LOCKABLE) as part:
            size = os.fstat(part.fileno()).st_size
            if size and _lock(part, wait=False):
                path.unlink()
                return 0
            return size
    except FileNotFoundError:
        return 0
