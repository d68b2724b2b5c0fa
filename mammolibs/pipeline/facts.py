"""What a report says of its data, its machine and how it was called."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import or_
from pathlib import Path, PurePath
from typing import Any

from mammolibs.catalog import Skipped, read_skipped
from mammolibs.catalog.nameless import anonymous
from mammolibs.ingest import IngestReport
from mammolibs.pipeline.population import population
from mammolibs.records import SPLITS, ImageRow
from mammolibs.runtime import Runtime
from mammolibs.storage import is_local

# A flag, the name of a source or its option before a value, which may hold a = too.
_NAME_AND_VALUE = re.compile(r"((?:--[\w-]+=)?(?:[a-z_]+(?:\.\w+)?=)?)(.*)", re.DOTALL)


def data_facts(
    rows: Sequence[ImageRow], lists: Iterable[Path | str], unread: Iterable[tuple[str, str]] = (), ingest: IngestReport | None = None
) -> dict[str, Any]:
    """Images and patients by split, truth, licences, population, and what was left out: by reason, as a report travels and files have names.

    lists: the skipped.csv of catalog and shards; what several of them name counts once. unread: (image id, reason) of what
    could not be read afterwards. ingest: what the samples that training was given were made of, None where no note tells.
    """
    by_split = {split: [row for row in rows if row.split == split] for split in SPLITS}
    listed = list(reduce(or_, (Counter(read_skipped(path)) for path in lists), Counter()).elements())
    splits = {split: split_facts(of_split) for split, of_split in by_split.items()}
    return {
        "sources": sorted({row.source for row in rows}),
        "splits": splits,
        "population": {split: population(of_split) for split, of_split in by_split.items()},
        "truth": sorted({row.truth for row in rows}),
        "licences": sorted({row.licence for row in rows if row.licence}),
        "skipped": by_reason(item for item in listed if not item.on_purpose),
        "left_out_on_purpose": by_reason(item for item in listed if item.on_purpose),
        "unread": [{"image_id": image, "reason": reason} for image, reason in sorted(dict(unread).items())],
        "catalog": catalog_flow(rows, listed, dict(unread), ingest),
        "samples": dict(ingest.written) if ingest else {},
    }


def split_facts(rows: Sequence[ImageRow]) -> dict[str, int]:
    """Images, patients, malignant images, lesions."""
    return {
        "images": len(rows),
        "patients": len({row.patient_id for row in rows}),
        "malignant_images": sum(row.pathology == "malignant" for row in rows),
        "lesions": sum(len(row.lesions) for row in rows),
    }


def catalog_flow(
    rows: Sequence[ImageRow], listed: Sequence[Skipped], unread: Mapping[str, str], ingest: IngestReport | None
) -> dict[str, Any]:
    """How many images came into the catalog and out of it again, for the report's flow of exclusions.

    listed: what the sources left out, by their name; what has none was left out when samples were made, which `ingest` tells.
    """
    split_of = {row.path: row.split for row in rows if row.path}
    skipped = [Skipped(item=item, reason=reason) for item, reason in ingest.skipped] if ingest else []
    refused = {split: [item for item in skipped if split_of.get(item.item) == split] for split in SPLITS}
    held_out = {row.image_id for row in rows if row.split == "test"}
    return {
        "images": len(rows),
        "left_out": counted(by_reason(item for item in listed if item.source)),
        "splits": {split: sum(row.split == split for row in rows) for split in SPLITS},
        "refused": {split: counted(by_reason(items)) for split, items in refused.items()},
        "held_out": len(held_out),
        "unread": counted(by_reason(Skipped(item=image, reason=reason) for image, reason in unread.items() if image in held_out)),
    }


def counted(reasons: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What `by_reason` gave, as steps of a flow count it."""
    return [{"reason": reason["reason"], "count": reason["images"]} for reason in reasons]


def by_reason(skipped: Iterable[Skipped]) -> list[dict[str, Any]]:
    """How many items each reason has, the most frequent first."""
    counts = Counter(anonymous(item.reason, (item.item,)) for item in skipped)
    return [{"reason": reason, "images": count} for reason, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]


def runtime_facts(runtime: Runtime) -> dict[str, Any]:
    """The machine, and why it was chosen."""
    return {"kind": runtime.kind, "why": runtime.reason, "cores": runtime.world, "precision": runtime.precision}


def command_line() -> str:
    """How this process was called, to be written where the result is; paths by their last part."""
    script, *arguments = sys.argv
    # Where a script lies in our own tree tells of nobody.
    script = PurePath(script).name if script.startswith("/") else script
    called = "bash train/train.sh" if script.endswith("__main__.py") else f"python {script}"
    return " ".join([called, *map(last_part, arguments)])


def last_part(text: str) -> str:
    """A value, or NAME=VALUE, with the last part alone of a path: what travels does not tell how this machine's folders are called.

    An address in a bucket stays.
    """
    name, value = _NAME_AND_VALUE.fullmatch(text).groups()
    return name + (PurePath(value).name if "/" in value and is_local(value) else value)
