"""The short report of one stage: its figures as JSON and as a printed table, four samples as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mammolibs.evaluate.conclusions import not_held_out
from mammolibs.evaluate.examples import Example, sample_plot
from mammolibs.evaluate.result import DISCLAIMER, Figures, block, table_rows
from mammolibs.storage import write_atomic, write_json


def stage_report(
    folder: str | Path,
    stage: str,
    figures: Figures,
    *,
    provenance: Mapping[str, Any],
    samples: Sequence[Example] = (),
    plot: bytes | None = None,
) -> str:
    """Write evaluation.json and plot.png into `folder`; returns the table to print, made from that JSON.

    provenance: what the figures stand on, split_hash among it; what is in its "touched" is told first of all.
    """
    result = block(figures, provenance["split_hash"])
    write_stage(folder, stage, result, provenance=provenance, samples=samples, plot=plot)
    return "\n".join((*not_held_out(provenance), print_table(result)))


def write_stage(
    folder: str | Path,
    stage: str,
    result: Mapping[str, Any],
    *,
    provenance: Mapping[str, Any],
    samples: Sequence[Example] = (),
    plot: bytes | None = None,
) -> None:
    """Write evaluation.json, with `result` as its block, and plot.png: up to four samples with their outlines, or the PNG given."""
    folder = Path(folder)
    if plot is not None or samples:
        write_atomic(folder / "plot.png", plot if plot is not None else sample_plot(samples, stage))
    told = {stage: result, "not_held_out": not_held_out(provenance), "provenance": provenance, "disclaimer": DISCLAIMER}
    write_json(folder / "evaluation.json", told)


def print_table(result: Mapping[str, Any]) -> str:
    """A block of report.json as an aligned text table."""
    rows = [("figure", "value [95 % interval]", "unit", "n", "events"), *table_rows(result)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
