"""BCDR: film (F01, F02, F03) and digital mammograms (D01, D02, DN01) with traced lesions (Moura et al. 2013).

Read from the tables bcdr_<set>_img.csv (every image; F03 has none) and
bcdr_<set>_outlines.csv (every lesion; DN01, the normal set, has none), and the folders
patient_<p>/study_<s>, or copies in one folder with the path in the file's name.

Its traps: cells start with a space; an image may be in several sets and several rows;
views are numbers in one table and words in the other; a benign or malignant outline
speaks of its image alone, and images without an outline are unknown, not normal.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mammolibs.catalog.headers import Headers
from mammolibs.catalog.label_tables import read_csv
from mammolibs.catalog.layout import Layout
from mammolibs.catalog.outlines import contour, refuse_outside
from mammolibs.catalog.source import Source, SourceResult, collect
from mammolibs.catalog.words import ACR_DENSITY, PATHOLOGY_WORDS, make_id, make_person, number, translate, whole, worst_pathology
from mammolibs.errors import BadData, BadFile
from mammolibs.records import UNKNOWN, ImageFacts, ImageRow, Lesion

LICENCE = "BCDR: after registration, for research only, not to be passed on"
SPACING_MM = 0.07
# Rows and columns of the digital detector's two plates; other sizes are resized copies, or of another machine.
PLATES = ((4084, 3328), (3328, 2560), (3328, 4084), (2560, 3328))
_TABLE = re.compile(r"bcdr_(f|dn?)(\d\d)_(img|outlines)\.csv(\.xz|\.gz)?", re.IGNORECASE)
_SHARED = ("patient_id", "study_id", "image_filename", "age", "density")
_COLUMNS = {
    "img": (*_SHARED, "image_type_name"),
    "outlines": (*_SHARED, "image_view", "lesion_id", "segmentation_id", "lw_x_points", "lw_y_points", "classification"),
}
_VIEWS = {
    **{"1": ("R", "CC"), "2": ("L", "CC"), "3": ("R", "MLO"), "4": ("L", "MLO")},
    **{"RCC": ("R", "CC"), "LCC": ("L", "CC"), "RO": ("R", "MLO"), "LO": ("L", "MLO")},
}
_PATHOLOGIES = PATHOLOGY_WORDS | {"malign": "malignant"}
# Flags of an outline, the one that names it first.
_KINDS = {
    "mammography_nodule": "mass",
    "mammography_calcification": "calcification",
    "mammography_microcalcification": "calcification",
    "mammography_architectural_distortion": "distortion",
    "mammography_stroma_distortion": "distortion",
}


@dataclass
class Listed:
    """One image and what the tables of its family (film or digital) say of it. outlines: (lesion, segmentation) -> row."""

    record: Mapping[str, str]
    folder: Path
    family: str
    normal_set: bool
    outlines: dict[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)

    @property
    def parts(self) -> list[str]:
        """The path that the table gives, blanks round its parts removed."""
        return [part.strip() for part in self.record["image_filename"].replace("\\", "/").split("/")]

    @property
    def stem(self) -> str:
        return Path(self.parts[-1]).stem


def read_tables(files: Layout) -> list[Listed]:
    """The images of all tables, each once. Raises BadFile where there is no table or one cannot be read."""
    found: dict[tuple[str, str], Listed] = {}
    tables = [(match, path) for path in files.files if (match := _TABLE.fullmatch(path.name))]
    if not tables:
        raise BadFile(files.root, "holds no table bcdr_<set>_img.csv or bcdr_<set>_outlines.csv", "put them beside the images")
    for match, path in sorted(tables, key=lambda table: (table[0][3].lower(), table[1])):
        for record in read_csv(path, _COLUMNS[match[3].lower()]):
            listed = Listed(record, path.parent, match[1][0].upper(), match[1].lower() == "dn")
            listed = found.setdefault((listed.family, listed.stem.lower()), listed)
            if "lesion_id" in record:
                listed.outlines[record["lesion_id"], record["segmentation_id"]] = record
    return list(found.values())


def read(root: Path, options: Mapping[str, str]) -> SourceResult:
    """One row per image that a table lists and the disk holds."""
    files = Layout(root)
    everything = read_tables(files)
    families = {listed.folder: listed.family for listed in everything}
    present = [(listed, path) for listed in everything if (path := _find(files, listed, families))]
    if not present:
        raise files.refuse_empty("BCDR that its tables name")
    result = SourceResult(absent=len(everything) - len(present))
    named = Counter(path for _, path in present)
    for path in [path for path, count in named.items() if count > 1]:
        result.skip(path, "has the name of a film and of a digital image; keep each set in a folder of its own, with its tables")
    present = [(listed, path) for listed, path in present if named[path] == 1]
    headers = Headers(path for _, path in present)
    collect(result, present, lambda item: _row(*item, headers[item[1]]), describe=lambda item: item[1])
    result.note_count(sum(row.pathology == UNKNOWN for row in result.rows), "images without an outline (their label is unknown)")
    result.note_count(sum(row.view == UNKNOWN for row in result.rows), "images whose view is none of CC and MLO by the table")
    return result


def _find(files: Layout, listed: Listed, families: Mapping[Path, str]) -> Path | None:
    """The image below its own table first, and none below tables of the other family: film and digital sets may share names."""
    candidates = [path for stem in (listed.stem, Path("_".join(listed.parts)).stem) for path in files.images(stem)]
    own = [path for path in candidates if path.is_relative_to(listed.folder)]
    others = [folder for folder, family in families.items() if family != listed.family]
    return next(iter(own or [path for path in candidates if not any(path.is_relative_to(folder) for folder in others)]), None)


def _row(listed: Listed, path: Path, facts: ImageFacts) -> ImageRow:
    record = listed.record
    lesions = tuple(_lesion(listed, *key) for key in listed.outlines)
    refuse_outside(lesions, facts.rows, facts.columns)
    pathology, truth = _label(listed, lesions)
    laterality, view = _VIEWS.get(record.get("image_type_name") or record.get("image_view", ""), (UNKNOWN, UNKNOWN))
    digital = listed.family == "D"
    return ImageRow(
        image_id=make_id("bcdr", f"{listed.family}_{listed.stem}"),
        source="bcdr",
        # Film and digital sets come from one archive: where they share a patient's number, the two stay together.
        patient_id=make_person("bcdr", record["patient_id"]),
        exam_id=make_person("bcdr", f"{record['patient_id']}_{record['study_id']}"),
        path=str(path),
        laterality=laterality,
        view=view,
        pathology=pathology,
        truth=truth,
        density=translate(_said(record["density"]), ACR_DENSITY, "density"),
        lesions=lesions,
        spacing_mm=SPACING_MM if digital and (facts.rows, facts.columns) in PLATES else facts.spacing_mm,
        bits=facts.bits_stored,
        age_years=whole(_said(record["age"]), "age"),
        licence=LICENCE,
        technology="digital" if digital else "film",
    )


def _said(cell: str) -> str:
    return "" if cell == "NaN" else cell


def _label(listed: Listed, lesions: tuple[Lesion, ...]) -> tuple[str, str]:
    if lesions:
        pathology = worst_pathology(lesion.pathology for lesion in lesions)
        return pathology, {"malignant": "biopsy", "benign": "biopsy", "normal": "read"}.get(pathology, UNKNOWN)
    return ("normal", "read") if listed.normal_set else (UNKNOWN, UNKNOWN)


def _lesion(listed: Listed, lesion: str, segmentation: str) -> Lesion:
    record = listed.outlines[lesion, segmentation]
    xs, ys = ([number(word, f"{axis} of an outline") for word in record[f"lw_{axis}_points"].split()] for axis in "xy")
    flags = [kind for flag, kind in _KINDS.items() if record.get(flag) == "1"]
    try:
        outline = contour(xs, ys)
    except BadData as error:
        raise BadData(f"lesion {lesion}: {error}") from error
    return Lesion(
        lesion_id=f"bcdr-{listed.family}_{listed.stem}-{lesion}-{segmentation}",
        kind=flags[0] if flags else "other",
        pathology=translate(record["classification"], _PATHOLOGIES, "classification"),
        outline=outline,
    )


SOURCE = Source("bcdr", "BCDR, film and digital mammograms", read)
