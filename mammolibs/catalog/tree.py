"""A catalog as a tree of counts that a person can read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import PurePath

from mammolibs.catalog.build import Catalog
from mammolibs.catalog.source import Skipped
from mammolibs.records import PATHOLOGIES, SPLITS, TRUTHS, UNKNOWN, VIEWS, ImageRow

_EXAMPLES = 3
_STEP = "   "


def format_tree(catalog: Catalog) -> str:
    """Counts by source, view, pathology, truth, lesion and split; what is absent; what was skipped and why."""
    by_source = defaultdict(list)
    for row in catalog.rows:
        by_source[row.source].append(row)
    lines = [f"catalog: {_size(catalog.rows)}"]
    for source in sorted(by_source):
        absent = catalog.absent.get(source, 0)
        lines.append(
            f"{_STEP}{source}: {_size(by_source[source])}" + (f"; {absent} more in its table and not on the disk" if absent else "")
        )
        lines += [_STEP * 2 + line for line in _source_lines(by_source[source])]
        lines += [f"{_STEP * 2}note         {note}" for note in catalog.notes.get(source, ())]
    lines += [_STEP + line for line in _split_lines(catalog.rows)]
    lines += [_STEP + line for line in _skipped_lines(catalog.skipped)]
    return "\n".join(lines)


def _size(rows: list[ImageRow]) -> str:
    lesions = sum(len(row.lesions) for row in rows)
    return f"{_number(len(rows), 'image')}, {_number(len({r.patient_id for r in rows}), 'patient')}, {_number(lesions, 'lesion')}"


def _number(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _source_lines(rows: list[ImageRow]) -> list[str]:
    lesions = [lesion for row in rows for lesion in row.lesions]
    counts = {
        "side": _counts((row.laterality for row in rows), ("L", "R", UNKNOWN)),
        "view": _counts((row.view for row in rows), VIEWS),
        "pathology": _counts((row.pathology for row in rows), PATHOLOGIES),
        "truth": _counts((row.truth for row in rows), TRUTHS),
        "lesions": _counts(lesion.kind for lesion in lesions),
        "outlines": _counts(lesion.outline.shape for lesion in lesions),
        "official": _counts(row.official_split for row in rows if row.official_split),
        "spacing": _counts("unknown" if row.spacing_mm is None else f"{row.spacing_mm:g} mm" for row in rows),
    }
    return [f"{name:<12} {text}" for name, text in counts.items() if text]


def _counts(words: Iterable[str], order: tuple[str, ...] = ()) -> str:
    """ "malignant 3, benign 5": in the order given, else by falling count."""
    counter = Counter(words)
    ranked = sorted(counter, key=lambda word: (order.index(word) if word in order else len(order), -counter[word], word))
    shown = [f"{word} {counter[word]}" for word in ranked[:8]]
    return ", ".join(shown) + (f" and {len(ranked) - 8} other values" if len(ranked) > 8 else "")


def _split_lines(rows: list[ImageRow]) -> list[str]:
    lines = ["split"]
    for split in SPLITS:
        part = [row for row in rows if row.split == split]
        people = {row.patient_id for row in part}
        ill = {row.patient_id for row in part if row.pathology == "malignant"}
        labels = _counts((row.pathology for row in part), PATHOLOGIES)
        size = f"{_number(len(part), 'image')} of {_number(len(people), 'patient')}, {len(ill)} with cancer"
        lines.append(f"{_STEP}{split:<12} {size}" + (f" ({labels})" if labels else ""))
    return lines


def _skipped_lines(skipped: list[Skipped]) -> list[str]:
    groups = defaultdict(list)
    for item in skipped:
        groups[item.source, _gist(item.reason)].append(item)
    lines = [f"skipped: {len(skipped)}"]
    for (source, gist), items in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])):
        names = ", ".join(PurePath(item.item).name for item in items[:_EXAMPLES])
        lines.append(f"{_STEP}{source}: {len(items)} x {gist} ({names}{', ...' if len(items) > _EXAMPLES else ''})")
    return lines


def _gist(reason: str) -> str:
    """A reason without what differs from file to file: numbers become n."""
    words = (("n" if any(c.isdigit() for c in word) else word) for word in reason.split())
    return " ".join(words)
