"""The page of a collection: counts, splits, distributions, example films, what was left out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mammolibs.catalog import Catalog, Skipped, format_tree
from mammolibs.evaluate.contact_sheet import film_strip
from mammolibs.evaluate.document import Cards, Gallery, Item, Picture, Section, Table, Text
from mammolibs.evaluate.examples import Example
from mammolibs.pipeline.browse_charts import distributions
from mammolibs.pipeline.browse_data import Collection
from mammolibs.pipeline.browse_views import View
from mammolibs.records import PATHOLOGIES, SPLITS, ImageRow

Cell = tuple[str, str, str]
# Source, reason, left out on purpose, list and line.
Left = tuple[str, str, bool, str]
SHOWN_LINES = 4
SHOWN_BROKEN = 40


@dataclass(frozen=True, kw_only=True, eq=False)
class Looked:
    """What became of the images that were read: number of the row -> what is shown of it, or why it cannot be read."""

    views: Mapping[int, View]
    problems: Mapping[int, str]


def build_sections(
    collection: Collection, chosen: Mapping[Cell, Sequence[int]], looked: Looked, skipped: Sequence[Left] | None
) -> list[Section]:
    """The page's sections in reading order. skipped: None where no list lies beside the collection."""
    rows = collection.rows
    return [
        glance(rows, looked, skipped),
        Section("Split by patient", _split_items(rows)),
        *examples(collection, chosen, looked),
        Section("Distributions", tuple(distributions(rows, looked.views))),
        Section("Sources", (_source_table(rows), _licence_table(rows))),
        Section("Left out", (*_broken_items(collection, looked), *_skipped_items(skipped))),
        Section("Everything counted", (Text(_tree(collection, skipped), "command"),)),
    ]


def glance(rows: Sequence[ImageRow], looked: Looked, skipped: Sequence[Left] | None) -> Section:
    """The figures that a reader wants first, and warnings."""
    lesions = [lesion for row in rows for lesion in row.lesions]
    placed = sum(lesion.outline.shape != "none" for lesion in lesions)
    ill = [row for row in rows if row.pathology == "malignant"]
    faults = sum(not on_purpose for _, _, on_purpose, _ in skipped or ())
    left = ("not known", "no skipped.csv") if skipped is None else (f"{len(skipped):,}", f"{faults:,} for a fault")
    exams, sources = len({row.exam_id for row in rows}), len({row.source for row in rows})
    cards = (
        ("Images", f"{len(rows):,}", f"{_people(rows):,} patients", f"{exams:,} exams, sources: {sources:,}"),
        ("Lesions", f"{len(lesions):,}", f"{placed:,} with a place", f"on {sum(bool(r.lesions) for r in rows):,} images"),
        ("Malignant", f"{len(ill):,}", f"of {_people(ill):,} patients", "images, by their labels"),
        ("Left out", *left, f"{len(looked.problems):,} more cannot be read"),
    )
    return Section("At a glance", (*(Text(told, "warning") for told in _warnings(rows, looked)), Cards(cards)))


def _warnings(rows: Sequence[ImageRow], looked: Looked) -> list[str]:
    sides = defaultdict(set)
    for row in rows:
        sides[row.patient_id].add(row.split)
    torn = sum(len(found) > 1 for found in sides.values())
    tried, broken = len(looked.views) + len(looked.problems), len(looked.problems)
    told = [f"Patients in more than one split: {torn:,}. Figures on it would be too good; split the catalog again."] if torn else []
    told += [f"{broken:,} of the {tried:,} images that were looked at cannot be read; see Left out."] if broken else []
    return told


def _people(rows: Iterable[ImageRow]) -> int:
    return len({row.patient_id for row in rows})


def examples(collection: Collection, chosen: Mapping[Cell, Sequence[int]], looked: Looked) -> list[Section]:
    """A section for each source: a strip of films for each view and pathology. Every row counts to exactly one strip's total."""
    counts = Counter((row.source, row.view, row.pathology) for row in collection.rows)
    sections = []
    for number, source in enumerate(sorted({cell[0] for cell in counts})):
        cells = sorted((cell for cell in counts if cell[0] == source), key=lambda cell: (cell[1], PATHOLOGIES.index(cell[2])))
        strips = tuple(
            Picture(
                name=f"films_{number}_{place}.png",
                png=_strip(collection, chosen[cell], looked),
                caption=f"{cell[1]}, {cell[2]}: {len(chosen[cell])} of {counts[cell]:,}",
            )
            for place, cell in enumerate(cells)
            if chosen[cell]
        )
        unseen = [f"{cell[1]} {cell[2]} ({counts[cell]:,})" for cell in cells if not chosen[cell]]
        items: list[Item] = [Gallery(strips, "height")] if strips else []
        items += [Text(f"Not shown, for want of --images: {', '.join(unseen)}.", "note")] if unseen else []
        sections.append(Section(f"Examples: {source}", tuple(items)))
    where = "of catalog.parquet" if collection.kind == "catalog" else "of the set's index"
    legend = Text(f"Cyan: lesions that have a place. Numbers: the row {where}, counted from 0.", "note")
    return [Section(s.title, (legend, *s.items)) for s in sections[:1]] + sections[1:]


