"""How much of the beginning of an image file `read_facts` looks at: for who has to fetch it from far away."""

from __future__ import annotations

import io

from mammolibs.errors import BadFile
from mammolibs.imaging.codestream import MAX_HEADER_BYTES, jpeg_codestream
from mammolibs.imaging.files import kind_of
from mammolibs.imaging.guard import reading
from mammolibs.imaging.header import read_header
from mammolibs.imaging.prefix import TooShort, read_prefix
from mammolibs.imaging.tiff import tiff_directory

# Of a PNG, a PGM and what is no image.
_PLAIN_BYTES = 4096
_GROWTH = 8


def bytes_needed(data: bytes, size: int) -> int:
    """How many of a file's first bytes `read_facts` needs, given some of them and the size of the file.

    More than `len(data)` says: fetch so many, and ask again. The rest of the file may be anything then, of the same size.
    """
    if len(data) >= size:
        return size
    kind = kind_of(data)
    if kind == "dicom":
        return _of_dicom(data)
    if kind == "jpeg":
        return _of_jpeg(data)
    return _of_tiff(data, size) if kind == "tiff" else min(len(data), _PLAIN_BYTES)


def _of_dicom(data: bytes) -> int:
    try:
        if found := read_prefix(data):
            return found.end
    except TooShort:
        return _GROWTH * len(data)
    file = _Beginning(data)
    try:
        with reading("header"):
            read_header("header", file)
    except BadFile:
        # What is damaged is so with the rest of the file too, unless that rest was asked for.
        pass
    return _GROWTH * len(data) if file.was_short else len(data)


def _of_jpeg(data: bytes) -> int:
    """A JPEG's header ends where its scan begins; what follows it is not looked at."""
    try:
        jpeg_codestream(data.ljust(MAX_HEADER_BYTES, b"\0"), whole=False)
    except ValueError:
        return len(data) if len(data) >= MAX_HEADER_BYTES else _GROWTH * len(data)
    return len(data)


def _of_tiff(data: bytes, size: int) -> int:
    """A TIFF's directory lies in front of its pixels or behind them."""
    try:
        with reading("header"):
            tiff_directory(data)
    except BadFile:
        return size
    return len(data)


class _Beginning(io.BytesIO):
    """The first bytes of a file; `was_short` where more of it was asked for."""

    was_short = False

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.was_short |= size is None or size < 0 or len(data) < size
        return data
