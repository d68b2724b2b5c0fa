"""What a report says of its data, its machine and how it was called."""

from __future__ import annotations

import sys
from collections import Counter
from functools import reduce
from operator import or_
from pathlib import Path, PurePath
from typing import Any, Iterable, Sequence

from mammolibs.catalog import Skipped, read_skipped
from mammolibs.catalog.nameless import anonymous
from mammolibs.records import SPLITS, ImageRow
from mammolibs.runtime import Runtime


def data_facts(rows: Sequence[ImageRow], lists: Iterable[Path | str], unread: Iterable[tuple[str, str]] = ()) -> dict[str, Any]:
    """Images and patients by split, truth, licences, and what was left out: by reason, as a report travels and files have names.

    lists: the skipped.csv of catalog and shards; what several of them name counts once. unread: (image id, reason) of what
    could not be read afterwards.
    """
    splits = {}
    for split in SPLITS:
        of_split = [row for row in rows if row.split == split]
        splits[split] = {
            "images": len(of_split),
            "patients": len({row.patient_id for row in of_split}),
            "malignant_images": sum(row.pathology == "malignant" for row in of_split),
            "lesions": sum(len(row.lesions) for row in of_split),
        }
    listed = reduce(or_, (Counter(read_skipped(path)) for path in lists), Counter())
    return {
        "sources": sorted({row.source for row in rows}),
        "splits": splits,
        "truth": sorted({row.truth for row in rows}),
        "licences": sorted({row.licence for row in rows if row.licence}),
        "skipped": by_reason(item for item in listed.elements() if not item.on_purpose),
        "left_out_on_purpose": by_reason(item for item in listed.elements() if item.on_purpose),
        "unread": [{"image_id": image, "reason": reason} for image, reason in sorted(dict(unread).items())],
    }


def by_reason(skipped: Iterable[Skipped]) -> list[dict[str, Any]]:
    """How many items each reason has, the most frequent first."""
    counts = Counter(anonymous(item.reason, (item.item,)) for item in skipped)
    return [{"reason": reason, "images": count} for reason, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]


def runtime_facts(runtime: Runtime) -> dict[str, Any]:
    """The machine, and why it was chosen."""
    return {"kind": runtime.kind, "why": runtime.reason, "cores": runtime.world, "precision": runtime.precision}


def command_line() -> str:
    """How this process was called, to be written where the result is; full paths by their last part."""
    script, *arguments = sys.argv
    called = "bash train/train.sh" if script.endswith("__main__.py") else f"python {last_part(script)}"
    return " ".join([called, *map(last_part, arguments)])


def last_part(text: str) -> str:
    """A value, or NAME=VALUE, with the last part alone of a full path: what travels does not tell how this machine's folders are called."""
    name, equals, value = text.rpartition("=")
    return name + equals + (PurePath(value).name if value.startswith("/") else value)
