"""An audit as its script's flags ask for it: read the rows, judge, print, keep the verdict."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mammolibs.catalog.audit import audit, check_splits
from mammolibs.catalog.audit_inputs import CATALOG, Columns, catalog_file, official_rows, pool_rows, source_rows, table_rows
from mammolibs.catalog.files import SPLIT_NAME, read_key_mark, read_verdict, write_split, write_verdict
from mammolibs.catalog.pseudonyms import KEY_NAME
from mammolibs.catalog.table import read_catalog
from mammolibs.catalog.thumbnails import Thumbnails
from mammolibs.catalog.verdict import IGNORED, KINDS, PIXELS, POOL, Verdict
from mammolibs.errors import BadConfig, BadFile
from mammolibs.records import ImageRow
from mammolibs.storage import below, locate, write_json

if TYPE_CHECKING:
    from mammolibs.imaging import Pseudonyms

LEAKS = 1


def parse_kind(text: str) -> str:
    """A kind of leak. Raises BadConfig that names the nearest."""
    if text not in KINDS:
        near = difflib.get_close_matches(text, KINDS, n=1, cutoff=0.3)
        hint = f"; did you mean {near[0]!r}" if near else ""
        raise BadConfig(f"--ignore {text}: no such kind of leak{hint}; there are {', '.join(KINDS)}")
    return text


def run_audit(options: Any) -> int:
    """0 where nothing leaks, 1 where something does. options: the flags of dataset_enhancement/audit_split.py.

    Raises what reading the rows raises, before any pixel is read.
    """
    unpacked = Path(options.cache) / "unpacked"
    columns = _columns(options)
    pseudonyms, mark = _pseudonyms(options)
    rows = _rows(options, columns, unpacked, pseudonyms)
    how = {"unpack_folder": unpacked, "pseudonyms": pseudonyms, "key_mark": mark}
    pool = [row for text in options.pool for row in pool_rows(text, columns, **how)]
    check_splits(rows, pool)
    thumbnails = None if options.no_pixels else Thumbnails(Path(options.cache) / "thumbnails", options.workers)
    own_split = bool(options.catalog) and options.split != "official"
    ignore = dict.fromkeys(options.ignore, IGNORED)
    verdict = audit(rows, pool=pool, thumbnails=thumbnails, ignore=ignore, own_split=own_split)
    print("\n".join(verdict.lines()))
    _keep(options, rows, verdict)
    return 0 if verdict.clean else LEAKS


def _columns(options: Any) -> Columns | None:
    named = {what: getattr(options, f"{what}_column") for what in ("id", "split", "group", "image", "exam", "parent", "official")}
    if not options.csv:
        stray = [what for what, name in named.items() if name]
        if stray:
            raise BadConfig(f"--{stray[0]}-column {named[stray[0]]}: columns are of a CSV; give --csv FILE")
        return None
    for what in ("id", "split"):
        if not named[what]:
            raise BadConfig(f"--csv {options.csv}: give --{what}-column COLUMN too")
    return Columns(**named, regex=options.patient_regex)


def _pseudonyms(options: Any) -> tuple[Pseudonyms | None, str]:
    """Those of --key, else of the key beside the catalog, and of a source those of a new key; the mark of the key, known or not."""
    from mammolibs.imaging import Pseudonyms, open_key

    folder = locate(catalog_file(options.catalog))[0].location if options.catalog else ""
    mark = read_key_mark(below(folder, "split.json")) if folder else ""
    beside = below(folder, KEY_NAME) if folder and Path(folder, KEY_NAME).exists() else None
    if options.key and not Path(options.key).exists():
        raise BadFile(options.key, "is not there", "name the key that the catalog was made with")
    if options.key or beside:
        pseudonyms = open_key(options.key or beside)
        if mark not in ("", pseudonyms.mark):
            raise BadConfig(f"--key {options.key or beside}: {folder} was made with another key; name that")
        return pseudonyms, pseudonyms.mark
    return (Pseudonyms.fresh() if options.source else None), mark


def _rows(options: Any, columns: Columns | None, unpacked: Path, pseudonyms: Pseudonyms | None) -> list[ImageRow]:
    given = [name for name in ("catalog", "source", "csv") if getattr(options, name)]
    if len(given) != 1:
        raise BadConfig(f"{' and '.join(f'--{name}' for name in given) or 'nothing to audit'}: give one of --catalog, --source, --csv")
    if columns:
        return table_rows(options.csv, columns)
    if options.source:
        if options.split == "own":
            raise BadConfig("--split own: a source has an official split alone; build a catalog of it, and audit that")
        return source_rows(*options.source, unpack_folder=unpacked, pixels=not options.no_pixels, pseudonyms=pseudonyms)
    rows = read_catalog(catalog_file(options.catalog))
    return official_rows(rows) if options.split == "official" else rows


def _keep(options: Any, rows: Sequence[ImageRow], verdict: Verdict) -> None:
    """Write it to --json, and to the split.json of a catalog whose own split was judged."""
    if options.json:
        write_json(options.json, verdict.to_dict())
    if not options.catalog or options.split == "official":
        return
    store, table = locate(catalog_file(options.catalog))
    is_there, beside = store.exists(SPLIT_NAME), below(store.location, SPLIT_NAME)
    if not is_there and table != CATALOG:
        return
    try:
        earlier = read_verdict(beside) if is_there else None
        looked_further = _looked_further(earlier, verdict)
        if looked_further and _says_less(verdict, earlier):
            print(f"not kept: {beside} has a verdict on this split by pixels and against a pool; to replace it, name the --pool again")
            return
        kept = verdict.with_pixels_of(earlier) if looked_further else verdict
        if is_there:
            write_verdict(beside, kept)
        else:
            write_split(beside, rows, seed=None, fractions=(), verdict=kept)
        print(f"kept in {beside}" + ", with what an earlier audit found in the pixels" * looked_further)
    # The verdict stands, and with it the exit code, where it cannot be kept.
    except BadFile as error:
        print(f"not kept: {error}")


def _looked_further(earlier: Verdict | None, verdict: Verdict) -> bool:
    """True where the earlier verdict is on the same split and compared pixels, which this one did not."""
    return earlier is not None and earlier.split_hash == verdict.split_hash and PIXELS in earlier.leaks and PIXELS not in verdict.leaks


def _says_less(verdict: Verdict, earlier: Verdict) -> bool:
    """True where only the earlier verdict knows a pool, and this one names nobody whom that does not name."""
    found, known = ({(kind, o.name) for kind, some in one.leaks.items() for o in some} for one in (verdict, earlier))
    return POOL in earlier.images and POOL not in verdict.images and found <= known
