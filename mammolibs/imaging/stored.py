"""The stored values of an image, before anything is done to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mammolibs.records import ImageFacts


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredImage:
    """What the file holds.

    frames: integers N H W, or N H W 3 as RGB; signed where the header says so.
    """

    facts: ImageFacts
    frames: Any
