"""A source whose files lie in a bucket or an archive: read by names, label files and headers, without a copy of the images."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from mammolibs.catalog.headers import bring_headers, headers_from
from mammolibs.catalog.source import Skipped, Source, SourceResult
from mammolibs.catalog.table import with_paths
from mammolibs.errors import BadConfig, BadData, BadFile
from mammolibs.storage import Shadow, open_shadow

# Endings of what sources read whole, packed or not: tables of many images; outlines and descriptions of few.
TABLE_ENDINGS = (".csv", ".xls", ".xlsx", ".txt")
LABEL_ENDINGS = (*TABLE_ENDINGS, ".json", ".xml", ".ics", ".overlay")
# Names, or ends of them, of files that list images.
LISTS = ("dicomdir",)
_PACKED = (".gz", ".xz")


def read_bucket(source: Source, address: str, options: Mapping[str, str] | None) -> SourceResult:
    """What a source says of `gs://bucket/prefix`, of a list of images there that it takes in place of their folder, or of `zip:///x.zip`.

    All paths in it are addresses.

    One listing; label files whole; of images their headers, and of those only what the source looks
    at. All of it stays in this machine's cache, so that a second reading fetches what has changed.

    Raises what the source raises, about addresses, and what the bucket raises.
    """
    folder, _, listing = address.rpartition("/") if address.lower().endswith(source.lists) else (address, "", "")
    with open_shadow(folder) as shadow, _by_address(shadow):
        failed = _bring_labels(shadow)
        with headers_from(shadow):
            result = source(shadow.folder / listing, options)
    return _addressed(result, shadow, failed)


def _bring_labels(shadow: Shadow) -> dict[str, str]:
    """Fetch the label files, and of files without a known ending what tells whether they are images.

    Returns address -> reason of those that cannot be read; what their holes then say is refused by who reads them.
    Raises BadFile for a table among them: without it other labels would come out.
    """
    from mammolibs.imaging import is_image_name

    others = [path for path in shadow.paths() if not is_image_name(path)]
    labels = [path for path in others if _ending(path) in LABEL_ENDINGS or path.name.lower().endswith(LISTS)]
    failed = shadow.bring(labels)
    for path, error in failed.items():
        if _ending(path) in TABLE_ENDINGS or path.name.lower().endswith(LISTS):
            raise error
    failed |= bring_headers(shadow, set(others) - set(labels))
    return {shadow.address(str(path)): error.problem for path, error in failed.items()}


def _ending(path: Path) -> str:
    return (path.with_suffix("") if path.suffix.lower() in _PACKED else path).suffix.lower()


def _addressed(result: SourceResult, shadow: Shadow, failed: Mapping[str, str]) -> SourceResult:
    """The result with addresses for paths; objects that could not be fetched, or that no file can stand for, are skipped."""
    lost = {f"{shadow.location}/{name}": reason for name, reason in shadow.refused.items()} | failed
    told = [replace(s, item=shadow.address(s.item), reason=shadow.address(s.reason)) for s in result.skipped]
    return replace(
        result,
        rows=[with_paths(row, shadow.address) for row in result.rows],
        skipped=[*(s for s in told if s.item not in lost), *(Skipped(item, reason) for item, reason in lost.items())],
        notes=[shadow.address(note) for note in result.notes],
    )


@contextlib.contextmanager
def _by_address(shadow: Shadow) -> Iterator[None]:
    """Errors about the shadow's files come out as errors about their objects."""
    try:
        yield
    except BadFile as error:
        raise BadFile(*map(shadow.address, (error.file, error.problem, error.remedy))) from error
    except (BadData, BadConfig) as error:
        raise type(error)(shadow.address(str(error))) from error
