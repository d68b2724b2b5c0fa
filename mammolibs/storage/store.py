"""A flat name -> bytes store over a folder or memory; writes are whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any, Protocol

from mammolibs.errors import BadFile, RuntimeUnavailable


class Store(Protocol):
    """Names are relative, with "/" between parts. Missing names raise BadFile."""

    location: str

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes: ...
    def write(self, name: str, data: bytes) -> None: ...
    def exists(self, name: str) -> bool: ...
    def size(self, name: str) -> int: ...
    def list(self, prefix: str = "") -> list[str]: ...
    def delete(self, name: str) -> None: ...


def open_store(location: str | os.PathLike) -> Store:
    """The store for a location: a folder (made on the first write).

    Raises RuntimeUnavailable for a cloud address: this version reads and writes folders.
    """
    text = str(location)
    if "://" in text:
        raise RuntimeUnavailable(f"{text}: this version reads and writes local folders only; copy the data to a folder")
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


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write a value as indented JSON, whole or not at all. NaN and infinity raise ValueError."""
    write_atomic(path, (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


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
        names = (p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if p.is_file())
        return sorted(n for n in names if n.startswith(prefix))

    def delete(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)


class MemoryStore:
    """A store that lives in this process: the double for tests and for users who embed mammolibs."""

    def __init__(self, location: str = "memory"):
        self.location = location
        self._data: dict[str, bytes] = {}

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        data = self._get(name)[start:] if length is None else self._get(name)[start : start + length]
        if length is not None and len(data) != length:
            raise BadFile(f"{self.location}/{name}", "is shorter than expected", "make it again; it was cut short")
        return data

    def write(self, name: str, data: bytes) -> None:
        self._data[name] = bytes(data)

    def exists(self, name: str) -> bool:
        return name in self._data

    def size(self, name: str) -> int:
        return len(self._get(name))

    def list(self, prefix: str = "") -> list[str]:
        return sorted(n for n in self._data if n.startswith(prefix))

    def delete(self, name: str) -> None:
        self._data.pop(name, None)

    def _get(self, name: str) -> bytes:
        try:
            return self._data[name]
        except KeyError:
            raise BadFile(f"{self.location}/{name}", "is not there", "check the name") from None


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
