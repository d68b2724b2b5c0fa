"""The catalog on disk: one Parquet table, a column per field of `ImageRow`, lesions nested."""

from __future__ import annotations

import dataclasses
import io
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mammolibs.catalog.hashes import data_hash, split_hash
from mammolibs.errors import BadFile
from mammolibs.records import ImageRow
from mammolibs.storage import write_atomic


def write_catalog(path: str | Path, rows: Sequence[ImageRow]) -> None:
    """Write rows as Parquet (zstd), whole or not at all.

    Files below the table's own folder (unpacked archives) are named relative to it, so
    that a run's folder can be moved. Raises BadFile where it cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = Path(path).absolute().parent
    records = [dataclasses.asdict(_with_paths(row, lambda text: _below(text, folder))) for row in rows]
    schema = pa.schema([(name, _arrow_type(hint)) for name, hint in typing.get_type_hints(ImageRow).items()])
    facts = {"mammolibs.data_hash": data_hash(rows), "mammolibs.split_hash": split_hash(rows)}
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(records, schema=schema.with_metadata(facts)), buffer, compression="zstd")
    write_atomic(path, buffer.getvalue())


def read_catalog(path: str | Path) -> list[ImageRow]:
    """The rows of a catalog that `write_catalog` wrote. Raises BadFile."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    remedy = "make it with dataset_enhancement/build_catalog.py"
    try:
        records = pq.read_table(path).to_pylist()
    except FileNotFoundError as error:
        raise BadFile(path, "is not there", remedy) from error
    except (pa.ArrowInvalid, OSError) as error:
        raise BadFile(path, f"is no catalog ({str(error).splitlines()[0]})", remedy) from error
    folder = Path(path).absolute().parent
    try:
        return [_with_paths(_build(ImageRow, record), lambda text: str(folder / text)) for record in records]
    except (TypeError, ValueError) as error:
        raise BadFile(path, f"is no catalog of this version ({error})", remedy) from error


def _with_paths(row: ImageRow, change: Callable[[str], str]) -> ImageRow:
    lesions = tuple(
        replace(lesion, outline=replace(lesion.outline, path=change(lesion.outline.path))) if lesion.outline.path else lesion
        for lesion in row.lesions
    )
    return replace(row, path=change(row.path), lesions=lesions)


def _below(text: str, folder: Path) -> str:
    path = Path(text)
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else text


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
        inner = typing.get_type_hints(hint)
        return hint(**{name: _build(inner[name], part) for name, part in value.items() if name in inner})
    if typing.get_origin(hint) is tuple:
        return tuple(_build(typing.get_args(hint)[0], part) for part in value)
    parts = [part for part in typing.get_args(hint) if part is not types.NoneType]
    return _build(parts[0], value) if parts else value