def _strip(collection: Collection, numbers: Sequence[int], looked: Looked) -> bytes:
    films = []
    for number in numbers:
        view = looked.views.get(number)
        films.append(Example(image_id="", image=view and view.picture, truth=view and view.lesions, title=collection.names[number]))
    return film_strip(films)


def _source_table(rows: Sequence[ImageRow]) -> Table:
    head = ("source", "view", "images", "patients", *PATHOLOGIES, "lesions", "copies")
    groups = defaultdict(list)
    for row in rows:
        groups[row.source, row.view].append(row)
    lines = [(source, view, *_line(of_view)) for (source, view), of_view in sorted(groups.items())]
    return Table(head, (*lines, ("all", "", *_line(rows))))


def _line(rows: Sequence[ImageRow]) -> tuple[str, ...]:
    kinds = Counter(row.pathology for row in rows)
    lesions, copies = sum(len(row.lesions) for row in rows), sum(bool(row.parent_id) for row in rows)
    return tuple(f"{number:,}" for number in (len(rows), _people(rows), *(kinds[p] for p in PATHOLOGIES), lesions, copies))


def _licence_table(rows: Sequence[ImageRow]) -> Table:
    counts = Counter((row.licence or "not stated", row.source) for row in rows)
    lines = tuple((licence, source, f"{count:,}") for (licence, source), count in sorted(counts.items()))
    return Table(("licence", "source", "images"), lines)


def _split_items(rows: Sequence[ImageRow]) -> tuple[Item, ...]:
    groups = defaultdict(list)
    for row in rows:
        groups[row.split].append(row)
    head = ("split", "patients", "with cancer", "images", *PATHOLOGIES, "lesions")
    lines = []
    for split in (*SPLITS, *sorted(set(groups) - set(SPLITS))):
        images, people, *rest = _line(groups[split])
        ill = _people(row for row in groups[split] if row.pathology == "malignant")
        lines.append((split or "none", people, f"{ill:,}", images, *rest[:-1]))
    return (Table(head, tuple(lines)),)


def _broken_items(collection: Collection, looked: Looked) -> tuple[Item, ...]:
    tried = len(looked.views) + len(looked.problems)
    if not looked.problems:
        return (Text(f"All {tried:,} images that were looked at can be read."),)
    lines = [(collection.names[n], collection.rows[n].source, problem) for n, problem in sorted(looked.problems.items())]
    rest = len(lines) - SHOWN_BROKEN
    table = Table(("cannot be read", "source", "why"), tuple(lines[:SHOWN_BROKEN]))
    return (table, Text(f"and {rest:,} more", "note")) if rest > 0 else (table,)


def _skipped_items(skipped: Sequence[Left] | None) -> tuple[Item, ...]:
    if skipped is None:
        return (Text("No skipped.csv lies beside this: what was left out when it was made is not known."),)
    if not skipped:
        return (Text("Nothing was left out when it was made."),)
    groups = defaultdict(list)
    for source, reason, on_purpose, where in skipped:
        groups[source, reason, on_purpose].append(where)
    lines = []
    for (source, reason, on_purpose), places in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])):
        told = ", ".join(places[:SHOWN_LINES]) + (", ..." if len(places) > SHOWN_LINES else "")
        lines.append((f"{len(places):,}", source or "shards", reason, "by rule" if on_purpose else "fault", told))
    note = Text("Paths, and words with a number in them, are left out of the reasons: the lists themselves have both.", "note")
    return (Table(("left out", "source", "why", "", "listed in"), tuple(lines)), note)


def _tree(collection: Collection, skipped: Sequence[Left] | None) -> str:
    listed = [Skipped(where.replace("/", " "), reason, source or "shards", by_rule) for source, reason, by_rule, where in skipped or ()]
    return format_tree(Catalog(rows=collection.rows, skipped=listed))
