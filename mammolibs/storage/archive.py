"""Data sets that come as one archive: unpacked once, beside the run that asked for them."""

from __future__ import annotations

import errno
import hashlib
import shutil
import tarfile
import zipfile
from pathlib import Path

from tqdm import tqdm
from tqdm.utils import CallbackIOWrapper

from mammolibs.errors import BadFile
from mammolibs.storage.places import alone

ARCHIVE_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".zip")


def is_archive(path: str | Path) -> bool:
    """True where the path is a file whose name says that it is an archive."""
    return Path(path).is_file() and is_archive_name(path)


def is_archive_name(path: str | Path) -> bool:
    """True where a path or an address ends like that of an archive; touches no file."""
    return str(path).lower().endswith(ARCHIVE_ENDINGS)


def unpack(archive: str | Path, folder: str | Path) -> Path:
    """Unpack an archive into `folder`/<name of the archive>-<its size and date>, once; returns that folder.

    A later call with the same unchanged archive returns at once, one that comes meanwhile, also of
    another process, waits. Members that would land outside the folder are refused.

    Raises BadFile where the archive is damaged or would not fit on the disk.
    """
    archive = Path(archive)
    stat = archive.stat()
    key = hashlib.sha256(f"{archive.resolve()} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()[:8]
    target = Path(folder) / f"{archive.name.split('.')[0]}-{key}"
    if target.is_dir():
        return target
    lock = target.with_name(f".{target.name}.lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()
    except OSError as error:
        raise BadFile(lock.parent, f"cannot be written ({error.strerror})", "choose a folder that you may write to") from error
    with alone(lock):
        # Another may have unpacked it while this one waited.
        if not target.is_dir():
            _unpack_whole(archive, target)
    return target


def _unpack_whole(archive: Path, target: Path) -> None:
    """Unpack beside and rename, so that the target is whole or not there."""
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir()
        _extract(archive, part)
        part.rename(target)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BadFile(part.parent, f"cannot be written ({error.strerror})", "free some disk space or choose another folder") from error
        raise BadFile(archive, f"cannot be unpacked ({error})", "download it again, or unpack it yourself and give the folder") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _extract(archive: Path, folder: Path) -> None:
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as opened:
            members = opened.infolist()
            _check_room(archive, folder, sum(m.file_size for m in members))
            with _bar(archive, sum(m.compress_size for m in members)) as bar:
                for member in members:
                    opened.extract(member, folder)
                    bar.update(member.compress_size)
    else:
        # The bar follows what is read of the archive: a compressed tar does not say how much it unpacks to.
        with open(archive, "rb") as file, _bar(archive, archive.stat().st_size) as bar:
            with tarfile.open(fileobj=CallbackIOWrapper(bar.update, file, "read")) as opened:
                opened.extractall(folder, filter="data")


def _bar(archive: Path, size: int) -> tqdm:
    return tqdm(total=size, desc=f"unpack {archive.name}", unit="B", unit_scale=True, delay=2.0, leave=False)


def _check_room(archive: Path, folder: Path, needed_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed_bytes > free:
        raise BadFile(archive, f"unpacks to {needed_bytes} bytes, {free} are free", "free some disk space")
