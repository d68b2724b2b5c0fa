"""A zip or a plain tar as a store that is read where it lies: no second copy of a data set on the disk.

    zip:///data/set.zip/images/a.dcm        tar:///data/set.tar/images/a.dcm

A compressed tar cannot be entered in the middle; it is unpacked (`archive.unpack`).
"""

from __future__ import annotations

import functools
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mammolibs.errors import BadConfig, BadFile

SCHEMES = {"zip": ".zip", "tar": ".tar"}


def packed_address(archive: str | Path) -> str | None:
    """The address of an archive that can be read where it lies, None for one that must be unpacked."""
    path = Path(archive).absolute()
    for scheme, ending in SCHEMES.items():
        if path.name.lower().endswith(ending):
            return f"{scheme}://{path.as_posix()}"
    return None


def archive_of(address: str) -> Path | None:
    """The archive that an address leads into; None where it is not there."""
    return _split(address)[0]


class PackedStore:
    """The members of an archive below a folder of it; nothing can be written.

    Its table of contents is read once in a process. Raises BadConfig for an address that
    names no archive, BadFile where that is damaged. Members that leave the archive's own
    folder, links and what is no file are not there. A zip's members are checked by
    their checksums when they are read to their ends; a plain tar has none.
    """

    def __init__(self, location: str):
        self.location = location
        scheme = location.partition("://")[0]
        archive, inside = _split(location)
        if archive is None:
            raise BadConfig(f"{location}: names no archive that is there; write {scheme}:///FOLDER/NAME{SCHEMES[scheme]}")
        self.archive = archive
        self._prefix = f"{inside}/" if inside else ""
        stat = os.stat(archive)
        self._key = scheme, str(archive), stat.st_size, stat.st_mtime_ns
        _contents(*self._key, os.getpid())

    @property
    def _contents(self) -> _Contents:
        """Of this process: one that was forked would share its parent's place in the file."""
        return _contents(*self._key, os.getpid())

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        size, opened = self._find(name), self._contents.open
        if length is not None and start + length > size:
            raise BadFile(self._called(name), f"ends after {size} bytes, {start + length} expected", "make it again; it was cut short")
        try:
            with opened(self._prefix + name) as file:
                file.seek(min(start, size))
                data = file.read() if length is None else file.read(length)
        except (OSError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, tarfile.TarError, zlib.error) as error:
            raise BadFile(self._called(name), f"cannot be read ({error})", "download the archive again") from error
        if len(data) != (max(0, size - start) if length is None else length):
            raise BadFile(self._called(name), "is cut short", "download the archive again")
        return data

    def exists(self, name: str) -> bool:
        return self._prefix + name in self._contents.sizes

    def size(self, name: str) -> int:
        return self._find(name)

    def list(self, prefix: str = "") -> list[str]:
        whole = self._prefix + prefix
        return sorted(name[len(self._prefix) :] for name in self._contents.sizes if name.startswith(whole))

    def checksums(self, prefix: str = "") -> dict[str, tuple[int, int]]:
        """name -> (bytes, a number that is another one where the member is): a zip's CRC-32, in a tar what changes with the file."""
        states = self._contents.states
        return {name: (self.size(name), states[self._prefix + name]) for name in self.list(prefix)}

    def write(self, name: str, data: bytes) -> None:
        raise BadFile(self._called(name), "lies in an archive, which is only read", "choose a folder to write to")

    def delete(self, name: str) -> None:
        raise BadFile(self._called(name), "lies in an archive, which is only read", "choose a folder to write to")

    def _called(self, name: str) -> str:
        return f"{self.location}/{name}"

    def _find(self, name: str) -> int:
        try:
            return self._contents.sizes[self._prefix + name]
        except KeyError:
            raise BadFile(self._called(name), "is not there", "check the name") from None


@dataclass(frozen=True)
class _Contents:
    """sizes: member -> bytes when unpacked. states: member -> a number of 32 bits. open: member -> a file that can be read and sought."""

    sizes: dict[str, int]
    states: dict[str, int]
    open: Callable[[str], IO[bytes]]


def _split(address: str) -> tuple[Path | None, str]:
    """The archive among the parts of an address, and what comes behind it."""
    path = Path("/" + address.partition("://")[2].lstrip("/"))
    for candidate in (path, *path.parents):
        if candidate.is_file():
            return candidate, "/".join(path.relative_to(candidate).parts)
    return None, ""


@functools.lru_cache(maxsize=8)
def _contents(scheme: str, archive: str, size: int, changed_ns: int, process: int) -> _Contents:
    """The table of contents, once for a process. size, changed_ns: an archive that was replaced is read anew."""
    try:
        return _zip_contents(archive) if scheme == "zip" else _tar_contents(archive)
    except (zipfile.BadZipFile, tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise BadFile(archive, f"is no archive that can be read ({error})", "download it again") from error


def _zip_contents(archive: str) -> _Contents:
    opened = zipfile.ZipFile(archive)
    members = {entry.filename: entry for entry in opened.infolist() if not entry.is_dir() and _is_inside(entry.filename)}
    sizes, states = ({name: getattr(entry, fact) for name, entry in members.items()} for fact in ("file_size", "CRC"))
    return _Contents(sizes, states, lambda name: opened.open(members[name]))


def _tar_contents(archive: str) -> _Contents:
    changed = os.stat(archive).st_mtime_ns
    with tarfile.open(archive, "r:") as opened:
        files = [entry for entry in opened if entry.isreg() and not entry.issparse()]
        places = {entry.name.removeprefix("./"): (entry.offset_data, entry.size) for entry in files}
    places = {name: place for name, place in places.items() if _is_inside(name)}
    sizes = {name: size for name, (_, size) in places.items()}
    states = {name: (start ^ changed) & 0xFFFFFFFF for name, (start, _) in places.items()}
    return _Contents(sizes, states, lambda name: _Part(archive, *places[name]))


def _is_inside(name: str) -> bool:
    return not name.startswith(("/", "\\")) and ".." not in name.replace("\\", "/").split("/")


class _Part:
    """A stretch of a file as a file."""

    def __init__(self, archive: str, start: int, size: int):
        self._file, self._start, self._left = open(archive, "rb"), start, size
        self._file.seek(start)

    def seek(self, place: int) -> None:
        self._left -= place
        self._file.seek(self._start + place)

    def read(self, length: int | None = None) -> bytes:
        return self._file.read(self._left if length is None else min(length, self._left))

    def __enter__(self) -> _Part:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
