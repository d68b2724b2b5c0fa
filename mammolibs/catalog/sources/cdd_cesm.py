"""CDD-CESM: contrast-enhanced mammography, low-energy and subtracted images (Khaled et al. 2022).

The low-energy images (DM) look like ordinary mammograms and are the default; the
subtracted ones (CM) show contrast agent and come with the option images=subtracted or
images=both.

Its traps: four files have a name of their own while the workbook lists the same name
twice; names with stray blanks; copies of another size (512 x 512 is the common one) that
the drawn outlines do not fit; several findings in one image; the two images of one
exposure may carry different labels.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mammolibs.catalog.headers import Headers
from mammolibs.catalog.label_tables import read_csv, read_sheets
from mammolibs.catalog.layout import Layout
from mammolibs.catalog.outlines import circle, drawn, ellipse, refuse_outside
from mammolibs.catalog.source import Source, SourceResult, collect
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
)
from mammolibs.errors import BadData, BadFile
from mammolibs.records import ImageFacts, ImageRow, Lesion, Outline

LICENCE = "CDD-CESM: CC BY 4.0"
IMAGE_OPTIONS = ("low_energy", "subtracted", "both")
POINT_RADIUS_PX = 10
WORKBOOK = "Radiology-manual-annotations.xlsx"
SEGMENTATIONS = "Radiology_hand_drawn_segmentations_v2.csv"
_LABEL = "Pathology Classification/ Follow up"
_COLUMNS = ("Image_name", "Patient_ID", "Side", "Type", "Age", "Breast density (ACR)", "BIRADS", "View", "Machine", _LABEL)
_TYPES = {"DM": "low_energy", "CESM": "subtracted"}
# An image listed in one of these sheets only has regions of this kind.
_KIND_SHEETS = {
    "mass_description": "mass",
    "mass enhancement_description": "mass",
    "calcifications": "calcification",
    "distortion": "distortion",
    "asymmetry": "asymmetry",
}
# The originals have 2355 x 1315 pixels in the mean. One below this is known by its bytes; other files below it are copies.
_LEAST_ROWS = 1500
_LEAST_BYTES_SHARE = 0.5


@dataclass(frozen=True)
class Listed:
    """One row of the workbook. `names`: the file names that it may have, without ending."""

    names: tuple[str, ...]
    record: Mapping[str, str]
    kind: str

    @property
    def images(self) -> str:
        return translate(self.record["Type"], {key.lower(): value for key, value in _TYPES.items()}, "Type")


def read_workbook(path: Path) -> list[Listed]:
    """The rows of sheet `all` in their order. Raises BadFile."""
    sheets = read_sheets(path, {"all": _COLUMNS} | dict.fromkeys(_KIND_SHEETS, ("Image_name",)))
    kinds = defaultdict(set)
    for sheet, kind in _KIND_SHEETS.items():
        for record in sheets[sheet]:
            kinds[record["Image_name"]].add(kind)
    seen: Counter[str] = Counter()
    listed = []
    for record in sheets["all"]:
        name = record["Image_name"]
        seen[name] += 1
        # A name that is listed again is the file with 2 or _2 at its end.
        names = (name,) if seen[name] == 1 else (f"{name}_{seen[name]}", f"{name}{seen[name]}")
        listed.append(Listed(names, record, next(iter(kinds[name])) if len(kinds[name]) == 1 else "other"))
    return listed


def read_segmentations(path: Path) -> dict[str, list[Outline]]:
    """File name without ending, lower case -> outlines, from a VIA export. Raises BadFile for a shape that cannot be read."""
    found = defaultdict(list)
    for record in read_csv(path, ("#filename", "region_shape_attributes")):
        try:
            shape = json.loads(record["region_shape_attributes"] or "{}")
            if shape:
                found[Path(record["#filename"]).stem.lower()].append(_outline(shape))
        except (ValueError, KeyError, TypeError, BadData) as error:
            raise BadFile(path, f"has a region of {record['#filename']} that cannot be read ({error})", "download it again") from error
    return dict(found)


def read_sizes(path: Path) -> dict[str, int]:
    """File name without ending, lower case -> bytes of the file that was drawn on, where the VIA export says it."""
    records = read_csv(path, ("#filename",), also=("file_size",))
    return {Path(r["#filename"]).stem.lower(): int(r["file_size"]) for r in records if r.get("file_size", "").isdecimal()}


def _outline(shape: Mapping) -> Outline:
    match shape["name"]:
        case "polygon" | "polyline":
            return drawn(shape["all_points_x"], shape["all_points_y"], POINT_RADIUS_PX)
        case "ellipse":
            return ellipse(shape["cx"], shape["cy"], shape["rx"], shape["ry"])
        case "circle":
            return circle(shape["cx"], shape["cy"], shape["r"])
        case "point":
            return circle(shape["cx"], shape["cy"], POINT_RADIUS_PX)
    raise BadData(f"shape {shape['name']!r} is not known")


def read(root: Path, options: Mapping[str, str]) -> SourceResult:
    """One row per image of the workbook that is on the disk and of the wanted kind."""
    files = Layout(root)
    result = SourceResult()
    everything = read_workbook(files.need_table(WORKBOOK))
    wanted = [listed for listed in everything if options["images"] in ("both", listed.images)]
    present = [(listed, path) for listed in wanted if (path := _find(files, listed))]
    result.absent = len(wanted) - len(present)
    if not present:
        others = sum(_find(files, listed) is not None for listed in everything)
        if others:
            raise BadFile(
                root, f"holds no {options['images']} image, and {others} of the other kind", "set the option cdd_cesm.images=both"
            )
        raise files.refuse_empty("CDD-CESM (P1_L_DM_MLO.jpg and so on)")
    table = files.table(SEGMENTATIONS)
    outlines = read_segmentations(table) if table else {}
    if table is None:
        result.notes.append(f"{SEGMENTATIONS} is not there: lesions are unknown")
    reader = _Reader(outlines, read_sizes(table) if table else {})
    headers = Headers(path for _, path in present)
    collect(result, present, lambda item: reader.row(*item, headers[item[1]]), describe=lambda item: item[1])
    for text, count in reader.counts.items():
        result.note_count(count, text)
    return result


def _find(files: Layout, listed: Listed) -> Path | None:
    return next((path for name in listed.names for path in files.images(name)), None)


class _Reader:
    """Rows from listed files; `counts` says what a reader of the catalog must know. sizes: bytes of the files that were drawn on."""

    def __init__(self, outlines: Mapping[str, list[Outline]], sizes: Mapping[str, int]):
        self.outlines = outlines
        self.sizes = sizes
        self.counts: Counter[str] = Counter()

    def row(self, listed: Listed, path: Path, facts: ImageFacts) -> ImageRow:
        record = listed.record
        pathology = translate(record[_LABEL], PATHOLOGY_WORDS, "label")
        lesions = self._lesions(listed, path, facts, pathology)
        refuse_outside(lesions, facts.rows, facts.columns)
        patient = make_person("cdd_cesm", f"P{record['Patient_ID']}")
        return ImageRow(
            image_id=make_id("cdd_cesm", path.stem),
            source="cdd_cesm",
            patient_id=patient,
            exam_id=patient,
            path=str(path),
            laterality=translate(record["Side"], LATERALITY_WORDS, "side"),
            view=translate(record["View"], VIEW_WORDS, "view"),
            pathology=pathology,
            # Labels are "pathology or follow-up"; only a cancer is sure to have been proven by pathology.
            truth="biopsy" if pathology == "malignant" else "read",
            birads=worst_birads([record["BIRADS"]]),
            density=translate(record["Breast density (ACR)"], ACR_DENSITY, "density"),
            lesions=lesions,
            maker=f"machine {record['Machine']}" if record["Machine"] else "",
            spacing_mm=facts.spacing_mm,
            bits=facts.bits_stored,
            age_years=whole(record["Age"], "age"),
            licence=LICENCE,
        )

    def _lesions(self, listed: Listed, path: Path, facts: ImageFacts, pathology: str) -> tuple[Lesion, ...]:
        """The regions drawn in this image. Where it holds several findings, nobody says which of them is the malignant one."""
        outlines = self.outlines.get(path.stem.lower(), [])
        if outlines and self._is_resized(path, facts):
            self.counts["copies of another size, whose scale is unknown (the drawn outlines are not used for them)"] += 1
            outlines = [Outline(shape="none")] * len(outlines)
        several = any("$" in listed.record.get(column, "") for column in ("BIRADS", "Findings"))
        return tuple(
            Lesion(
                lesion_id=f"cdd_cesm-{path.stem}-{number}",
                kind=listed.kind,
                pathology="unknown" if several and pathology == "malignant" else pathology,
                outline=outline,
            )
            for number, outline in enumerate(outlines, start=1)
        )

    def _is_resized(self, path: Path, facts: ImageFacts) -> bool:
        """Whether this is a copy of another size than the file that was drawn on; never where it has that file's bytes.

        Else it is one where it is square or small, or a JPEG with much fewer bytes.
        """
        size, original = path.stat().st_size, self.sizes.get(path.stem.lower(), 0)
        if size == original:
            return False
        shrunk = path.suffix.lower() in (".jpg", ".jpeg") and size < original * _LEAST_BYTES_SHARE
        if facts.rows == facts.columns or facts.rows < _LEAST_ROWS or shrunk:
            return True
        self.counts["images whose bytes are not those that were drawn on (their outlines are taken as they are)"] += 1
        return False


SOURCE = Source("cdd_cesm", "CDD-CESM, low-energy and subtracted images", read, {"images": IMAGE_OPTIONS}, technology="digital")
