"""The section on slices: a table per fact, and the AUC of each slice beside that of the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mammolibs.evaluate.document import Item, Picture, Section, Table, Text
from mammolibs.evaluate.figures import BLUE, GREY, ORANGE, dress, new_figure, to_png
from mammolibs.evaluate.result import show
from mammolibs.evaluate.slice_tests import FIGURES

Rows = Mapping[str, Mapping[str, Any]]
HEADS = {"auc": "AUC", "sensitivity": "sensitivity", "specificity": "specificity", "lesion_sensitivity_at_1_fp": "lesions found"}
ROW_INCHES = 0.21
CAPTION = "AUC of each slice with its 95 % interval; line and band: all images. Orange: below the rest after correction, or swapped labels."


def slice_section(result: Mapping[str, Any], alarms: Sequence[str]) -> Section:
    """result: what stands in report.json."""
    by: Mapping[str, Rows] = {fact: rows for fact, rows in result.get("by", {}).items() if len(rows) > 1}
    picture = forest_figure(by, result["whole"]["auc"])
    items: list[Item] = [Text(alarm, "warning") for alarm in alarms]
    items += [Picture("slices.png", picture, CAPTION)] if picture else []
    for fact, rows in by.items():
        items += [Text(f"{fact.capitalize()}{_of(result['not_said'].get(fact))}"), _table(rows, result["whole"])]
    uncut = [f"{fact} ({why})" for fact, why in result["not_said"].items() if fact not in by]
    items += [Text(f"Not cut by {', '.join(uncut)}.", "note")] if uncut else []
    return Section("Slices", (*items, Text(_how(result), "note")))


def _of(note: str | None) -> str:
    return f" ({note})" if note else ""


def _how(result: Mapping[str, Any]) -> str:
    return (
        "Sensitivity and specificity are those at the cut chosen on validation patients, lesions found those at one false positive per image. "
        "Each figure of a slice is tested against the same on the rest over the same draws of patients "
        f"({result['tests']} tests, one-sided, Holm's correction): one report in {round(1 / result['family_error'])} flags a slice where none is "
        "worse. A slice of a lesion's kind or size holds the malignant images with such a lesion and all images that are not malignant. "
        "A slice without a reading is not shown to be worse and may still be so: look at its interval."
    )


def _table(rows: Rows, whole: Mapping[str, Any]) -> Table:
    names = [name for name in FIGURES if name in whole and any(name in values for values in rows.values())]
    lines = [(slice_name, *_cells(values, names), _reading(values)) for slice_name, values in rows.items()]
    lines.append(("all images", *_cells(whole, names), ""))
    return Table(("slice", "images (malignant)", *(HEADS[name] for name in names), "reading"), tuple(lines))


def _cells(values: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    return [
        f"{values['auc']['n']} ({values['auc']['events']})",
        *("none" if values[n]["value"] is None else show(values[n]) for n in names),
    ]


def _reading(values: Mapping[str, Any]) -> str:
    tests = values["tests"]
    if values["swapped"]:
        return "labels look swapped"
    if values["below_the_rest"]:
        return "; ".join(
            f"{FIGURES[name]} below the rest (corrected p {tests[name]['corrected_p']:.2g})" for name in values["below_the_rest"]
        )
    untested = {name: test["reason"] for name, test in tests.items() if test["p"] is None}
    if len(untested) == len(tests):
        return f"too small to test: {untested['auc']}"
    return f"not tested: {', '.join(f'{HEADS[name]} ({reason})' for name, reason in untested.items())}" if untested else ""


def forest_figure(by: Mapping[str, Rows], whole: Mapping[str, Any]) -> bytes | None:
    """The slices' AUC with intervals, one line each, in the order of the tables; None where fewer than two have one."""
    lines = [(fact, name, values) for fact, rows in by.items() for name, values in rows.items() if values["auc"]["low"] is not None]
    if len(lines) < 2 or whole["low"] is None:
        return None
    figure, (axes,) = new_figure(7.2, 1.1 + ROW_INCHES * len(lines))
    axes.axvspan(whole["low"], whole["high"], color=GREY, alpha=0.2, linewidth=0)
    axes.axvline(whole["value"], color=GREY, linewidth=1.2)
    for place, (_, _, values) in enumerate(lines):
        auc = values["auc"]
        colour = ORANGE if values["swapped"] or values["below_the_rest"] else BLUE
        axes.plot([auc["low"], auc["high"]], [place, place], color=colour, linewidth=1.6)
        axes.plot([auc["value"]], [place], "o", color=colour, markersize=4.5)
    for place in range(1, len(lines)):
        if lines[place][0] != lines[place - 1][0]:
            axes.axhline(place - 0.5, color="#d5dce2", linewidth=0.8)
    dress(axes, "AUC by slice", "AUC, malignant against the rest", "")
    labels = [f"{fact}: {name[:32]}  ({values['auc']['n']})" for fact, name, values in lines]
    axes.set_yticks(range(len(lines)), labels=labels)
    axes.set(ylim=(len(lines) - 0.4, -0.6))
    return to_png(figure)
