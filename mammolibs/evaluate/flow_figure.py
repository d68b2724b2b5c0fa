"""The flow of exclusions as a diagram: steps down the middle, what was left out to the right, the figures below."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from mammolibs.evaluate.figures import BLUE, GREY, to_png
from mammolibs.evaluate.result import plural

# Inches: the whole, a line of text, inside a box, between steps, above the last boxes; the two columns.
WIDTH, LINE, PAD, GAP, DROP = 9.2, 0.17, 0.09, 0.3, 0.2
MIDDLE, RIGHT = (0.05, 4.2), (4.75, 9.15)
MOST_REASONS = 6
LONGEST = 62


def flow_figure(flow: Mapping[str, Any], names: Mapping[str, str]) -> bytes | None:
    """PNG of `exclusion_flow`. names: figure -> its name for a reader. None where there are no steps to draw."""
    from matplotlib.figure import Figure

    if not flow["steps"] or not flow["steps"][-1]["count"]:
        return None
    rows = [_step_texts(step) for step in flow["steps"]]
    figures = [_figure_text(fields, names) for fields in flow["figures"]]
    heights = [max(len(left), len(right)) * LINE + 2 * PAD for left, right in rows]
    height = sum(heights) + GAP * len(rows) + DROP + max(len(name) + len(text) for name, text in figures) * LINE + 3 * PAD
    figure = Figure(figsize=(WIDTH, height), dpi=130)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(0, height))
    axes.set_axis_off()
    top = height - PAD / 2
    for (left, right), tall in zip(rows, heights, strict=True):
        box_tall = len(left) * LINE + 2 * PAD
        _box(axes, MIDDLE, top, box_tall, left, BLUE)
        _arrow(axes, (1.0, top - box_tall), (1.0, top - tall - GAP))
        if right:
            _box(axes, RIGHT, top, len(right) * LINE + 2 * PAD, right, GREY)
            _arrow(axes, (MIDDLE[1], top - box_tall / 2), (RIGHT[0], top - box_tall / 2))
        top -= tall + GAP
    _figure_boxes(axes, figures, top)
    return to_png(figure)


def _step_texts(step: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    left = [f"{step['count']:,} {step['step']}"]
    reasons = sorted(step["left_out"], key=lambda reason: -reason["count"])
    right = [_short(f"{reason['count']:,}  {reason['reason']}") for reason in reasons[:MOST_REASONS]]
    if len(reasons) > MOST_REASONS:
        right.append(f"{sum(reason['count'] for reason in reasons[MOST_REASONS:]):,}  for {len(reasons) - MOST_REASONS} more reasons")
    total = sum(reason["count"] for reason in reasons)
    return left, [f"{total:,} left out", *right] if len(reasons) > 1 else right


def _figure_text(fields: Mapping[str, Any], names: Mapping[str, str]) -> tuple[list[str], list[str]]:
    unit = fields["unit"] if fields["counted"] == 1 else plural(fields["unit"])
    told = [f"{fields['counted']:,} {unit}", *(f"- {reason['count']:,} {reason['reason']}" for reason in fields["left_out"])]
    return textwrap.wrap(names[fields["figure"]], 17), [line for text in told for line in textwrap.wrap(text, 20)]


def _figure_boxes(axes: Any, figures: Sequence[tuple[list[str], list[str]]], top: float) -> None:
    """A row of boxes, one per figure, under one line that the last arrow meets."""
    wide = (WIDTH - 0.1 - 0.12 * (len(figures) - 1)) / len(figures)
    tall = max(len(name) + len(text) for name, text in figures) * LINE + 2 * PAD
    axes.plot([0.05 + wide / 2, WIDTH - 0.05 - wide / 2], [top, top], color=GREY, linewidth=1.1)
    for number, (name, text) in enumerate(figures):
        x = 0.05 + number * (wide + 0.12)
        _arrow(axes, (x + wide / 2, top), (x + wide / 2, top - DROP))
        _box(axes, (x, x + wide), top - DROP, tall, [*name, *text], BLUE, size=7.2, bold=len(name))


def _box(
    axes: Any, across: tuple[float, float], top: float, tall: float, lines: Sequence[str], colour: str, *, size: float = 8.6, bold: int = 1
) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((across[0], top - tall), across[1] - across[0], tall, facecolor="#f5f7f9", edgecolor=colour, linewidth=1.1))
    for number, line in enumerate(lines):
        weight = "bold" if number < bold else "normal"
        axes.text(across[0] + PAD, top - PAD - number * LINE, line, fontsize=size, va="top", weight=weight, color="#1d2733")


def _arrow(axes: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate("", xy=end, xytext=start, arrowprops={"arrowstyle": "-|>", "color": GREY, "linewidth": 1.1, "shrinkA": 0, "shrinkB": 0})


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
