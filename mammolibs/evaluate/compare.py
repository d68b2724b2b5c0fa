"""Two sets of predictions of the same images, paired: figures of both, differences with intervals, tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mammolibs.evaluate.bootstrap import ROUNDS
from mammolibs.evaluate.document import Section, Table, Text
from mammolibs.evaluate.metrics import measure, paired_difference
from mammolibs.evaluate.pages import write_pages
from mammolibs.evaluate.paired import both_tests
from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.report import FOLD_FIGURES
from mammolibs.evaluate.result import DISCLAIMER, block, is_figure, show
from mammolibs.evaluate.sections import name_of, reading_of, tests_table
from mammolibs.evaluate.units import scores_at
from mammolibs.storage import write_json

COMPARED = (
    "image_auc", "patient_auc", "sensitivity_at_90_specificity", "lesion_sensitivity_at_0.5_fp", "lesion_sensitivity_at_1_fp",
    "lesion_sensitivity_at_2_fp", "dice",
)  # fmt: skip
TESTED_LEVELS = ("image", "patient")


def beside(
    first: Sequence[Prediction],
    second: Sequence[Prediction],
    names: Sequence[str],
    split_hash: str | None,
    *,
    called: tuple[str, str],
    rounds: int = ROUNDS,
) -> dict[str, Any]:
    """Blocks called[0], called[1] and "difference" (first minus second); with folds also within them, which pooling cannot flatter.

    Raises BadData where the two do not hold the same images.
    """
    if len({p.fold for p in first}) > 1:
        names = (*names, *(f"{name}_within_fold" for name in names if name in FOLD_FIGURES))
    return {
        called[0]: block({name: measure(first, name, rounds=rounds) for name in names}, split_hash),
        called[1]: block({name: measure(second, name, rounds=rounds) for name in names}, split_hash),
        "difference": block({name: paired_difference(first, second, name, rounds=rounds) for name in names}, split_hash),
    }


def paired_tests(first: Sequence[Prediction], second: Sequence[Prediction]) -> list[dict[str, Any]]:
    """DeLong's test and a permutation of patients on the AUC per image and per patient; a reason in place of p where there is none."""
    found = []
    for level in TESTED_LEVELS:
        pair = [scores_at(level, sorted(rows, key=lambda p: p.image_id)).ranked for rows in (first, second)]
        found += both_tests(*pair)
    return found


def write_comparison(folder: str | Path, result: Mapping[str, Any], *, called: tuple[str, str], command: str) -> None:
    """comparison.json, .md and .html in `folder`, of what `beside` and `paired_tests` (as result["tests"]) gave."""
    title, lead = f"{called[0]} against {called[1]}", "The same held-out images, the same draws of patients. Intervals: 95 %."
    rows = tuple(
        (name_of(name), show(result[called[0]][name]), show(result[called[1]][name]), show(fields), reading_of(fields))
        for name, fields in result["difference"].items()
        if is_figure(fields)
    )
    note = "Many figures are looked at: one of twenty differences without any cause leaves its interval. p is not corrected for that."
    sections = [
        Section("Figures", (Text(DISCLAIMER, "warning"), Table(("figure", *called, "difference", "reading"), rows))),
        Section("Tests of the AUC", (tests_table(result["tests"]), Text(note, "note"))),
        Section("How to make it again", (Text(command or "command not recorded", "command"),)),
    ]
    folder = Path(folder)
    write_json(folder / "comparison.json", {**result, "command": command, "disclaimer": DISCLAIMER})
    write_pages(folder, title, lead, sections, name="comparison")


def comparison_table(result: Mapping[str, Any], called: tuple[str, str]) -> str:
    """Figure, both values and their difference as aligned text."""
    rows = [("figure", *called, "difference")]
    names = [name for name, fields in result["difference"].items() if is_figure(fields)]
    rows += [(name, *(show(result[part][name]) for part in (*called, "difference"))) for name in names]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
