"""Distributions over a collection: of what its rows say, and of what the images that were read show."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mammolibs.evaluate.charts import MOST_GROUPS, Bar, Chart, Charts
from mammolibs.evaluate.document import Item, Text
from mammolibs.pipeline.browse_views import LEVELS, View
from mammolibs.records import LESION_KINDS, PATHOLOGIES, TRUTHS, UNKNOWN, VIEWS, ImageRow, Lesion

MOST_VALUES = 9
BINS = 8
OTHER = "other sources"

# (value, group) -> how many have it.
Counted = Mapping[tuple[Any, str], int]


def distributions(rows: Sequence[ImageRow], views: Mapping[int, View]) -> list[Item]:
    """Charts of all rows, and of the images that were read, in parts by source."""
    if not rows:
        return [Text("There are no images.")]
    ranked = [source for source, _ in sorted(Counter(row.source for row in rows).items(), key=lambda item: (-item[1], item[0]))]
    groups = tuple(ranked if len(ranked) <= MOST_GROUPS else (*ranked[: MOST_GROUPS - 1], OTHER))
    group = {source: source if source in groups else OTHER for source in ranked}

    def of_rows(field: str) -> Counted:
        return Counter((getattr(row, field), group[row.source]) for row in rows)

    def of_lesions(value: Callable[[Lesion], str]) -> Counted:
        return Counter((value(lesion), group[row.source]) for row in rows for lesion in row.lesions)

    seen = [(group[rows[number].source], view) for number, view in sorted(views.items())]
    sizes = Counter((f"{view.size[0]} x {view.size[1]}", name) for name, view in seen)
    diameters = Counter((mm, name) for name, view in seen for mm in view.lesion_mm)
    read = f"of the {len(seen):,} images read"
    charts = (
        named("Pathology", of_rows("pathology"), groups, PATHOLOGIES),
        named("View", of_rows("view"), groups, VIEWS),
        binned("Age, years", of_rows("age_years"), groups, step=10),
        named("Density", of_rows("density"), groups, sorted({row.density for row in rows})),
        named("BI-RADS", of_rows("birads"), groups, sorted({row.birads for row in rows})),
        named("Truth", of_rows("truth"), groups, TRUTHS),
        binned("Spacing, mm per pixel", of_rows("spacing_mm"), groups),
        named("Bits stored", of_rows("bits"), groups, sorted({row.bits for row in rows} - {None})),
        named("Maker", of_rows("maker"), groups),
        named("Lesions by kind", of_lesions(lambda lesion: lesion.kind), groups, LESION_KINDS),
        named("Lesions by outline", of_lesions(lambda lesion: lesion.outline.shape), groups),
        binned("Lesion diameter, mm", diameters, groups, note=f"of the disc with the outline's area, {read}"),
        named("Image size, rows x columns", sizes, groups, note=read),
        brightness("Brightness inside the breast", seen, groups, note=f"share of its pixels, 0 dark to 1 bright, {read}"),
    )
    return [Charts(groups, tuple(chart for chart in charts if chart.bars))]


def named(title: str, counted: Counted, groups: Sequence[str], order: Sequence[Any] = (), note: str = "") -> Chart:
    """Counts of words: in the order given, else the most frequent first; what is not known last. Rare ones are joined."""
    parts: dict[Any, dict[str, float]] = defaultdict(lambda: dict.fromkeys(groups, 0))
    for (value, group), count in counted.items():
        parts[UNKNOWN if value in ("", None, UNKNOWN) else value][group] += count
    total = {value: sum(of_value.values()) for value, of_value in parts.items()}
    known = [value for value in order if value in parts and value != UNKNOWN]
    known += sorted((value for value in parts if value not in known and value != UNKNOWN), key=lambda value: (-total[value], str(value)))
    if len(known) > MOST_VALUES:
        kept = set(sorted(known, key=lambda value: (-total[value], str(value)))[: MOST_VALUES - 1])
        rare = [value for value in known if value not in kept]
        known = [value for value in known if value in kept]
        joined = {group: sum(parts[value][group] for value in rare) for group in groups}
    bars = [_bar(str(value), parts[value], groups) for value in known]
    bars += [_bar(f"{len(rare):,} other values", joined, groups)] if len(total) - (UNKNOWN in total) > MOST_VALUES else []
    return Chart(title, (*bars, *([_bar(UNKNOWN, parts[UNKNOWN], groups)] if UNKNOWN in parts else [])), note)


def binned(title: str, counted: Counted, groups: Sequence[str], step: float | None = None, note: str = "") -> Chart:
    """Counts of numbers: of each value where there are few, else in steps of a round width."""
    values = sorted({value for value, _ in counted if value is not None})
    if not values or (step is None and len(values) <= BINS):
        exact = {value: f"{value:.4g}" for value in values}
        return named(title, _relabelled(counted, exact), groups, list(dict.fromkeys(exact.values())), note)
    step = step or round_step(values[-1] - values[0])
    # A value on an edge belongs above it, whatever its last bit says.
    place = {value: math.floor(value / step + 1e-9) for value in values}
    first, last = place[values[0]], place[values[-1]]
    labels = {n: f"{n * step:.4g} to {(n + 1) * step:.4g}" for n in range(first, last + 1)}
    told = _relabelled(counted, {value: labels[place[value]] for value in values})
    # Steps that hold nothing are shown too, unless rare ones are joined anyway.
    empty = {(label, groups[0]): 0 for label in labels.values() if len(labels) <= MOST_VALUES}
    return named(title, empty | told, groups, list(dict.fromkeys(labels.values())), note)


def _relabelled(counted: Counted, labels: Mapping[Any, str]) -> dict[tuple[str | None, str], int]:
    """Counts of the labels of the values; None stays."""
    told: dict[tuple[str | None, str], int] = {}
    for (value, group), count in counted.items():
        told[labels.get(value), group] = told.get((labels.get(value), group), 0) + count
    return told


def round_step(span: float, bins: int = BINS) -> float:
    """1, 2 or 5 times a power of ten, so that at most `bins` steps make the span. span: above 0."""
    power = 10.0 ** math.floor(math.log10(span / bins))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power * bins >= span * (1 - 1e-9))


def brightness(title: str, seen: Sequence[tuple[str, View]], groups: Sequence[str], note: str = "") -> Chart:
    """The breast's grey levels; every image counts alike."""
    found = [(group, view.levels) for group, view in seen if view.levels is not None]
    bars = []
    for level in range(LEVELS if found else 0):
        parts = {name: sum(float(levels[level]) for group, levels in found if group == name) / len(found) for name in groups}
        bars.append(Bar(f"{level / LEVELS:.2f}", tuple(parts.values()), f"{100 * sum(parts.values()):.1f} %"))
    missing = len(seen) - len(found)
    return Chart(title, tuple(bars), note + (f"; no breast found in {missing}" if missing else ""))


def _bar(label: str, parts: Mapping[str, float], groups: Sequence[str]) -> Bar:
    return Bar(label, tuple(parts[group] for group in groups), f"{int(sum(parts.values())):,}")
