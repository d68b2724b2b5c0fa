"""What there is to browse: the rows of a catalog or of shard sets, and how an image of them is read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import google_crc32c

from mammolibs.catalog import Skipped, data_hash, read_catalog, read_skipped
from mammolibs.errors import BadFile
from mammolibs.pipeline.browse_views import View, view_row, view_sample
from mammolibs.pipeline.progress import progress
from mammolibs.records import SPLITS, UNKNOWN, ImageRow, Lesion, Outline
from mammolibs.shards import ShardIndex, is_finished, open_shards
from mammolibs.storage import Store, below, locate, open_store

CATALOG_NAMES = (("catalog.parquet",), ("data", "catalog.parquet"))
SKIPPED_NAMES = (("skipped.csv",), ("shards", "skipped.csv"))


@dataclass(frozen=True, eq=False, kw_only=True)
class Collection:
    """Images with their facts. kind: "catalog" or "shard set"; content: a short hash of what it holds.

    rows: one ImageRow each; names: what each is called on a page, which says nothing of the
    person; places: what `read` takes of each. damaged: number of the row -> why its facts
    could not be read. skipped: what the lists beside it name, each with the list and line
    that it stands on; None where there is no list.
    """

    kind: str
    content: str
    rows: list[ImageRow]
    names: list[str]
    places: list[Any]
    read: Callable[[Any], View]
    damaged: dict[int, str]
    skipped: list[tuple[Skipped, str]] | None


def open_collection(location: str | os.PathLike) -> Collection:
    """A catalog (a table, or the folder or run that holds it), else the shard sets in a folder or bucket.

    Raises BadFile where neither is there, and what reading them raises.
    """
    location = str(location)
    tables = [location] if location.endswith(".parquet") else [below(location, *names) for names in CATALOG_NAMES]
    for table in tables:
        store, name = locate(table)
        if store.exists(name):
            return _catalog(str(table), store.location)
    sets = {name: str(below(location, name) if name else location) for name in ("", *SPLITS) if not location.endswith(".parquet")}
    found = {name: place for name, place in sets.items() if is_finished(open_store(place))}
    if not found:
        remedy = "give the folder that build_catalog.py or make_shards.py wrote"
        raise BadFile(location, "holds no catalog.parquet and no finished shard set", remedy)
    return _shard_sets(location, found)


def _catalog(table: str, folder: str) -> Collection:
    rows = read_catalog(table)
    return Collection(
        kind="catalog",
        content=data_hash(rows),
        rows=rows,
        names=[f"row {number}" for number in range(len(rows))],
        places=rows,
        read=view_row,
        damaged={},
        skipped=_skipped(folder),
    )


def _shard_sets(location: str, sets: dict[str, str]) -> Collection:
    rows, names, places, damaged, hashes = [], [], [], {}, []
    for name, place in sets.items():
        store, index = open_shards(place)
        hashes.append(index.data_hash)
        names += [f"{name} {row}".strip() if name else f"row {row}" for row in range(len(index))]
        places += [(place, row) for row in range(len(index))]
        known = dict(_facts(store, index))
        for row in range(len(index)):
            if isinstance(known[row], str):
                damaged[len(rows)] = known[row]
            rows.append(_indexed(index, row) if isinstance(known[row], str) else known[row])
    content = hashlib.sha256(" ".join(hashes).encode()).hexdigest()[:16]
    return Collection(
        kind="shard set",
        content=content,
        rows=rows,
        names=names,
        places=places,
        read=view_sample,
        damaged=damaged,
        skipped=_skipped(location),
    )


def _facts(store: Store, index: ShardIndex) -> Iterator[tuple[int, ImageRow | str]]:
    """Row number and its facts, or why they cannot be read; shard by shard, so that of a bucket's set each is brought once."""
    order = sorted(range(len(index)), key=lambda row: (index.numbers["shard"][row], index.numbers["json_offset"][row]))
    for row in progress(order, "reading facts", unit="sample"):
        start, length, checksum = (int(index.numbers[f"json_{what}"][row]) for what in ("offset", "length", "crc32c"))
        try:
            data = store.read(index.shards[index.numbers["shard"][row]].name, start, length)
            yield row, _row_of(json.loads(data)) if google_crc32c.value(data) == checksum else "its facts do not match their checksum"
        except BadFile as error:
            yield row, error.problem
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            yield row, f"its facts are those of no sample of this version ({type(error).__name__})"


def _row_of(facts: dict[str, Any]) -> ImageRow:
    """A sample's own facts as a row. What a shard does not keep (bits, exact outlines) is not known."""
    extra = facts["extra"]
    copied = {name: facts[name] for name in ("image_id", "source", "patient_id", "exam_id", "laterality", "view", "pathology", "split")}
    told = {name: extra.get(name) or "" for name in ("birads", "density", "licence", "maker")}
    # A patch is a part of its image and no copy.
    told["parent_id"] = "" if "origin" in extra else extra.get("parent_id", "")
    lesions = tuple(
        Lesion(lesion_id=one["lesion_id"], kind=one["kind"], pathology=one["pathology"], outline=Outline(shape=one["shape"]))
        for one in extra.get("lesions", ())
    )
    numbers = {name: extra.get(name) for name in ("spacing_mm", "age_years")}
    return ImageRow(**copied, **told, path="", **numbers, lesions=lesions, truth=extra.get("truth") or UNKNOWN)


def _indexed(index: ShardIndex, row: int) -> ImageRow:
    """What the index alone says of a sample."""
    entry = index.entry(row)
    said = {name: getattr(entry, name) for name in ("image_id", "source", "patient_id", "exam_id", "split")}
    return ImageRow(**said, path="", pathology="malignant" if entry.label == 1 else UNKNOWN)


def _skipped(folder: str) -> list[tuple[Skipped, str]] | None:
    """What the lists beside a catalog or shards name, each with the list and line that it stands on."""
    found, listed = [], False
    for names in SKIPPED_NAMES:
        path = below(folder, *names)
        store, name = locate(path)
        listed = listed or store.exists(name)
        found += [(item, f"{'/'.join(names)} line {line}") for line, item in enumerate(read_skipped(path), 2)]
    return found if listed else None
