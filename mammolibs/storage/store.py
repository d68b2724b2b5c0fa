"""A flat name -> bytes store over a folder, memory or a bucket; writes are whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import threading
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from mammolibs.errors import BadConfig, BadFile, RuntimeUnavailable

# One for all memory stores: a lock of its own would keep a store from being pickled.
_MEMORY_LOCK = threading.Lock()


class ChangedByAnother(BadFile):
    """A conditional write came too late: the object is no longer, or not yet, what the writer took it for."""


class Store(Protocol):
    """Names are relative, with "/" between parts. Missing names raise BadFile."""

    location: str

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes: ...
    def write(self, name: str, data: bytes) -> None: ...
    def exists(self, name: str) -> bool: ...
    def size(self, name: str) -> int: ...
    def list(self, prefix: str = "") -> list[str]: ...
    def delete(self, name: str) -> None: ...


@runtime_checkable
class GuardedStore(Store, Protocol):
    """A store that numbers every state of an object (its generation), so that of two writers exactly one wins.

    Buckets and memory do. A folder does not: a file system has no such number and no call
    that compares and replaces at once; one writer is kept alone there by a file lock.
    """

    def read_with_generation(self, name: str) -> tuple[bytes, int]:
        """The whole object and the generation that these bytes are."""
        ...

    def generation(self, name: str) -> int:
        """The generation of an object, 0 where there is none."""
        ...

    def write_if(self, name: str, data: bytes, generation: int) -> int:
        """Write where the object still is that generation (0: where there is none); the new generation.

        Raises ChangedByAnother, with nothing written, where it is not.
        """
        ...


def open_store(location: str | os.PathLike) -> Store:
    """The store for a location: a folder (made on the first write), `gs://bucket/prefix`, or an archive (`zip:///x.zip`, `tar:///x.tar`).

    Raises RuntimeUnavailable for another scheme and where google-cloud-storage is not
    installed, BadConfig for an address that names no bucket.
    """
    text = str(location)
    if text.startswith("gs:/") and not text.startswith("gs://"):
        raise BadConfig(f"{text}: a bucket's address has two slashes (a pathlib.Path drops one); write gs://BUCKET/PREFIX")
    if text.startswith("gs://"):
        try:
            from mammolibs.storage.gcs import GcsStore
        except ImportError as error:
            raise RuntimeUnavailable(f"{text}: google-cloud-storage does not import ({error}); pip install 'mammolibs[gcs]'") from error
        return GcsStore(text)
    if text.startswith(("zip://", "tar://")):
        from mammolibs.storage.packed import PackedStore

        return PackedStore(text)
    if "://" in text:
        raise RuntimeUnavailable(f"{text}: only folders and gs://BUCKET/PREFIX are read and written; copy the data to one of them")
    return LocalStore(text)


def write_atomic(path: str | os.PathLike, data: bytes) -> None:
    """Write beside and rename, so that a reader sees the old file or the new one, never half.

    Raises BadFile where the folder cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise BadFile(path, f"cannot be written ({error.strerror})", "choose a folder that you may write to") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        _remove(temporary)
        raise BadFile(path, f"cannot be written ({error.strerror})", "free some disk space or choose another folder") from error
    except BaseException:
        _remove(temporary)
        raise


def json_bytes(value: Any) -> bytes:
    """A value as indented JSON. NaN and infinity raise ValueError."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write a value as indented JSON, whole or not at all. NaN and infinity raise ValueError."""
    write_atomic(path, json_bytes(value))


class LocalStore:
    """A folder as a store."""

    def __init__(self, folder: str | os.PathLike):
        self.location = str(folder)
        self.folder = Path(folder)

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        path = self.folder / name
        try:
            with open(path, "rb") as file:
                file.seek(start)
                data = file.read() if length is None else file.read(length)
        except OSError as error:
            raise BadFile(path, f"cannot be read ({error.strerror})", "check that it is there and readable") from error
        if length is not None and len(data) != length:
            raise BadFile(path, f"ends after {start + len(data)} bytes, {start + length} expected", "make it again; it was cut short")
        return data

    def write(self, name: str, data: bytes) -> None:
        write_atomic(self.folder / name, data)

    def exists(self, name: str) -> bool:
        return (self.folder / name).is_file()

    def size(self, name: str) -> int:
        try:
            return (self.folder / name).stat().st_size
        except OSError as error:
            raise BadFile(self.folder / name, f"cannot be read ({error.strerror})", "check that it is there") from error

    def list(self, prefix: str = "") -> list[str]:
        below = self.folder / prefix.rpartition("/")[0]
        names = (p.relative_to(self.folder).as_posix() for p in below.rglob("*") if p.is_file())
        return sorted(n for n in names if n.startswith(prefix))

    def delete(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)


class MemoryStore:
    """A store that lives in this process: the double for tests and for users who embed mammolibs. A GuardedStore."""

    def __init__(self, location: str = "memory"):
        self.location = location
        self._data: dict[str, tuple[bytes, int]] = {}
        self._generation = 0

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        whole = self._get(name)[0]
        data = whole[start:] if length is None else whole[start : start + length]
        if length is not None and len(data) != length:
            raise BadFile(f"{self.location}/{name}", "is shorter than expected", "make it again; it was cut short")
        return data

    def read_with_generation(self, name: str) -> tuple[bytes, int]:
        return self._get(name)

    def generation(self, name: str) -> int:
        return self._data.get(name, (b"", 0))[1]

    def write(self, name: str, data: bytes) -> None:
        with _MEMORY_LOCK:
            self._put(name, data)

    def write_if(self, name: str, data: bytes, generation: int) -> int:
        with _MEMORY_LOCK:
            there = self._data.get(name, (b"", 0))[1]
            if there != generation:
                problem = f"is generation {there}, not {generation}: another writer has changed it"
                raise ChangedByAnother(f"{self.location}/{name}", problem, "read it again")
            return self._put(name, data)

    def exists(self, name: str) -> bool:
        return name in self._data

    def size(self, name: str) -> int:
        return len(self._get(name)[0])

    def list(self, prefix: str = "") -> list[str]:
        return sorted(n for n in self._data if n.startswith(prefix))

    def delete(self, name: str) -> None:
        self._data.pop(name, None)

    def _put(self, name: str, data: bytes) -> int:
        self._generation += 1
        self._data[name] = (bytes(data), self._generation)
        return self._generation

    def _get(self, name: str) -> tuple[bytes, int]:
        try:
            return self._data[name]
        except KeyError:
            raise BadFile(f"{self.location}/{name}", "is not there", "check the name") from None


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
