"""A DICOM header, read up to the pixel data and no further."""

from __future__ import annotations

import io
import math
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import pydicom
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread, read_dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from mammolibs.errors import BadFile
from mammolibs.imaging.guard import printable, quiet, reading

PIXEL_DATA = 0x7FE00010
FLOAT_PIXEL_DATA = (0x7FE00008, 0x7FE00009)
# The largest film scans have 60 MB; a deflated file that grows far beyond is a bomb, not an image.
MAX_INFLATED_BYTES = 256 << 20
MAX_DEPTH = 64
# Longest text that a fact may have; the elements read so are of 64 characters at most (PS3.5 6.2).
MAX_TEXT = 256
# One level of nesting takes at least an element header and an item header.
BYTES_PER_LEVEL = 16
ITEM = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")


class Elements(dict[str, Any]):
    """Elements by keyword with the values that pydicom gives them, where pydicom has not read them.

    A single text is one printable line already, several values are a tuple, items of a sequence a list of `Elements`.
    """


@dataclass(frozen=True, kw_only=True, eq=False)
class DicomHeader:
    """A parsed header, and the open file at the first byte of the pixel data element.

    syntax: transfer syntax UID, as found or, where the file does not say, as recognised.
    """

    path: str
    dataset: Dataset
    syntax: str
    little_endian: bool
    file: BinaryIO


@contextmanager
def open_header(path: str | os.PathLike) -> Iterator[DicomHeader]:
    """The header of a DICOM file, with the file still open for its pixels.

    Raises BadFile for a file that is no DICOM, unpacks to more than 256 MB, or nests its
    sequences more than 64 deep.
    """
    with reading(path), open(path, "rb") as file:
        yield read_header(path, file)


def read_header(path: str | os.PathLike, file: BinaryIO) -> DicomHeader:
    """As `open_header`, of a file that is open; other errors than BadFile are pydicom's."""
    syntax, offset = _meta_syntax(file)
    with quiet():
        if syntax == DeflatedExplicitVRLittleEndian:
            file.seek(offset)
            source: BinaryIO = io.BytesIO(_inflate(path, file))
            dataset = read_dataset(source, False, True, stop_when=_at_pixels)
            little = True
        else:
            file.seek(0)
            dataset = dcmread(file, stop_before_pixels=True, force=True)
            implicit, little = dataset.original_encoding
            syntax = syntax or _plain_syntax(implicit, little)
            source = file
        _check_depth(path, dataset)
    return DicomHeader(path=str(path), dataset=dataset, syntax=str(syntax), little_endian=bool(little), file=source)


def value_of(dataset: Dataset | Elements, keyword: str, default: Any = None) -> Any:
    """The value of an element, or the default where it is absent, empty or not readable as what it claims to be."""
    if type(dataset) is Elements:
        return dataset.get(keyword, default)
    try:
        value = dataset.get(keyword)
    except Exception:  # pydicom raises a dozen kinds for malformed values; such a value says nothing
        return default
    if value is None or (hasattr(value, "__len__") and len(value) == 0):
        return default
    return value


def text_of(dataset: Dataset | Elements, keyword: str) -> str:
    """The value as one printable line; the first of several; empty where there is none."""
    if type(dataset) is Elements:
        value = dataset.get(keyword, "")
        return value if type(value) is str else printable(value[0], MAX_TEXT)
    value = value_of(dataset, keyword, "")
    if isinstance(value, (list, pydicom.multival.MultiValue)):
        value = value[0]
    return printable(str(value), MAX_TEXT)


def numbers_of(dataset: Dataset | Elements, keyword: str) -> tuple[float, ...]:
    """All values as finite numbers; empty where there is none or one is not a number."""
    value = dataset.get(keyword) if type(dataset) is Elements else value_of(dataset, keyword)
    if value is None:
        return ()
    if isinstance(value, (int, float)):
        return (float(value),) if abs(value) < math.inf else ()
    values = value if isinstance(value, (list, tuple, pydicom.multival.MultiValue)) else (value,)
    try:
        numbers = tuple(float(v) for v in values)
    except (TypeError, ValueError):
        return ()
    return numbers if all(abs(n) < math.inf for n in numbers) else ()


