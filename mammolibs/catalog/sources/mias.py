"""MIAS / mini-MIAS: 322 films of 161 women, circles round lesions (Suckling et al. 1994).

Its traps: the y axis points up; films 2k-1 and 2k are one patient; a film may have
several rows; four rows have no place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mammolibs.catalog.headers import Headers
from mammolibs.catalog.label_tables import read_text
from mammolibs.catalog.layout import Layout
from mammolibs.catalog.outlines import circle, refuse_outside
from mammolibs.catalog.source import Source, SourceResult, collect
from mammolibs.catalog.words import PATHOLOGY_WORDS, make_id, make_person, translate, worst_pathology
from mammolibs.errors import BadData, BadFile
from mammolibs.records import ImageFacts, ImageRow, Lesion, Outline

SIDE_PIXELS = 1024
SPACING_MM = 0.2
LICENCE = "MIAS: research only, cite Suckling 1994"
_KINDS = {
    "CALC": "calcification",
    "CIRC": "mass",
    "SPIC": "mass",
    "MISC": "mass",
    "ARCH": "distortion",
    "ASYM": "asymmetry",
    "NORM": None,
}
_TISSUES = {"F": "fatty", "G": "fatty-glandular", "D": "dense-glandular"}
_ROW = re.compile(r"(mdb(\d{3}))\s+(\S)\s+(\S+)(?:\s+(\S))?(?:\s+(\d+)\s+(\d+)\s+(\d+)|\s+\*NOTE \d\*)?\s*")


@dataclass(frozen=True)
class Film:
    """What Info.txt says of one film: its rows joined."""

    name: str
    number: int
    density: str
    lesions: tuple[Lesion, ...]


def parse_info(path: Path) -> list[Film]:
    """The films of Info.txt in its order, several rows of one film joined. Raises BadFile for a row that cannot be read."""
    films: dict[str, Film] = {}
    for line in read_text(path).splitlines():
        if not line.startswith("mdb"):
            continue
        found = _ROW.fullmatch(line)
        if not found or found[3] not in _TISSUES or found[4] not in _KINDS:
            raise BadFile(path, f"has a row that cannot be read: {line.strip()!r}", "use the Info.txt that came with the images")
        name, number = found[1], int(found[2])
        before = films.get(name, Film(name, number, _TISSUES[found[3]], ()))
        lesion = _lesion(found, f"mias-{name}-{len(before.lesions) + 1}")
        films[name] = Film(name, number, before.density, (*before.lesions, *([lesion] if lesion else [])))
    if not films:
        raise BadFile(path, "lists no film", "use the Info.txt that came with the images")
    return list(films.values())


def _lesion(row: re.Match, lesion_id: str) -> Lesion | None:
    kind = _KINDS[row[4]]
    if kind is None:
        return None
    place = circle(int(row[6]), SIDE_PIXELS - 1 - int(row[7]), int(row[8])) if row[6] else Outline(shape="none")
    return Lesion(lesion_id=lesion_id, kind=kind, pathology=translate(row[5], PATHOLOGY_WORDS, "severity"), outline=place)


def read(root: Path, options: Mapping[str, str]) -> SourceResult:
    """One row per film that is on the disk; the others are absent."""
    files = Layout(root)
    films = parse_info(files.need_table("Info.txt"))
    result = SourceResult()
    present = [(film, path) for film in films for path in files.images(film.name)[:1]]
    if not present:
        raise files.refuse_empty("MIAS (mdb001.pgm and so on)")
    result.absent = len(films) - len(present)
    headers = Headers(path for _, path in present)
    collect(result, present, lambda pair: _row(*pair, headers[pair[1]]), describe=lambda pair: pair[1])
    result.note_count(
        sum(lesion.outline.shape == "none" for row in result.rows for lesion in row.lesions), "lesions whose place the table does not give"
    )
    return result


def _row(film: Film, path: Path, facts: ImageFacts) -> ImageRow:
    if (facts.rows, facts.columns) != (SIDE_PIXELS, SIDE_PIXELS):
        raise BadData(f"is {facts.columns} x {facts.rows} pixels; the table's places are for {SIDE_PIXELS} x {SIDE_PIXELS}")
    refuse_outside(film.lesions, facts.rows, facts.columns)
    patient = make_person("mias", f"{(film.number + 1) // 2:03d}")
    return ImageRow(
        image_id=make_id("mias", film.name),
        source="mias",
        patient_id=patient,
        exam_id=patient,
        path=str(path),
        laterality="L" if film.number % 2 == 0 else "R",
        view="MLO",
        pathology=worst_pathology(lesion.pathology for lesion in film.lesions) if film.lesions else "normal",
        truth="read",
        density=film.density,
        lesions=film.lesions,
        spacing_mm=SPACING_MM,
        bits=facts.bits_stored,
        licence=LICENCE,
    )


SOURCE = Source("mias", "MIAS, digitised film", read, technology="film")
