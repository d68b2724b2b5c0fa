"""The splits that can be audited: of a catalog, the official one of a source, anybody's CSV."""

from __future__ import annotations

import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mammolibs.catalog.build import build_catalog, parse_source
from mammolibs.catalog.files import read_key_mark
from mammolibs.catalog.label_tables import read_columns, read_csv
from mammolibs.catalog.sources import SOURCES
from mammolibs.catalog.table import read_catalog
from mammolibs.catalog.verdict import POOL
from mammolibs.catalog.words import filled
from mammolibs.errors import BadConfig, BadData, BadFile
from mammolibs.records import ImageRow
from mammolibs.storage import below, is_address, locate

if TYPE_CHECKING:
    from mammolibs.imaging import Pseudonyms

CATALOG = "catalog.parquet"
SPLIT_CHOICES = ("own", "official")


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which columns of a CSV say what. regex: finds the patient in the id (its first group, else all that matches);
    it or `group` must be given. image: path of the image file, absolute or relative to the table."""

    id: str
    split: str
    group: str = ""
    regex: str = ""
    image: str = ""
    exam: str = ""
    parent: str = ""
    official: str = ""


def catalog_file(path: str | Path) -> Path | str:
    """The table of a catalog that is given as its folder or as the table itself, at a path or a `gs://` address."""
    is_folder = not str(path).endswith(".parquet") if is_address(path) else Path(path).is_dir()
    return below(path, CATALOG) if is_folder else below(path)


def official_rows(rows: Sequence[ImageRow]) -> list[ImageRow]:
    """The rows with the official split as theirs. Raises BadData where one has none, or is in two of its parts."""
    without = [row for row in rows if not row.official_split]
    if len(without) == len(rows):
        raise BadData(
            f"none of these {len(rows)} images has an official split; audit the split of a catalog of them: --catalog FOLDER, without --split"
        )
    mixed = [row for row in rows if row.official_split == "mixed"]
    if without or mixed:
        image, problem = (without or mixed)[0], "no official split" if without else "two official splits"
        count = f"{len(without or mixed)} of {len(rows)} images"
        raise BadData(f"{image.image_id} has {problem} ({count}); audit its source (--source NAME=PATH)")
    return [replace(row, split=row.official_split) for row in rows]


def source_rows(
    name: str, path: str | Path, *, unpack_folder: str | Path, pixels: bool = True, pseudonyms: Pseudonyms | None = None
) -> list[ImageRow]:
    """The official split of a source. Its label tables are enough where the source can list them without images.

    pixels: name image files too where they are there. An image in two parts of the official
    split comes back once for each. Raises as `build_catalog`, and BadData where there is no official split.
    """
    listed = SOURCES[name].listed
    if listed is None or not Path(path).is_dir():
        return official_rows(build_catalog([(name, path)], unpack_folder=unpack_folder, pseudonyms=pseudonyms).rows)
    rows = listed(Path(path))
    try:
        there = SOURCES[name](path).rows if pixels else []
    except BadFile:
        there = []
    return official_rows(_with_files(rows, there))


def _with_files(listed: Sequence[ImageRow], there: Sequence[ImageRow]) -> list[ImageRow]:
    """The listed rows with the files of those that are there. A volume is listed once and read as slices, called <volume>-s<number>."""
    names = {row.image_id for row in listed}
    files: dict[str, list[ImageRow]] = defaultdict(list)
    for row in there:
        files[row.image_id if row.image_id in names else row.image_id.rpartition("-")[0]].append(row)
    return [
        replace(row, image_id=found.image_id, path=found.path, frame=found.frame)
        for row in listed
        for found in files.get(row.image_id, [row])
    ]


def table_rows(path: str | Path, columns: Columns, *, split: str = "") -> list[ImageRow]:
    """The rows of a CSV. split: what all rows get, where the table is a pretraining pool; else its column says.

    Values of splits are taken without case. Raises BadConfig for a column that is not there, for
    neither or both of group and regex, and for a pattern that is none; BadData for empty cells,
    ids that repeat and ids that the pattern does not fit; BadFile as `read_csv`.
    """
    path = Path(path)
    unused = {"regex", "split"} if split else {"regex"}
    wanted = {f"--{what}-column": name for what, name in vars(columns).items() if name and what not in unused}
    records = read_csv(path, (), also=tuple(wanted.values()))
    if not records:
        raise BadData(f"{path}: the table has no row below its header; give one that has")
    for flag, name in wanted.items():
        _need_column(path, flag, name, read_columns(path))
    if bool(columns.group) == bool(columns.regex):
        raise BadConfig(f"{path}: say who the patients are: --group-column COLUMN, or --patient-regex PATTERN for ids that hold them")
    ids = _cells(path, records, columns.id)
    _refuse_repeats(path, columns.id, ids)
    people = _cells(path, records, columns.group) if columns.group else _match(path, columns, ids)
    splits = [split] * len(ids) if split else [value.casefold() for value in _cells(path, records, columns.split)]
    return [
        ImageRow(
            image_id=image,
            source="csv",
            patient_id=person,
            exam_id=filled(record.get(columns.exam, "")) or person,
            path=str(path.absolute().parent / record[columns.image]) if record.get(columns.image) else "",
            split=part,
            official_split=record.get(columns.official, "").casefold(),
            parent_id=filled(record.get(columns.parent, "")),
        )
        for record, image, person, part in zip(records, ids, people, splits, strict=True)
    ]


def pool_rows(
    text: str, columns: Columns | None, *, unpack_folder: str | Path, pseudonyms: Pseudonyms | None = None, key_mark: str = ""
) -> list[ImageRow]:
    """What a network was pretrained on: NAME=PATH of a source, a CSV with the same columns, or a catalog.

    Of a catalog with a split of its own all but its test part: weights are chosen by validation too. pseudonyms, key_mark: of what the
    pool is compared with. Raises as the others, and BadConfig where a patient of the pool could not be known again by them.
    """
    if "=" in text:
        name, path = parse_source(text)
        if SOURCES[name].private_ids and pseudonyms is None:
            raise BadConfig(f"--pool {text}: its patients get pseudonyms; give the key of what it is compared with (--key FILE)")
        return build_catalog([(name, path)], unpack_folder=unpack_folder, pseudonyms=pseudonyms).rows
    if text.lower().endswith((".csv", ".csv.xz", ".csv.gz")):
        if columns is None:
            raise BadConfig(f"--pool {text}: a CSV is compared with a CSV, by the same columns; give a catalog, or NAME=PATH of a source")
        return table_rows(text, columns, split=POOL)
    table = catalog_file(text)
    rows, mark = read_catalog(table), read_key_mark(below(locate(table)[0].location, "split.json"))
    if mark and key_mark and mark != key_mark:
        raise BadConfig(f"--pool {text}: its pseudonyms are of another key, so no patient is known again; build both with one --key FILE")
    return [row for row in rows if row.split != "test"]


def _need_column(path: Path, flag: str, name: str, there: Sequence[str]) -> None:
    if name not in there:
        near = difflib.get_close_matches(name, there, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}" if near else ""
        raise BadConfig(f"{flag} {name}: {path} has no such column{hint}; it has {', '.join(there)}")


def _cells(path: Path, records: list[dict[str, str]], column: str) -> list[str]:
    empty = [number for number, record in enumerate(records, start=2) if not record[column]]
    if empty:
        count = f"{len(empty)} of {len(records)} rows"
        raise BadData(f"{path}: column {column} is empty in {count}, first row {empty[0]}; fill it, or leave the row out")
    return [record[column] for record in records]


def _refuse_repeats(path: Path, column: str, ids: list[str]) -> None:
    repeated = [(image, count) for image, count in Counter(ids).items() if count > 1]
    if repeated:
        image, count = repeated[0]
        rows = ", ".join(str(number) for number, other in enumerate(ids, start=2) if other == image)
        first = f"first {image} ({count} times, rows {rows})"
        raise BadData(f"{path}: {len(repeated)} ids of column {column} repeat, {first}; give a column of unique ids")


def _match(path: Path, columns: Columns, ids: list[str]) -> list[str]:
    try:
        pattern = re.compile(columns.regex)
    except re.error as error:
        raise BadConfig(f"--patient-regex {columns.regex}: this is no pattern ({error}); for instance '(P[0-9]+)_'") from error
    found = [pattern.search(image) for image in ids]
    people = [(match[1] if pattern.groups else match[0]) or "" if match else "" for match in found]
    missed = [image for image, person in zip(ids, people, strict=True) if not person]
    if missed:
        count = f"{len(missed)} of {len(ids)} ids"
        raise BadData(f"{path}: --patient-regex {columns.regex} finds no patient in {count}, first {missed[0]}; write one that fits all")
    return people
