"""Mini-DDSM: the films of DDSM at half size, four views of each case, with outlines (Lekamlage et al. 2020).

Read from DataWMask.xlsx and the case folders of either tree (JPEG of 8 bits, PNG of 16,
which goes first where both are there). Findings come from the `.OVERLAY` beside a film,
which says of each what it proved to be, and bounds all of them.

Its traps: the table's Status is the case's, so the healthy breast of a cancer case is
called Cancer; overlays are in pixels of the full scan; the mask files (`_Mask`, `_Mask2`,
`_MASK2`, in the table's spelling or another; a third and more in Data-MoreThanTwoMasks) show
the boundary as a thin line and not the region, and are not used; two strays belong to no
film (Benign/0286/D_4009_1.RIGHT_MLO.OVERLAYu, Cancer/0002/Mask_C_0002_1.LEFT_MLO.jpg).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mammolibs.catalog.ddsm import Abnormality, Scan, read_overlay, read_scans
from mammolibs.catalog.headers import Headers
from mammolibs.catalog.label_tables import read_sheets
from mammolibs.catalog.layout import Layout
from mammolibs.catalog.outlines import refuse_outside
from mammolibs.catalog.source import OTHER_BREAST_OPTIONS, Source, SourceResult, collect
from mammolibs.catalog.words import (
    ACR_DENSITY,
    LATERALITY_WORDS,
    PATHOLOGY_WORDS,
    VIEW_WORDS,
    make_id,
    make_person,
    translate,
    whole,
    worst_birads,
    worst_pathology,
)
from mammolibs.records import UNKNOWN, ImageFacts, ImageRow, Lesion, Outline

LICENCE = "DDSM: free for research, cite Heath 2001 and Lekamlage 2020"
WORKBOOK, SHEET = "DataWMask.xlsx", "Data"
_COLUMNS = ("fileName", "View", "Side", "Status", "Tumour_Contour", "Age", "Density")


@dataclass(frozen=True)
class Film:
    """One row of the table. name: C_0029_1.LEFT_CC; marked: the table names a contour of it."""

    name: str
    marked: bool
    record: Mapping[str, str]

    @property
    def case(self) -> str:
        return self.name.split(".")[0]

    @property
    def breast(self) -> tuple[str, str]:
        return self.case, self.record["Side"]


def read_films(path: Path) -> list[Film]:
    """The films of the workbook in its order. Raises BadFile."""
    records = read_sheets(path, {SHEET: _COLUMNS})[SHEET]
    return [Film(Path(record["fileName"]).stem, record["Tumour_Contour"] not in ("", "-"), record) for record in records]


def read(root: Path, options: Mapping[str, str]) -> SourceResult:
    """One row per film that is on the disk. A breast takes the worst label of what was marked in either of its views."""
    files = Layout(root)
    films = read_films(files.need_table(WORKBOOK))
    present = [(film, path) for film in films if (path := _image(files, film))]
    if not present:
        raise files.refuse_empty("Mini-DDSM (C_0029_1.LEFT_CC.jpg and so on)")
    result = SourceResult(absent=len(films) - len(present))
    reader = _Reader(files, films, options["other_breast"])
    headers = Headers(path for _, path in present)
    collect(result, present, lambda item: reader.row(*item, headers[item[1]]), describe=lambda item: item[1])
    for text, count in reader.notes.items():
        result.note_count(count, text)
    result.notes.append("its films are films of DDSM, as CBIS-DDSM's are, under other patient ids: audit a catalog of both for twins")
    return result


def _image(files: Layout, film: Film) -> Path | None:
    return min(files.images(film.name), key=lambda path: path.suffix.lower() != ".png", default=None)


class _Reader:
    """Rows of films; `notes` counts what could not be known of them."""

    def __init__(self, files: Layout, films: list[Film], other_breast: str):
        self.files = files
        self.other_breast = other_breast
        self.notes: Counter[str] = Counter()
        self.views: dict[tuple[str, str], list[Film]] = defaultdict(list)
        for film in films:
            self.views[film.breast].append(film)
        self.marks = cache(self._marks)
        self.scans = cache(self._scans)

    def _marks(self, name: str) -> list[Abnormality]:
        overlay = self.files.table(f"{name}.OVERLAY")
        return read_overlay(overlay) if overlay else []

    def _scans(self, case: str) -> dict[str, Scan]:
        # The table lookup takes the hyphens of C-0029-1.ics for underscores.
        path = self.files.table(f"{case}.ics")
        return read_scans(path) if path else {}

    def row(self, film: Film, path: Path, facts: ImageFacts) -> ImageRow:
        record = film.record
        scan = self.scans(film.case).get(f"{record['Side']}_{record['View']}")
        scale = scan.scale(facts) if scan else None
        lesions = self._lesions(film, scale)
        refuse_outside(lesions, facts.rows, facts.columns)
        marks = [mark for view in self.views[film.breast] for mark in self.marks(view.name)]
        pathology, truth = self._label(film, marks)
        age = "" if record["Age"] == "NaN" else record["Age"]
        density = whole(record["Density"], "density")
        return ImageRow(
            image_id=make_id("mini_ddsm", film.name.replace(".", "_")),
            source="mini_ddsm",
            patient_id=make_person("mini_ddsm", film.case.rpartition("_")[0]),
            exam_id=make_person("mini_ddsm", film.case),
            path=str(path),
            laterality=translate(record["Side"], LATERALITY_WORDS, "side"),
            view=translate(record["View"], VIEW_WORDS, "view"),
            pathology=pathology,
            truth=truth,
            birads=worst_birads(mark.assessment for mark in marks),
            density=translate("" if density is None else density, ACR_DENSITY, "density"),
            lesions=lesions,
            maker=scan.digitizer if scan else "",
            spacing_mm=scan.spacing_mm / scale if scan else None,
            bits=facts.bits_stored,
            age_years=whole(age, "age"),
            licence=LICENCE,
        )

    def _label(self, film: Film, marks: list[Abnormality]) -> tuple[str, str]:
        """Pathology and truth of the film's breast, on which `marks` were made."""
        unread = [view for view in self.views[film.breast] if view.marked and not self.marks(view.name)]
        if marks or unread:
            pathology = worst_pathology([*(mark.pathology for mark in marks), *(UNKNOWN for _ in unread)])
            truths = {mark.truth for mark in marks if mark.pathology == pathology}
            return pathology, next((truth for truth in ("biopsy", "read") if truth in truths), UNKNOWN)
        if translate(film.record["Status"], PATHOLOGY_WORDS, "Status") == "normal":
            return "normal", "read"
        self.notes[f"films of breasts in which nothing is marked, in cases with a finding (their label is {self.other_breast})"] += 1
        return self.other_breast, "assumed" if self.other_breast == "normal" else UNKNOWN

    def _lesions(self, film: Film, scale: float | None) -> tuple[Lesion, ...]:
        marks = self.marks(film.name)
        if marks and scale is None:
            self.notes["films whose .ics does not tell the scale of their outlines (findings kept without a place)"] += 1
        if film.marked and not marks:
            self.notes["films whose contour has no .OVERLAY (a finding without a kind, a label or a place)"] += 1
            return (Lesion(lesion_id=f"mini_ddsm-{film.name}-1"),)
        return tuple(
            Lesion(
                lesion_id=f"mini_ddsm-{film.name}-{position}",
                kind=mark.kind,
                pathology=mark.pathology,
                outline=mark.outline(scale) if scale else Outline(shape="none"),
            )
            for position, mark in enumerate(marks, start=1)
        )


SOURCE = Source("mini_ddsm", "Mini-DDSM, digitised film at half size", read, {"other_breast": OTHER_BREAST_OPTIONS}, technology="film")
