"""From data sets to the files of a run: catalog.parquet, split.json, skipped.csv."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from mammolibs.catalog.audit import audit_own
from mammolibs.catalog.build import Catalog, build_catalog, check_source_name
from mammolibs.catalog.files import read_key_mark, read_split, read_verdict, write_skipped, write_split, write_verdict
from mammolibs.catalog.hashes import split_hash
from mammolibs.catalog.pseudonyms import KEY_NAME, joined_split, open_pseudonyms, pseudonymous_split
from mammolibs.catalog.sources import SOURCES
from mammolibs.catalog.split import FRACTIONS
from mammolibs.catalog.table import write_catalog
from mammolibs.records import ImageRow
from mammolibs.storage import Place, below, cache_folder, is_address, locate

# Named so that it stays on this machine where the run is the copy of a cloud folder.
UNPACKED_NAME = ".unpacked"


def make_catalog(
    sources: Iterable[tuple[str, str | Path]],
    folder: str | Path,
    *,
    seed: int = 0,
    fractions: Sequence[float] = FRACTIONS,
    options: Iterable[tuple[str, str, str]] = (),
    key: str | Path | None = None,
) -> Catalog:
    """Build the catalog of `sources` and write it into `folder`, which may be a `gs://` address; returns it.

    Archives are unpacked to `folder`/.unpacked, with a folder in a bucket to this machine's cache. A split.json that is
    there is kept: its patients stay where they are. options: (source, option, value). key: the file that the pseudonyms of
    sources with private ids come from; without it pseudonyms.key in `folder`, where that is none in a bucket. It is made where
    there is none. The split's verdict, by ids alone, is written with it; `audit` with thumbnails looks at pixels too.

    Raises as `build_catalog`, `read_split` and `open_pseudonyms`; BadFile where the folder cannot be written; ChangedByAnother
    where another process has written the catalog or the split to the bucket meanwhile: build it again then.
    """
    # Looked at before the split is read, so that who comes too late is told and does not put his catalog beside another's split.
    catalog_place, split_place = (Place.seen(below(folder, name)) for name in ("catalog.parquet", "split.json"))
    unpacked, sources = cache_folder() / "unpacked" if is_address(folder) else Path(folder) / UNPACKED_NAME, list(sources)
    split, mark = read_split(below(folder, "split.json"), seed=seed), read_key_mark(below(folder, "split.json"))
    private = [name for name, _ in sources if SOURCES[check_source_name(name)].private_ids]
    pseudonyms = open_pseudonyms(folder, key) if private else None
    if mark:
        split = joined_split(split)
    elif pseudonyms:
        split, mark = pseudonymous_split(split, SOURCES, pseudonyms), pseudonyms.mark
    how = {"seed": seed, "fractions": fractions, "options": group_options(options)}
    catalog = build_catalog(sources, unpack_folder=unpacked, previous=split, pseudonyms=pseudonyms, **how)
    for name in dict.fromkeys(private):
        catalog.notes[name].append(f"its ids are pseudonyms by the key {key or below(folder, KEY_NAME)}: keep it, and keep it to yourself")
    write_catalog(catalog_place, catalog.rows)
    verdict = audit_own(catalog.rows)
    write_split(split_place, catalog.rows, seed=seed, fractions=fractions, previous=split, verdict=verdict, key_mark=mark)
    write_skipped(below(folder, "skipped.csv"), catalog.skipped)
    return catalog


def group_options(options: Iterable[tuple[str, str, str]]) -> dict[str, dict[str, str]]:
    """Source -> its options, from (source, option, value); of one option that comes twice the last value."""
    by_source: dict[str, dict[str, str]] = defaultdict(dict)
    for name, option, value in options:
        by_source[name][option] = value
    return dict(by_source)


def write_split_of_copies(path: str | Path, rows: Sequence[ImageRow], parents: str | Path, parent_rows: Sequence[ImageRow]) -> None:
    """The split.json of a catalog that holds derived copies, with a verdict by ids and all that is known against its parents.

    parents, parent_rows: split.json and rows of the catalog without copies.
    """
    write_split(path, rows, seed=None, fractions=(), verdict=audit_own(rows), key_mark=read_key_mark(parents))
    store, name = locate(parents)
    known, verdict = read_verdict(parents) if store.exists(name) else None, read_verdict(path)
    if known and verdict and known.split_hash == split_hash(parent_rows):
        write_verdict(path, verdict.with_parents(known))
