"""Whether a file is or holds DICOM, or the key: what may not leave a machine as it is."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from mammolibs.errors import BadFile
from mammolibs.imaging.files import DICOM_ENDINGS, HEAD_BYTES, is_dicomdir, kind_of
from mammolibs.storage import KEY_MARK

_PACKED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
# Packed in a way that is not looked into: 7z, rar, zstd, lz4, and a CD's image (ISO 9660), whose mark lies in its 17th sector.
_CLOSED = (b"7z\xbc\xaf\x27\x1c", b"Rar!", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18")
_CD_MARK, _CD_PLACE = b"CD001", 32769
# What a shard's members are packed with.
_OWN_MEMBER = ".mask.zst"
_DAMAGED = (zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile)
_FAULTS = (OSError, EOFError, ValueError, NotImplementedError, RuntimeError, *_DAMAGED)


def is_dicom(path: str | os.PathLike) -> bool:
    """True for a file that begins like DICOM or is named like it. Raises BadFile where it cannot be read."""
    with _reading(path) as file:
        return _is_dicom(Path(path).name, file.read(HEAD_BYTES))


def refuse_as_is(path: str | os.PathLike) -> None:
    """Raises BadFile for a DICOM file, a de-identification key, and an archive (tar, zip; gz, bz2, xz) that holds a file of either kind.

    Archives of other kinds (7z, rar, zstd, lz4, the image of a CD) and those inside archives are refused too: nobody has looked into them.
    """
    for name, head in _heads(Path(path)):
        inside = f" inside it ({name})" if name else ""
        if _is_dicom(name or Path(path).name, head):
            raise BadFile(path, f"is DICOM, which never leaves as it is{inside}", "upload the unpacked folder with --key")
        if head.startswith(KEY_MARK[:HEAD_BYTES].encode()):
            raise BadFile(path, f"is a de-identification key{inside}", "move it out of the folder; no key leaves your hands")
        if _is_closed(path, name, head) or (name and (_packed(head) or head[:4] == b"PK\3\4")):
            what = f"holds an archive{inside}" if name else "is an archive of a kind"
            raise BadFile(path, f"{what} that is not looked into", "unpack it first")


def _heads(path: Path) -> Iterator[tuple[str, bytes]]:
    """("", first bytes of the file), then (name, first bytes) of each member where it is an archive."""
    with _reading(path) as file:
        head = file.read(HEAD_BYTES)
    yield "", head
    try:
        # A tar whose last member is a zip ends like one.
        if tarfile.is_tarfile(path):
            with tarfile.open(path) as tar:
                for member in tar:
                    opened = tar.extractfile(member) if member.isfile() else None
                    yield member.name, opened.read(HEAD_BYTES) if opened else b""
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for member in archive.infolist():
                    with archive.open(member) as opened:
                        yield member.filename, opened.read(HEAD_BYTES)
        elif opener := _packed(head):
            with opener(path) as opened:
                yield path.stem, opened.read(HEAD_BYTES)
    except _FAULTS as error:
        raise BadFile(path, f"looks packed and cannot be unpacked ({error})", "unpack it, or leave it out") from error


def _is_closed(path: str | os.PathLike, name: str, head: bytes) -> bool:
    if head.startswith(_CLOSED) and not name.endswith(_OWN_MEMBER):
        return True
    if name:
        return False
    with _reading(path) as file:
        file.seek(_CD_PLACE)
        return file.read(len(_CD_MARK)) == _CD_MARK


def _packed(head: bytes):
    return next((opener for mark, opener in _PACKED.items() if head.startswith(mark)), None)


def _is_dicom(name: str, head: bytes) -> bool:
    base = Path(name)
    return kind_of(head) == "dicom" or base.suffix.lower() in DICOM_ENDINGS or is_dicomdir(base)


def _reading(path: str | os.PathLike) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise BadFile(path, f"cannot be read ({error.strerror})", "check that it is a readable file") from error
