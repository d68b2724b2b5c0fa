"""JSON files that tell when they were damaged: a checksum of what they say stands among it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import google_crc32c

from mammolibs.storage.store import json_bytes

SEAL = "crc32c"


def seal(values: Mapping[str, Any]) -> bytes:
    """The values, JSON types, as indented JSON with their checksum. NaN and infinity raise ValueError."""
    return json_bytes({**values, SEAL: _checksum(values)})


def unseal(data: bytes) -> dict[str, Any]:
    """What `seal` was given. A file without a checksum, written by hand or by another tool, is taken as it is.

    Raises ValueError for bytes that are no JSON object, or that do not match their checksum.
    """
    values = json.loads(data)
    if not isinstance(values, dict):
        raise ValueError("no JSON object")
    told = values.pop(SEAL, None)
    if told is not None and told != _checksum(values):
        raise ValueError(f"it does not match its checksum: damaged, or edited (then take its line {SEAL!r} away)")
    return values


def _checksum(values: Mapping[str, Any]) -> int:
    return google_crc32c.value(json.dumps(values, sort_keys=True).encode())
