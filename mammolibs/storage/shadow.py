"""A folder of a bucket, or an archive, as a folder of this machine: every object as a file of its size, with the bytes that somebody asked for.

Readers that walk folders and look at the beginning of large files need no more. What nobody has asked for is a hole, which takes no
room on the disk. A file's time of change says which state of its object it is, so that a second reading fetches what is new alone.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import google_crc32c
from tqdm import tqdm

from mammolibs.errors import BadConfig, BadFile
from mammolibs.storage.packed import PackedStore
from mammolibs.storage.places import CACHE_VARIABLE, alone, cache_folder
from mammolibs.storage.store import Store, open_store

# A request waits for the network most of the time. A thread has connections of its own, which few files are not worth.
THREADS, FILES_PER_THREAD = 32, 8
PREFIX_BYTES = 32 << 10
# Whole objects come in pieces, so that an archive need not fit into memory.
PIECE_BYTES = 32 << 20
PART = "part-"
_HOLE = 0
# A bucket has objects "a" and "a/b", and longer names than a folder.
_NAME_FAULTS = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)

# How many of an object's first bytes are needed, given some of them and its size.
Needed = Callable[[bytes, int], int]


class Shadow:
    """`folder`, whose files stand for the objects below `location`. Made by `open_shadow`.

    refused: objects that no file can stand for -> why.
    """

    def __init__(self, store: Store, folder: Path, objects: dict[str, tuple[int, int]]):
        self.store, self.location, self.folder = store, store.location, folder
        self.refused: dict[str, str] = {}
        self._objects = objects
        self._lay_out()

    def paths(self) -> list[Path]:
        """The files, sorted by name."""
        return [self.folder / name for name in sorted(self._objects) if name not in self.refused]

    def address(self, text: str) -> str:
        """The text with the addresses of objects in the place of their files."""
        return text.replace(f"{self.folder}{os.sep}", f"{self.location}/").replace(str(self.folder), self.location)

    def bring(self, paths: Iterable[Path], needed: Needed | None = None) -> dict[Path, BadFile]:
        """Fetch what the files lack: their first bytes as far as `needed` says, or all of them.

        Files that stand for no object are left alone. Returns the files whose objects cannot be read, with the reason.
        Raises RuntimeUnavailable where the bucket cannot be reached, BadFile where this machine's disk is full.
        """
        lacking = [(path, name) for path in paths if (name := self._name(path)) and not self._has(path, name, whole=needed is None)]
        failed: dict[Path, BadFile] = {}
        threads = min(THREADS, 1 + len(lacking) // FILES_PER_THREAD)
        bar = tqdm(total=len(lacking), desc=f"fetch {self.location}", unit="file", delay=2.0, leave=False)
        with ThreadPoolExecutor(threads) as pool, bar:
            waiting = {pool.submit(self._fetch, path, name, needed): path for path, name in lacking}
            try:
                for done in as_completed(waiting):
                    if error := done.result():
                        failed[waiting[done]] = error
                    bar.update()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        return failed

    def _fetch(self, path: Path, name: str, needed: Needed | None) -> BadFile | None:
        size, crc32c = self._objects[name]
        part = self.folder.parent / f"{PART}{threading.get_ident()}"
        try:
            with _telling(part), open(part, "wb") as file:
                if needed is None:
                    self._copy(name, file)
                else:
                    file.write(self._prefix(name, size, needed))
                    file.truncate(size)
            with _telling(path):
                os.utime(part, ns=(0, _mark(crc32c, whole=needed is None)))
                os.replace(part, path)
        except BaseException as error:
            part.unlink(missing_ok=True)
            if isinstance(error, BadFile) and error.file not in (str(part), str(path)):
                return error
            raise
        return None

    def _prefix(self, name: str, size: int, needed: Needed) -> bytes:
        store, want = self.store, PREFIX_BYTES
        while True:
            data = store.read(name) if size <= want else store.read(name, 0, want)
            want = min(needed(data, size), size)
            if want <= len(data):
                return data[:want]

    def _copy(self, name: str, file) -> None:
        store, (size, crc32c) = self.store, self._objects[name]
        if isinstance(store, PackedStore):
            file.write(store.read(name))  # a zip checks its member by itself, and cannot be entered in the middle of one
            return
        found = 0
        for start in range(0, size, PIECE_BYTES):
            data = store.read(name) if size <= PIECE_BYTES else store.read(name, start, min(PIECE_BYTES, size - start))
            found = google_crc32c.extend(found, data)
            file.write(data)
        if found != crc32c:
            raise BadFile(f"{self.location}/{name}", "was changed while it was read", "run again")

    def _name(self, path: Path) -> str:
        name = path.relative_to(self.folder).as_posix() if path.is_relative_to(self.folder) else ""
        return name if name in self._objects and name not in self.refused else ""

    def _has(self, path: Path, name: str, *, whole: bool) -> bool:
        size, crc32c = self._objects[name]
        there = path.stat()
        return there.st_size == size and there.st_mtime_ns in (_mark(crc32c, whole=True), _mark(crc32c, whole=whole))

    def _lay_out(self) -> None:
        """A file for each object: what was fetched of this very object, else a hole. Other files go."""
        there = dict(_files(self.folder))
        for name in there.keys() - self._objects.keys():
            os.unlink(self.folder / name)
        for folder, _, _ in os.walk(self.folder, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        with _telling(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        for name, (size, crc32c) in self._objects.items():
            if there.get(name) in [(size, mark) for mark in (_HOLE, _mark(crc32c, whole=False), _mark(crc32c, whole=True))]:
                continue
            if any(part in ("", ".", "..") for part in name.split("/")) or "\0" in name:
                self.refused[name] = "has a name that no file can have"
                continue
            with _telling(self.folder):
                try:
                    _dig(self.folder / name, size)
                except OSError as error:
                    if error.errno not in _NAME_FAULTS:
                        raise
                    self.refused[name] = f"has a name that its file cannot have here ({error.strerror})"


@contextlib.contextmanager
def open_shadow(location: str) -> Iterator[Shadow]:
    """The shadow of `gs://bucket/prefix` as the bucket now is, or of an archive by its address, in this machine's cache; one listing.

    One process at a time has it.
    Raises BadFile where nothing lies there, BadConfig where it is no bucket, and what the store raises.
    """
    store = _open_bucket(location)
    objects = store.checksums()
    if not objects:
        raise BadFile(location, "holds no object", "check the name; a folder of a bucket is there as long as something lies in it")
    with _place(store.location) as place:
        yield Shadow(store, place / store.location.rpartition("/")[2], objects)


def fetch_whole(location: str) -> Path:
    """The path of a copy of one object, which stays in this machine's cache and is fetched again only where the object has changed.

    Raises BadFile where it is not there or the disk is full, BadConfig where it lies in no bucket, and what the store raises.
    """
    folder, _, name = location.rpartition("/")
    store = _open_bucket(folder)
    objects = {found: facts for found, facts in store.checksums(name).items() if found == name}
    if not objects:
        raise BadFile(location, "is not there", "check the name")
    with _place(location) as place:
        shadow = Shadow(store, place / "whole", objects)
        for error in shadow.bring(shadow.paths()).values():
            raise error
    return shadow.folder / name


def _open_bucket(location: str) -> Store:
    store = open_store(location)
    if not hasattr(store, "checksums"):
        raise BadConfig(f"{location}: lies in no bucket; give the folder, the archive or gs://BUCKET/PREFIX")
    return store


@contextlib.contextmanager
def _place(location: str) -> Iterator[Path]:
    place = cache_folder() / "shadows" / hashlib.sha256(location.encode()).hexdigest()[:16]
    with _telling(place):
        place.mkdir(parents=True, exist_ok=True)
    with alone(place / ".lock"):
        # Nobody else fetches by now: these are of processes that were killed.
        for part in place.glob(f"{PART}*"):
            part.unlink()
        yield place


@contextlib.contextmanager
def _telling(path: Path) -> Iterator[None]:
    """What goes wrong on this machine's disk as one error of the family."""
    try:
        yield
    except OSError as error:
        remedy = f"free some disk space, or name another folder in {CACHE_VARIABLE}"
        raise BadFile(path, f"cannot be written ({error.strerror})", remedy) from error


def _files(folder: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """Name -> size and time of change of the files below a folder."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            stat = path.stat()
            yield path.relative_to(folder).as_posix(), (stat.st_size, stat.st_mtime_ns)


def _dig(path: Path, size: int) -> None:
    """A file of this size that takes no room."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        file.truncate(size)
    os.utime(path, ns=(0, _HOLE))


def _mark(crc32c: int, *, whole: bool) -> int:
    """A time of change that says of which bytes a file is, and whether it has them all; never that of a hole."""
    return 2 * (crc32c + 1) + whole
