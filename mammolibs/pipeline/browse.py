"""One page that shows what a catalog or a shard set holds."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from mammolibs.catalog.nameless import anonymous
from mammolibs.errors import BadConfig, BadFile, MammolibsError
from mammolibs.evaluate.document import to_html
from mammolibs.imaging.pool import map_files
from mammolibs.pipeline.browse_data import Collection, open_collection
from mammolibs.pipeline.browse_page import Looked, build_sections
from mammolibs.pipeline.browse_views import View
from mammolibs.pipeline.progress import progress
from mammolibs.records import ImageRow
from mammolibs.storage import locate

MOST_IMAGES = 48
FILMS_PER_CELL = 4
TIMEOUT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class BrowseReport:
    """images: how many there are. read: how many of them were read for the page. broken: (name on
    the page, why) of each that cannot be read. page: where it was written."""

    images: int
    read: int
    broken: tuple[tuple[str, str], ...]
    page: str

    def __str__(self) -> str:
        broken = f", {len(self.broken)} cannot be read" if self.broken else ""
        return f"{self.page}: {self.images} images, {self.read} of them read{broken}"


def browse(
    location: str | os.PathLike,
    out: str | os.PathLike,
    *,
    images: int = MOST_IMAGES,
    workers: int = 0,
    timeout_s: float = TIMEOUT_S,
) -> BrowseReport:
    """Write one self-contained HTML page of a catalog (table, folder or run) or of the shard sets in a folder; all may be in a bucket.

    At most `images` images are read: first the films that are shown, spread over sources,
    views and pathologies and within each over the patients, then others evenly, for what only
    pixels tell. A pool that outlives a dead or hung worker reads them; those that cannot be
    read are counted and shown as such. All counts are of every row. The page holds no
    path, patient or file name: images are called by their row. Same input, same bytes.

    Raises BadConfig for a number of images below 0, BadFile where there is nothing to browse.
    """
    if images < 0:
        raise BadConfig(f"--images {images}: 0 or more")
    collection = open_collection(location)
    chosen = choose(collection.rows, images)
    shown = {number for numbers in chosen.values() for number in numbers}
    others = [number for number in range(len(collection.rows)) if number not in shown]
    looked = _look(collection, sorted({*shown, *evenly(others, images - len(shown))}), workers, timeout_s)
    title = f"Data: {', '.join(sorted({row.source for row in collection.rows})) or 'nothing'}"
    lead = f"What this {collection.kind} holds; content {collection.content}."
    page = to_html(title, lead, build_sections(collection, chosen, looked, _left_out(collection)))
    store, name = locate(out)
    store.write(name, page.encode())
    broken = tuple((collection.names[number], problem) for number, problem in sorted(looked.problems.items()))
    return BrowseReport(images=len(collection.rows), read=len(looked.views), broken=broken, page=str(out))


def choose(rows: Sequence[ImageRow], most: int, each: int = FILMS_PER_CELL) -> dict[tuple[str, str, str], list[int]]:
    """(source, view, pathology) -> numbers of the rows to show, up to `each`, evenly spread over the cell's patients.

    Where `most` is too few for that, cells are served in turns, the largest of every source
    first; one that got none has an empty list.
    """
    cells: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for number in sorted(range(len(rows)), key=lambda n: (rows[n].patient_id, rows[n].image_id)):
        cells[rows[number].source, rows[number].view, rows[number].pathology].append(number)
    by_source = defaultdict(list)
    for cell in sorted(cells, key=lambda cell: (-len(cells[cell]), cell)):
        by_source[cell[0]].append(cell)
    turns = sorted((place, cell) for of_source in by_source.values() for place, cell in enumerate(of_source))
    shares = dict.fromkeys(sorted(cells), 0)
    for _ in range(each):
        for _, cell in turns:
            if sum(shares.values()) < most and shares[cell] < len(cells[cell]):
                shares[cell] += 1
    return {cell: evenly(cells[cell], share) for cell, share in shares.items()}


def evenly(items: Sequence[int], count: int) -> list[int]:
    """`count` of the items, or all where there are fewer, from the middles of equal parts."""
    count = min(count, len(items))
    return [items[(2 * i + 1) * len(items) // (2 * count)] for i in range(count)]


def _left_out(collection: Collection) -> list[tuple[str, str, bool, str]] | None:
    """Source, reason, whether by rule, list and line of each; None where there is no list."""
    if collection.skipped is None:
        return None
    return [(item.source, anonymous(item.reason, (item.item,)), item.on_purpose, where) for item, where in collection.skipped]


def _look(collection: Collection, numbers: Sequence[int], workers: int, timeout_s: float) -> Looked:
    """The chosen images; what cannot be read, or whose facts could not, with its reason."""
    views: dict[int, View] = {}
    problems = {number: _reason(problem, collection.rows[number]) for number, problem in collection.damaged.items()}
    items = [(number, collection.places[number]) for number in numbers]
    names = collection.names
    answers = map_files(partial(_read, collection.read), items, workers=workers, timeout_s=timeout_s, describe=lambda item: names[item[0]])
    for (number, _), answer in progress(answers, "reading examples", unit="image", total=len(items)):
        if isinstance(answer, MammolibsError):
            told = answer.problem if isinstance(answer, BadFile) else str(answer)
            problems[number] = _reason(told, collection.rows[number])
        else:
            views[number] = answer
    return Looked(views=views, problems=problems)


def _read(read: Any, item: tuple[int, Any]) -> View:
    return read(item[1])


def _reason(problem: str, row: ImageRow) -> str:
    return anonymous(problem, (row.path, row.image_id, row.patient_id, row.exam_id))
