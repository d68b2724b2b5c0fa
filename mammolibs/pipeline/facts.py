"""What a report says of its data, its machine and how it was called."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Iterable, Sequence

from mammolibs.catalog import read_skipped
from mammolibs.records import SPLITS, ImageRow
from mammolibs.runtime import Runtime


def data_facts(rows: Sequence[ImageRow], lists: Iterable[Path | str], unread: Iterable[tuple[str, str]] = ()) -> dict[str, Any]:
    """Images and patients by split, truth, licences, and what was left out.

    lists: the skipped.csv of catalog and shards. unread: (file, reason) of what could not be read afterwards.
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
    listed = [item for path in lists for item in read_skipped(path)]
    skipped = dict(unread) | {item.item: item.reason for item in listed if not item.on_purpose}
    on_purpose = {item.item: item.reason for item in listed if item.on_purpose}
    return {
        "sources": sorted({row.source for row in rows}),
        "splits": splits,
        "truth": sorted({row.truth for row in rows}),
        "licences": sorted({row.licence for row in rows if row.licence}),
        "skipped": as_items(skipped),
        "left_out_on_purpose": as_items(on_purpose),
    }


def as_items(reasons: dict[str, str]) -> list[dict[str, str]]:
    """Item and reason of each, sorted by item."""
    return [{"item": item, "reason": reason} for item, reason in sorted(reasons.items())]


def runtime_facts(runtime: Runtime) -> dict[str, Any]:
    """The machine, and why it was chosen."""
    return {"kind": runtime.kind, "why": runtime.reason, "cores": runtime.world, "precision": runtime.precision}


def command_line() -> str:
    """How this process was called, to be written where the result is."""
    return " ".join(["python", *sys.argv]) if not sys.argv[0].endswith("__main__.py") else " ".join(["bash train/train.sh", *sys.argv[1:]])
