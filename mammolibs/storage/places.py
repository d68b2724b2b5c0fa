"""Where things lie: folders and addresses of buckets by one set of names; this machine's cache."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mammolibs.errors import BadConfig, BadFile, RuntimeUnavailable
from mammolibs.storage.packed import SCHEMES, archive_of
from mammolibs.storage.store import GuardedStore, Store, open_store

CACHE_VARIABLE = "MAMMOLIBS_CACHE"
# What a file with a key of pseudonyms begins with; the key is 64 hexadecimal digits.
KEY_MARK = "mammolibs de-identification key, keep it to yourself: "
KEY_FILE_BYTES = 256
LONGEST_NAME = 60


def is_address(location: str | os.PathLike) -> bool:
    """True for `gs://...` and the like, False for a path."""
    return "://" in str(location)


def is_local(location: str | os.PathLike) -> bool:
    """True for what lies on this machine: a path, and an address inside an archive on its disk."""
    scheme, mark, _ = str(location).partition("://")
    return not mark or scheme in SCHEMES


def below(location: str | os.PathLike, *names: str) -> Path | str:
    """The location of something below a location: a Path in a folder, text in a bucket."""
    if is_address(location):
        return "/".join((str(location).rstrip("/"), *names))
    return Path(location, *names)


def disk_file(location: str | os.PathLike) -> str | None:
    """The file of this machine that holds a location's bytes, of what lies in an archive the archive; None for what lies in a bucket
    and for an archive that is not there."""
    if not is_address(location):
        return str(location)
    archive = archive_of(str(location)) if is_local(location) else None
    return None if archive is None else str(archive)


def disk_stamp(location: str | os.PathLike) -> tuple[int, int] | None:
    """What tells that a location on this machine holds other bytes by now: size and time of change (ns) of its `disk_file`.

    None where that is not there, and for what lies in a bucket.
    """
    if (file := disk_file(location)) is None:
        return None
    try:
        stat = os.stat(file)
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


def locate(location: str | os.PathLike) -> tuple[Store, str]:
    """The store of the folder that a file or folder lies in, and its name there.

    Raises BadConfig for a bucket, which lies in no folder, and what `open_store` raises.
    """
    if is_address(location):
        folder, _, name = str(location).rstrip("/").rpartition("/")
        if folder.endswith(":/"):
            raise BadConfig(f"{location}: is a whole bucket, where a place in one is needed; write {folder}/{name}/NAME")
        return open_store(folder), name
    path = Path(location)
    return open_store(path.parent), path.name


@dataclass(frozen=True)
class Place:
    """Where a file lies or will lie. With a generation it is only written where nobody has written it since."""

    store: Store
    name: str
    generation: int | None = None

    @classmethod
    def seen(cls, location: str | os.PathLike) -> Place:
        """The place as it now is; a folder cannot tell later (see `GuardedStore`), there the last of several writers stays."""
        store, name = locate(location)
        return cls(store, name, store.generation(name) if isinstance(store, GuardedStore) else None)

    def write(self, data: bytes) -> None:
        """Whole or not at all. Raises ChangedByAnother, with nothing written, where it is no longer what was looked at."""
        if self.generation is None:
            self.store.write(self.name, data)
        else:
            self.store.write_if(self.name, data, self.generation)


@contextlib.contextmanager
def local_file(location: str | os.PathLike) -> Iterator[Path]:
    """A path with the file's bytes, for readers that want one: its own, or of an address a copy that is removed afterwards.

    The copy has the file's ending, and one request brings it. A BadFile that is raised about the copy comes out with
    the address. Raises what the store raises, and RuntimeUnavailable where there is no room for a copy: the file is not to blame.
    """
    if not is_address(location):
        yield Path(location)
        return
    store, name = locate(location)
    data = store.read(name)
    with contextlib.ExitStack() as stack:
        try:
            # The name of an object may be longer than a file's.
            copy = Path(stack.enter_context(tempfile.TemporaryDirectory()), name[-LONGEST_NAME:])
            copy.write_bytes(data)
        except OSError as error:
            place = tempfile.tempdir or "the temporary folder"
            raise RuntimeUnavailable(f"{place}: cannot be written ({error.strerror}); free some disk space or set TMPDIR") from error
        try:
            yield copy
        except BadFile as error:
            if error.file != str(copy):
                raise
            raise BadFile(location, error.problem, error.remedy) from error


def cache_folder() -> Path:
    """Where this machine keeps copies: $MAMMOLIBS_CACHE, else ~/.cache/mammolibs."""
    return Path(os.environ.get(CACHE_VARIABLE) or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "mammolibs")


def is_key(path: Path) -> bool:
    """True for a file with a key of pseudonyms, which no bucket gets."""
    try:
        if path.stat().st_size > KEY_FILE_BYTES:
            return False
        with open(path, "rb") as file:
            return file.read(len(KEY_MARK)) == KEY_MARK.encode()
    except OSError:
        return False


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Of all threads and processes of this machine, one at a time is in here; `path` is a file that serves as the lock."""
    with open(path, "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def only_writer(folder: str | os.PathLike, lock_name: str) -> Iterator[None]:
    """One process at a time is in here for a folder, which is made if need be; a hidden file in it serves as the lock. A bucket has none.

    Raises BadFile where another is in here, and where the folder cannot be written. A process that died is not in here.
    """
    if is_address(folder):
        yield
        return
    with contextlib.ExitStack() as stack:
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context(open(Path(folder, lock_name), "a"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadFile(folder, "is in use by another process", "wait until it has ended, or take another folder") from None
        except OSError as error:
            raise BadFile(folder, f"cannot be written ({error.strerror})", "choose a folder that you may write to") from error
        yield
