"""Several sources, one catalog."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mammolibs.catalog.bucket import read_bucket
from mammolibs.catalog.pseudonyms import pseudonymous
from mammolibs.catalog.source import Skipped, Source, SourceResult
from mammolibs.catalog.sources import SOURCES
from mammolibs.catalog.split import FRACTIONS, split_rows
from mammolibs.errors import BadConfig, BadData, BadFile
from mammolibs.records import ImageRow
from mammolibs.storage import fetch_whole, is_address, is_archive, is_archive_name, is_local, packed_address, unpack

if TYPE_CHECKING:
    from mammolibs.imaging import Pseudonyms

MAX_SKIPPED_SHARE = 0.5


@dataclass(frozen=True)
class Catalog:
    """All images of all sources, sorted by image_id, with their split.

    skipped: what is on the disk and cannot be used. absent: source -> images that its label
    table lists and the disk lacks. notes: source -> what a reader must know.
    """

    rows: list[ImageRow]
    skipped: list[Skipped] = field(default_factory=list)
    absent: dict[str, int] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)


def build_catalog(
    sources: Iterable[tuple[str, str | Path]],
    *,
    unpack_folder: str | Path,
    seed: int = 0,
    fractions: Sequence[float] = FRACTIONS,
    previous: Mapping[str, str] | None = None,
    options: Mapping[str, Mapping[str, str]] | None = None,
    pseudonyms: Pseudonyms | None = None,
) -> Catalog:
    """The joined catalog of (source name, folder or archive or `gs://` address of one) pairs, split by patient.

    unpack_folder: where compressed tars are unpacked, once; a .zip and a plain .tar are read where they lie. previous:
    patient_id -> split of an earlier catalog, which those patients keep. options: source name -> its options. pseudonyms:
    of sources whose ids are private; None for those of a key that nobody keeps, other ones each time.

    Raises BadConfig for an unknown source or option; BadFile for a folder that holds
    nothing of the data set; BadData for two images of one id, and where more than half of
    a source's images cannot be used; what a bucket raises.
    """
    pairs = [(check_source_name(name), str(path)) for name, path in sources]
    strangers = sorted(set(options or {}) - {name for name, _ in pairs})
    if not pairs:
        raise BadConfig(f"no source: give NAME=PATH; NAME is one of {', '.join(SOURCES)}")
    if strangers:
        raise BadConfig(f"options for {strangers[0]}, which is not among the sources")
    catalog = Catalog([])
    pseudonyms = pseudonyms or _forgotten()
    for name, path in pairs:
        result = _read_source(name, path, Path(unpack_folder), (options or {}).get(name))
        _refuse_mostly_bad(name, path, result)
        catalog.rows.extend(_under_pseudonyms(name, result.rows, pseudonyms))
        catalog.skipped.extend(replace(item, source=name) for item in result.skipped)
        catalog.absent[name] = catalog.absent.get(name, 0) + result.absent
        catalog.notes.setdefault(name, []).extend(result.notes)
    _refuse_twice(catalog.rows)
    rows = sorted(catalog.rows, key=lambda row: row.image_id)
    return replace(catalog, rows=split_rows(rows, seed=seed, fractions=fractions, previous=previous))


def parse_source(text: str) -> tuple[str, str]:
    """(name, path) from "name=path". Raises BadConfig."""
    name, equals, path = text.partition("=")
    if not equals or not path:
        raise BadConfig(f"--source {text}: write NAME=PATH; NAME is one of {', '.join(SOURCES)}")
    return check_source_name(name), path


def parse_option(text: str) -> tuple[str, str, str]:
    """(source, option, value) from "source.option=value". Raises BadConfig."""
    key, equals, value = text.partition("=")
    name, dot, option = key.partition(".")
    if not (equals and dot and option):
        raise BadConfig(f"--option {text}: write NAME.OPTION=VALUE, for instance dicom_folder.twins=both")
    return check_source_name(name), option, value


def check_source_name(name: str) -> str:
    """The name, where a source has it. Raises BadConfig that names the nearest."""
    if name not in SOURCES:
        near = difflib.get_close_matches(name.lower().replace("-", "_"), SOURCES, n=1, cutoff=0.4)
        raise BadConfig(f"{name}: no such source" + (f"; did you mean {near[0]}" if near else "") + f"; there are {', '.join(SOURCES)}")
    return name


def _under_pseudonyms(name: str, rows: list[ImageRow], pseudonyms: Pseudonyms) -> list[ImageRow]:
    return [pseudonymous(row, pseudonyms) for row in rows] if SOURCES[name].private_ids else rows


def _forgotten() -> Pseudonyms:
    from mammolibs.imaging import Pseudonyms

    return Pseudonyms.fresh()


def _read_source(name: str, path: str, unpack_folder: Path, options: Mapping[str, str] | None) -> SourceResult:
    if is_address(path) and (is_local(path) or not is_archive_name(path)):
        return read_bucket(SOURCES[name], path.rstrip("/"), options)
    here = fetch_whole(path) if is_address(path) else Path(path)
    if is_archive(here) and (packed := packed_address(here)):
        return read_bucket(SOURCES[name], packed, options)
    return SOURCES[name](_as_root(SOURCES[name], here, unpack_folder), options)


def _as_root(source: Source, path: Path, unpack_folder: Path) -> Path:
    """What the source is called with: the folder, the list of images that it takes in place of one, or the archive's folder."""
    if not path.exists():
        raise BadFile(path, "is not there", "check the path")
    if path.is_dir() or path.name.lower().endswith(source.lists):
        return path
    if not is_archive(path):
        either = f", or a file that lists the images ({', '.join(source.lists)})" if source.lists else ""
        raise BadFile(path, "is neither a folder nor an archive", f"give a folder, or a .zip or .tar archive{either}")
    return unpack(path, unpack_folder)


def _refuse_mostly_bad(name: str, path: str, result: SourceResult) -> None:
    bad = [item for item in result.skipped if not item.on_purpose]
    if len(bad) > MAX_SKIPPED_SHARE * (len(bad) + len(result.rows)):
        raise BadData(
            f"{path}: {len(bad)} of {len(bad) + len(result.rows)} images of {name} cannot be used,"
            f" first {Path(bad[0].item).name}: {bad[0].reason}; check that the source's name fits the folder"
        )
    if not result.rows:
        raise BadFile(path, f"holds no image for {name}", "; ".join(result.notes) or "check that the source's name fits the folder")


def _refuse_twice(rows: Iterable[ImageRow]) -> None:
    paths: dict[str, str] = {}
    for row in rows:
        if row.image_id in paths:
            raise BadData(f"{row.image_id} is in the catalog twice: {paths[row.image_id]} and {row.path}; give each data set once")
        paths[row.image_id] = row.path
