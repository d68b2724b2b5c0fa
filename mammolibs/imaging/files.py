"""Which files look like images, by name and by their first bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

DICOM_ENDINGS = (".dcm", ".dicom", ".dic", ".ima")
PLAIN_ENDINGS = (".png", ".pgm", ".jpg", ".jpeg", ".tif", ".tiff")
HEAD_BYTES = 132


def kind_of(head: bytes) -> str:
    """ "png", "pgm", "jpeg", "tiff", "dicom" or "" for the first 132 bytes of a file.

    DICOM is told by its mark at byte 128, or, where an old file has no preamble, by a
    first element of group 0002 or 0008 in either byte order. The preamble before the mark may
    be that of a TIFF (PS3.10 section 7.1).
    """
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return "png"
    if head[:2] == b"P5" and head[2:3].isspace():
        return "pgm"
    if head[:3] == b"\xff\xd8\xff":
        return "jpeg"
    if head[:4] in (b"II*\0", b"MM\0*") and head[128:132] != b"DICM":
        return "tiff"
    if head[128:132] == b"DICM" or head[:4] == b"DICM" or head[:2] in (b"\x08\x00", b"\x00\x08", b"\x02\x00", b"\x00\x02"):
        return "dicom"
    return ""


def is_dicomdir(path: str | os.PathLike) -> bool:
    """True for the name of a medium's list of files, a DICOM file without an image; some systems show it in lower case."""
    return Path(path).name.upper() == "DICOMDIR"


def is_image_name(path: str | os.PathLike) -> bool:
    """True where the name ends like an image that mammolibs reads; touches no file."""
    return Path(path).suffix.lower() in DICOM_ENDINGS + PLAIN_ENDINGS


def iter_image_files(folder: str | os.PathLike) -> Iterator[Path]:
    """The files below a folder that look like images, sorted; hidden files and folders are left out.

    A name without a known ending counts where the file has the DICOM mark, since many
    archives store DICOM without an ending or under its UID.
    """
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted(names):
            path = Path(place) / name
            if not name.startswith(".") and not is_dicomdir(name) and (is_image_name(name) or _has_dicom_mark(path)):
                yield path


def _has_dicom_mark(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(HEAD_BYTES)[128:] == b"DICM"
    except OSError:
        return False
