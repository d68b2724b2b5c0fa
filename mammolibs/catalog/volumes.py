"""Images that are slices of a volume: which of them become rows, and in which order slices lie. Slices count from 0."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any

from mammolibs.catalog.source import SourceResult
from mammolibs.errors import BadData, BadFile
from mammolibs.records import ImageFacts, ImageRow

# How many slices stand for a place in a volume: one, or five with four neighbours.
SLICE_OPTIONS = ("one", "five")
# Steps between the slices of a series are equal but for rounding: one so many times wider has lost a slice.
_WIDEST_STEP = 1.5
_LEAST_STEP_MM = 0.01


def spread(first: int, last: int, count: int) -> list[int]:
    """Up to `count` slices (two or more), evenly from first to last, both included; a short range gives each of its slices once."""
    return sorted({first + round((last - first) * i / (count - 1)) for i in range(count)})


def order_slices(slices: Iterable[tuple[Path, ImageFacts]]) -> list[tuple[Path, ImageFacts]]:
    """The files of one series, one slice each, by where they lie in the patient, in the direction in which their instance numbers rise.

    File names play no part. Raises BadData where a file says no position or number, where
    two lie at one place or one is missing between others (those behind it would be
    miscounted), and where numbers and positions contradict each other.
    """
    placed = list(slices)
    if any(facts.slice_mm is None or facts.instance_number is None for _, facts in placed):
        raise BadData("holds a slice that does not say its position or its instance number")
    placed.sort(key=lambda item: item[1].slice_mm)
    steps = [b.slice_mm - a.slice_mm for (_, a), (_, b) in zip(placed, placed[1:], strict=False)]
    if steps and min(steps) < _LEAST_STEP_MM:
        raise BadData("holds several slices of one place")
    if steps and max(steps) > _WIDEST_STEP * median(steps):
        raise BadData(f"lacks a slice between others (steps of {min(steps):g} to {max(steps):g} mm)")
    numbers = [facts.instance_number for _, facts in placed]
    rising = sorted(set(numbers))
    if numbers not in (rising, rising[::-1]):
        raise BadData("has instance numbers that contradict the positions of its slices")
    return placed if numbers == rising else placed[::-1]


def collect_volumes(
    result: SourceResult, volumes: Iterable[Any], make: Callable[[Any], list[ImageRow]], *, describe: Callable[[Any], str | Path]
) -> None:
    """Add the rows of each volume; one that raises BadFile (listed by the file that is bad) or BadData is skipped with its reason."""
    for volume in volumes:
        try:
            result.rows += make(volume)
        except BadFile as error:
            result.skip(error.file, error.problem)
        except BadData as error:
            result.skip(describe(volume), str(error))