def items_of(dataset: Dataset | Elements, keyword: str) -> list[Dataset | Elements]:
    """The items of a sequence; empty where it is absent or no sequence."""
    value = value_of(dataset, keyword, ())
    if not value or not isinstance(value, (list, pydicom.Sequence)):
        return []
    return [item for item in value if isinstance(item, (Elements, Dataset))]


def frame_group(dataset: Dataset | Elements, keyword: str, frame: int) -> Dataset | Elements | None:
    """The first item of a functional group: the frame's own, else the shared one, else None."""
    frames = items_of(dataset, "PerFrameFunctionalGroupsSequence")
    shared = items_of(dataset, "SharedFunctionalGroupsSequence")
    for group in frames[frame : frame + 1] + shared[:1]:
        items = items_of(group, keyword)
        if items:
            return items[0]
    return None


def _at_pixels(tag: int, vr: str | None, length: int) -> bool:
    return tag == PIXEL_DATA or tag in FLOAT_PIXEL_DATA


def _plain_syntax(implicit: bool | None, little: bool | None) -> str:
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def _meta_syntax(file: BinaryIO) -> tuple[str, int]:
    """Transfer syntax UID and end of the file meta group (PS3.10 7.1: always explicit VR little endian).

    ("", 0) where there is no such group: the file then starts with the data set.
    """
    head = file.read(132)
    if head[128:] != b"DICM":
        file.seek(0)
    syntax = ""
    while True:
        start = file.tell()
        element = file.read(8)
        if len(element) < 8:
            return syntax, start
        group, number, vr, length = struct.unpack("<HH2sH", element)
        if group != 2:
            return syntax, start
        if vr in (b"OB", b"OW", b"UN", b"SQ", b"UT"):
            (length,) = struct.unpack("<I", file.read(4).ljust(4, b"\0"))
        value = file.read(min(length, 1 << 20))
        if number == 0x0010:
            syntax = printable(value.decode("ascii", "replace"), MAX_TEXT)


def _inflate(path: str | os.PathLike, file: BinaryIO) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    data = inflater.decompress(file.read(), MAX_INFLATED_BYTES)
    if inflater.unconsumed_tail:
        raise BadFile(path, f"unpacks to more than {MAX_INFLATED_BYTES >> 20} MB", "it is no mammogram; leave it out")
    if not inflater.eof:
        raise BadFile(path, "is cut short (its deflated data has no end)", "copy it again from where it came from")
    return data


def _check_depth(path: str | os.PathLike, dataset: Dataset) -> None:
    waiting = [(dataset, 1)]
    while waiting:
        current, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise BadFile(path, f"has sequences nested more than {MAX_DEPTH} deep", "export it again from where it came from")
        for tag in list(current.keys()):
            element = current.get_item(tag)
            if element.VR not in ("SQ", "UN", None):
                continue
            raw = element.value
            # Bytes of an unknown kind are a sequence where they begin with an item; to read others as one would find anything in them.
            shallow = isinstance(raw, bytes) and len(raw) < (MAX_DEPTH - depth) * BYTES_PER_LEVEL
            if shallow or (isinstance(raw, bytes) and element.VR == "UN" and raw[:4] not in ITEM):
                continue
            waiting += [(item, depth + 1) for item in _items_at(current, tag)]


def _items_at(dataset: Dataset, tag: int) -> list[Dataset]:
    try:
        value = dataset[tag].value
    except RecursionError:
        raise
    except Exception:  # a malformed sequence is not followed; what needs its content will say so
        return []
    return list(value) if isinstance(value, pydicom.Sequence) else []
