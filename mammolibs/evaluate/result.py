"""The shape of `report.json`: blocks of figures, each figure with unit, n, events and interval or a reason."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from mammolibs.records import Estimate

Figures = Mapping[str, Estimate | float]
FIGURE_FIELDS = ("value", "low", "high", "n", "events", "unit", "method", "reason")
DISCLAIMER = "Research only. Not a medical device."


def as_estimate(value: Estimate | float | None) -> Estimate:
    """A plain number becomes an Estimate that says that it stands alone."""
    if isinstance(value, Estimate):
        return value
    if value is None or not math.isfinite(value):
        return Estimate(value=None, method="given by the stage", reason="the stage gave no finite number")
    return Estimate(value=float(value), method="given by the stage", reason="a plain number of the stage: no count and no interval")


def figure(value: Estimate | float | None) -> dict[str, Any]:
    """One figure as JSON. A missing interval or event count always has a reason."""
    fields = asdict(as_estimate(value))
    for name in ("value", "low", "high"):
        if fields[name] is not None and not math.isfinite(fields[name]):
            fields[name] = None
    missing = [words for words, gone in _absences(fields) if gone]
    if missing and not fields["reason"]:
        fields["reason"] = f"no {' and no '.join(missing)}: not computed"
    fields["method"] = fields["method"] or "given by the stage"
    return {name: fields[name] for name in FIGURE_FIELDS}


def _absences(fields: dict[str, Any]) -> list[tuple[str, bool]]:
    interval = fields["low"] is None or fields["high"] is None
    return [("value", fields["value"] is None), ("interval", interval), ("event count", fields["events"] is None)]


def block(figures: Figures, split_hash: str | None) -> dict[str, Any]:
    """A result block: its figures and the hash of the split they were measured on."""
    result: dict[str, Any] = {name: figure(value) for name, value in figures.items()}
    result["split_hash"] = split_hash
    if split_hash is None:
        result["split_reason"] = "no split of ours: the scores came without one"
    return result


def is_figure(value: Any) -> bool:
    return isinstance(value, dict) and "value" in value and "unit" in value


def figure_names(result: Mapping[str, Any]) -> list[str]:
    """The names of a block's figures."""
    return [name for name, value in result.items() if is_figure(value)]


def block_of(result: Mapping[str, Any], wanted: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Figures of several blocks, by (block, name), as one block of the same split."""
    wanted = list(wanted)
    split = {name: value for block, _ in wanted for name, value in result[block].items() if name.startswith("split_")}
    return {name: result[block][name] for block, name in wanted} | split


def plural(unit: str) -> str:
    return unit + ("es" if unit.endswith("h") else "s")


def show(fields: dict[str, Any], *, digits: int = 2) -> str:
    """A figure in one line: value [low, high], or that it is not known and why."""
    if fields["value"] is None:
        return f"not known ({fields['reason']})"
    if fields["value"] not in (0.0, 1.0) and round(fields["value"], digits) in (0.0, 1.0):
        digits += 2  # neither certain nor impossible, and not to be shown as such
    text = f"{fields['value']:.{digits}f}"
    if fields["low"] is None or fields["high"] is None:
        return text
    return f"{text} [{fields['low']:.{digits}f}, {fields['high']:.{digits}f}]"


def table_rows(result: Mapping[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """Name, figure, unit, n and events of each figure of a block, as text."""
    rows = []
    for name, fields in result.items():
        if is_figure(fields):
            events = "" if fields["events"] is None else str(fields["events"])
            count = str(fields["n"]) if fields["n"] or fields["value"] is None else ""
            rows.append((name, show(fields), fields["unit"], count, events))
    return rows
