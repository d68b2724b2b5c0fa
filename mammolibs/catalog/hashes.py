"""Short names for a catalog's content, for run cards and reports."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

from mammolibs.records import ImageRow


def split_hash(rows: Iterable[ImageRow]) -> str:
    """16 hex digits that change when any image or patient changes its split. The order of rows plays no part."""
    return _digest(f"{row.image_id}\t{row.patient_id}\t{row.split}" for row in rows)


def data_hash(rows: Iterable[ImageRow]) -> str:
    """16 hex digits that change when any image, label or lesion changes.

    The split, the order of rows and the folder that the files lie in play no part; nor do the pixels.
    """
    return _digest(json.dumps(_facts(row), sort_keys=True) for row in rows)


def as_values(record: Any) -> dict[str, Any]:
    """A record as JSON types and tuples: what `dataclasses.asdict` gives, without its copies of what cannot change."""
    return {name: _as_value(value) for name, value in vars(record).items()}


def _as_value(value: Any) -> Any:
    if type(value) is tuple:
        return tuple(map(_as_value, value))
    return as_values(value) if dataclasses.is_dataclass(value) else value


def _facts(row: ImageRow) -> dict:
    facts = as_values(row) | {"split": "", "path": PurePath(row.path).name}
    for lesion in facts["lesions"]:
        if lesion["outline"]["path"]:
            lesion["outline"]["path"] = PurePath(lesion["outline"]["path"]).name
    return facts


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:16]
