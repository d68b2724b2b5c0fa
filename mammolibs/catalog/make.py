"""From data sets to the files of a run: catalog.parquet, split.json, skipped.csv."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from mammolibs.catalog.audit import audit
from mammolibs.catalog.build import Catalog, build_catalog
from mammolibs.catalog.files import read_split, write_skipped, write_split
from mammolibs.catalog.split import FRACTIONS
from mammolibs.catalog.table import write_catalog
from mammolibs.catalog.verdict import Verdict
from mammolibs.records import ImageRow
from mammolibs.storage import Place, below, cache_folder, is_address


def make_catalog(
    sources: Iterable[tuple[str, str | Path]],
    folder: str | Path,
    *,
    seed: int = 0,
    fractions: Sequence[float] = FRACTIONS,
    options: Iterable[tuple[str, str, str]] = (),
) -> Catalog:
    """Build the catalog of `sources` and write it into `folder`, which may be a `gs://` address; returns it.

    Archives are unpacked to `folder`/unpacked, with a folder in a bucket to this machine's cache. A split.json that is
    there is kept: its patients stay where they are. options: (source, option, value). The split's verdict, by ids
    alone, is written with it; `audit` with thumbnails looks at pixels too.

    Raises as `build_catalog` and `read_split`; BadFile where the folder cannot be written; ChangedByAnother
    where another process has written the catalog or the split to the bucket meanwhile: build it again then.
    """
    # Looked at before the split is read, so that who comes too late is told and does not put his catalog beside another's split.
    catalog_place, split_place = (Place.seen(below(folder, name)) for name in ("catalog.parquet", "split.json"))
    unpack_folder = cache_folder() / "unpacked" if is_address(folder) else Path(folder) / "unpacked"
    by_source = group_options(options)
    earlier = read_split(below(folder, "split.json"), seed=seed)
    catalog = build_catalog(sources, unpack_folder=unpack_folder, seed=seed, fractions=fractions, previous=earlier, options=by_source)
    write_catalog(catalog_place, catalog.rows)
    write_split(split_place, catalog.rows, seed=seed, fractions=fractions, previous=earlier, verdict=_judge(catalog.rows))
    write_skipped(below(folder, "skipped.csv"), catalog.skipped)
    return catalog


def group_options(options: Iterable[tuple[str, str, str]]) -> dict[str, dict[str, str]]:
    """Source -> its options, from (source, option, value); of one option that comes twice the last value."""
    by_source: dict[str, dict[str, str]] = defaultdict(dict)
    for name, option, value in options:
        by_source[name][option] = value
    return dict(by_source)


def _judge(rows: Sequence[ImageRow]) -> Verdict | None:
    """The verdict by ids alone; None for a set so small that all of it is in one split."""
    if len({row.split for row in rows}) < 2:
        return None
    return audit(rows, ignore={"official split": "this split is made anew by patient"})
