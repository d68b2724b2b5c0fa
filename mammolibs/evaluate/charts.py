"""Distributions as bars that are part of the page: sharp on any screen and in print, their figures can be copied."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

# Colours that the style has; more groups than these cannot be told apart.
MOST_GROUPS = 6


@dataclass(frozen=True)
class Bar:
    """One value of a distribution. parts: its length, one number of 0 or more for each group; text: what stands beside it."""

    label: str
    parts: tuple[float, ...]
    text: str


@dataclass(frozen=True)
class Chart:
    """One distribution, in the order given. note: what was counted, in small print."""

    title: str
    bars: tuple[Bar, ...]
    note: str = ""


@dataclass(frozen=True)
class Charts:
    """Distributions side by side. groups: names of the parts that every bar has, at most `MOST_GROUPS`."""

    groups: tuple[str, ...]
    charts: tuple[Chart, ...]

    def __post_init__(self):
        if not 1 <= len(self.groups) <= MOST_GROUPS:
            raise ValueError(f"{len(self.groups)} groups, between 1 and {MOST_GROUPS} can be told apart")
        wrong = [bar.label for chart in self.charts for bar in chart.bars if len(bar.parts) != len(self.groups)]
        if wrong:
            raise ValueError(f"bar {wrong[0]!r} does not have one part for each of {len(self.groups)} groups")


def charts_html(charts: Charts) -> str:
    """The charts as HTML; one group has no legend."""
    keys = "".join(f'<span class="key"><i class="part{n}"></i>{html.escape(name)}</span>' for n, name in enumerate(charts.groups))
    legend = f'<p class="legend">{keys}</p>' if len(charts.groups) > 1 else ""
    return f'{legend}<div class="charts">{"".join(_chart(chart, charts.groups) for chart in charts.charts)}</div>'


def charts_markdown(charts: Charts) -> str:
    """The charts as lists of figures."""
    parts = []
    for chart in charts.charts:
        lines = [f"- {bar.label}: {bar.text}{_shares(bar, charts.groups)}" for bar in chart.bars]
        parts.append("\n".join([f"**{chart.title}**", "", *lines, *(["", f"*{chart.note}*"] if chart.note else [])]))
    return "\n\n".join(parts)


def _shares(bar: Bar, groups: Sequence[str]) -> str:
    if len(groups) == 1 or any(part != int(part) for part in bar.parts):
        return ""
    return f" ({', '.join(f'{name} {int(part)}' for name, part in zip(groups, bar.parts, strict=True) if part)})"


def _chart(chart: Chart, groups: Sequence[str]) -> str:
    longest = max((sum(bar.parts) for bar in chart.bars), default=0) or 1
    rows = "".join(
        f"<tr><th>{html.escape(bar.label)}</th><td><div>{_parts(bar, longest)}</div></td>"
        f'<td title="{html.escape(_shares(bar, groups).strip(" ()"))}">{html.escape(bar.text)}</td></tr>'
        for bar in chart.bars
    )
    note = f"<figcaption>{html.escape(chart.note)}</figcaption>" if chart.note else ""
    return f'<figure class="chart"><h3>{html.escape(chart.title)}</h3><table>{rows}</table>{note}</figure>'


def _parts(bar: Bar, longest: float) -> str:
    return "".join(f'<i class="part{n}" style="width:{100 * part / longest:.2f}%"></i>' for n, part in enumerate(bar.parts) if part)
