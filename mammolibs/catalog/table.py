"""The catalog on disk: one Parquet table, a column per field of `ImageRow`, lesions nested."""

from __future__ import annotations

import dataclasses
import functools
import io
import json
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import google_crc32c

from mammolibs.catalog.hashes import as_values, data_hash, split_hash
from mammolibs.errors import BadFile
from mammolibs.records import ImageRow
from mammolibs.storage import Place, below, is_address, is_local, leaves_machine, locate, write_json

# Of all values: Parquet has none that covers the names of columns too, and other names would be other rows in silence.
CHECKSUM = "mammolibs.crc32c"


def write_catalog(path: str | Path | Place, rows: Sequence[ImageRow]) -> None:
    """Write rows as Parquet (zstd) to a path or a `gs://` address, whole or not at all.

    Files below the table's own folder (unpacked archives) are named relative to it, so
    that a run's folder can be moved. What goes to a bucket names no file of this machine: such a row has no path, and neither
    have its masks. Where it goes there by way of a folder on this machine, a hidden file beside it keeps them for `read_catalog`.

    Raises BadFile where it cannot be written, ChangedByAnother as `Place.write`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    place = path if isinstance(path, Place) else Place(*locate(path))
    folder = _folder(place.store.location)
    if leaves_machine(place.store.location):
        if not is_address(folder):
            write_json(_places_beside(folder, place.name), {row.image_id: _places(row) for row in rows})
        rows = [with_paths(row, lambda text: "" if is_local(text) else text) for row in rows]
    records = to_records(rows, folder)
    schema = pa.schema([(name, _arrow_type(hint)) for name, hint in typing.get_type_hints(ImageRow).items()])
    table = pa.Table.from_pylist(records, schema=schema)
    # In parts: all rows at once, as Python's values, would double what the catalog takes.
    checksum = _checksum(record for part in table.to_batches(max_chunksize=1000) for record in part.to_pylist())
    facts = {"mammolibs.data_hash": data_hash(rows), "mammolibs.split_hash": split_hash(rows), CHECKSUM: checksum}
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(facts), buffer, compression="zstd")
    place.write(buffer.getvalue())


def read_catalog(path: str | Path) -> list[ImageRow]:
    """The rows of a catalog that `write_catalog` wrote, at a path or a `gs://` address.

    Raises BadFile where it is missing, damaged or no catalog, and what the bucket raises. A table of an
    earlier version, or of another tool, has no checksum and is taken as it is.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    remedy = "make it with dataset_enhancement/build_catalog.py"
    store, name = locate(path)
    if not store.exists(name):
        raise BadFile(path, "is not there", remedy)
    try:
        table = pq.read_table(io.BytesIO(store.read(name)))
        records = table.to_pylist()
    except (pa.ArrowException, ValueError, OSError) as error:
        raise BadFile(path, f"is no catalog ({' '.join(str(error).split())[:200]})", remedy) from error
    told = (table.schema.metadata or {}).get(CHECKSUM.encode())
    if told is not None and told.decode(errors="replace") != _checksum(records):
        raise BadFile(path, "does not match its checksum: it was damaged or edited", remedy)
    folder = _folder(store.location)
    try:
        return _placed(from_records(records, folder), folder, name)
    except (TypeError, ValueError) as error:
        raise BadFile(path, f"is no catalog of this version ({error})", remedy) from error


def to_records(rows: Sequence[ImageRow], folder: str) -> list[dict[str, Any]]:
    """The rows as plain values: JSON types, tuples for lists. Files below `folder`, a full path or an address, are named from there."""
    return [as_values(with_paths(row, lambda text: _below(text, folder))) for row in rows]


def from_records(records: Sequence[Mapping[str, Any]], folder: str) -> list[ImageRow]:
    """The rows that `to_records` made plain, with lists or tuples. Raises TypeError or ValueError for other records."""
    return [with_paths(_build(ImageRow, record), lambda text: _absolute(text, folder)) for record in records]


def with_paths(row: ImageRow, change: Callable[[str], str]) -> ImageRow:
    """The row with the paths of its image and of its lesions' masks changed."""
    lesions = tuple(
        replace(lesion, outline=replace(lesion.outline, path=change(lesion.outline.path))) if lesion.outline.path else lesion
        for lesion in row.lesions
    )
    return replace(row, path=change(row.path), lesions=lesions)


def _places(row: ImageRow) -> dict[str, Any]:
    return {"path": row.path, "masks": {lesion.lesion_id: lesion.outline.path for lesion in row.lesions if lesion.outline.path}}


def _places_beside(folder: str, name: str) -> Path:
    return Path(folder, f".{name}.places.json")


def _placed(rows: list[ImageRow], folder: str, name: str) -> list[ImageRow]:
    """The rows, with the places that this machine keeps of those that have none."""
    if is_address(folder) or not (kept := _places_beside(folder, name)).is_file():
        return rows
    places = json.loads(kept.read_text())
    return [_with_places(row, places[row.image_id]) if not row.path and row.image_id in places else row for row in rows]


def _with_places(row: ImageRow, places: Mapping[str, Any]) -> ImageRow:
    masks = places["masks"]
    lesions = (replace(one, outline=replace(one.outline, path=masks.get(one.lesion_id, one.outline.path))) for one in row.lesions)
    return replace(row, path=places["path"], lesions=tuple(lesions))


def _folder(location: str) -> str:
    return location if is_address(location) else str(Path(location).absolute())


def _below(text: str, folder: str) -> str:
    if is_address(folder) or is_address(text):
        return text.removeprefix(f"{folder}/")
    path = Path(text)
    return path.relative_to(folder).as_posix() if text.startswith(folder) and path.is_relative_to(folder) else text


def _absolute(text: str, folder: str) -> str:
    return text if not text or is_address(text) or Path(text).is_absolute() else str(below(folder, text))


def _arrow_type(hint: Any) -> Any:
    """The Arrow type of a record's field, from its annotation: new fields need no line here."""
    import pyarrow as pa

    plain = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    if hint in plain:
        return plain[hint]
    if dataclasses.is_dataclass(hint):
        return pa.struct([(name, _arrow_type(inner)) for name, inner in typing.get_type_hints(hint).items()])
    parts = [part for part in typing.get_args(hint) if part not in (Ellipsis, types.NoneType)]
    if typing.get_origin(hint) is tuple:
        return pa.list_(_arrow_type(parts[0]))
    return _arrow_type(parts[0])


def _build(hint: Any, value: Any) -> Any:
    """A value as Arrow hands it back, in the types of the record's annotation."""
    if value is None:
        return None
    if dataclasses.is_dataclass(hint):
        inner = _hints(hint)
        return hint(**{name: _build(inner[name], part) for name, part in value.items() if name in inner})
    if typing.get_origin(hint) is tuple:
        return tuple(_build(typing.get_args(hint)[0], part) for part in value)
    parts = [part for part in typing.get_args(hint) if part is not types.NoneType]
    return _build(parts[0], value) if parts else value


@functools.cache
def _hints(record: type) -> dict[str, Any]:
    """A record's annotations; evaluating them for each of 100,000 rows would take a minute."""
    return typing.get_type_hints(record)


def _checksum(records: Iterable[Mapping[str, Any]]) -> str:
    """crc32c of values as Arrow hands them back, which are not always those that it was given (7 becomes 7.0)."""
    checksum = 0
    for record in records:
        checksum = google_crc32c.extend(checksum, json.dumps(record).encode())
    return str(checksum)
