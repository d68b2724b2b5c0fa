"""The short report of one stage: its figures as JSON and as a printed table, four samples as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mammolibs.evaluate.examples import Example, sample_plot
from mammolibs.evaluate.result import DISCLAIMER, Figures, block, table_rows
from mammolibs.storage import write_atomic, write_json


def stage_report(
    folder: str | Path,
    stage: str,
    figures: Figures,
    *,
    split_hash: str | None,
    samples: Sequence[Example] = (),
    facts: Mapping[str, Any] | None = None,
    plot: bytes | None = None,
) -> str:
    """Write evaluation.json and plot.png into `folder`; returns the table to print, made from that JSON.

    samples: up to four, drawn with their outlines; `plot` takes a finished PNG in their
    place. facts: iteration, thresholds and the like, kept in the JSON beside the figures.
    """
    folder = Path(folder)
    result = {stage: block(figures, split_hash), **(facts or {}), "disclaimer": DISCLAIMER}
    if plot is not None or samples:
        write_atomic(folder / "plot.png", plot if plot is not None else sample_plot(samples, stage))
    write_json(folder / "evaluation.json", result)
    return print_table(result[stage])


def print_table(result: Mapping[str, Any]) -> str:
    """A block of report.json as an aligned text table."""
    rows = [("figure", "value [95 % interval]", "unit", "n", "events"), *table_rows(result)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
