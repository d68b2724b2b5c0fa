"""A progress bar with rate and ETA, for whatever takes over a few seconds."""

from __future__ import annotations

from collections.abc import Iterable, Sized
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def progress(items: Iterable[Item], name: str, unit: str = "batch", total: int | None = None) -> Iterable[Item]:
    """The items, with a bar that appears after two seconds and leaves no trace."""
    total = len(items) if total is None and isinstance(items, Sized) else total
    return tqdm(items, desc=name, unit=unit, total=total, delay=2.0, leave=False)
