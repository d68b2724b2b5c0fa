"""VinDr-Mammo: 5,000 screening exams with BI-RADS by double reading and boxes, without pathology (Nguyen et al. 2023).

Read from finding_annotations.csv, which lists every image, and images/<study>/<image>.dicom
or copies in another format that kept the image ids as file names.

Its traps: boxes that reach beyond the image; a box may carry several categories, and no
BI-RADS; breasts of BI-RADS 3 to 5 whose images have no box; patients are not released, so
the study is the patient.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mammolibs.catalog.headers import Headers
from mammolibs.catalog.label_tables import read_csv
from mammolibs.catalog.layout import Layout
from mammolibs.catalog.outlines import clipped_box
from mammolibs.catalog.source import Source, SourceResult, collect
from mammolibs.catalog.words import (
    ACR_DENSITY,
    BIRADS_WORDS,
    LATERALITY_WORDS,
    VIEW_WORDS,
    birads_pathology,
    make_id,
    make_person,
    number,
    translate,
    worst_birads,
)
from mammolibs.errors import BadData
from mammolibs.records import UNKNOWN, ImageFacts, ImageRow, Lesion, Outline

LICENCE = "VinDr-Mammo: PhysioNet Restricted Health Data License 1.5.0, not to be passed on"
TABLE = "finding_annotations.csv"
# The default first.
MALIGNANT_FROM = ("4", "5")
_EDGES = ("xmin", "ymin", "xmax", "ymax")
_COLUMNS = (
    *("study_id", "image_id", "laterality", "view_position", "height", "width", "breast_birads", "breast_density"),
    *("finding_categories", "finding_birads", *_EDGES, "split"),
)
_NO_FINDING = "No Finding"
_KINDS = {
    "Mass": "mass",
    "Suspicious Calcification": "calcification",
    "Asymmetry": "asymmetry",
    "Focal Asymmetry": "asymmetry",
    "Global Asymmetry": "asymmetry",
    "Architectural Distortion": "distortion",
    "Suspicious Lymph Node": "other",
    "Skin Thickening": "other",
    "Skin Retraction": "other",
    "Nipple Retraction": "other",
}
_SPLITS = {"training": "train", "test": "test"}
_ASPECT_TOLERANCE = 0.01


@dataclass(frozen=True)
class Listed:
    """One image of the table: its rows, one for each box or a single one without."""

    image: str
    study: str
    records: tuple[Mapping[str, str], ...]


def read_table(path: Path) -> list[Listed]:
    """The images in the table's order. Raises BadFile."""
    images: dict[tuple[str, str], list[Mapping[str, str]]] = {}
    for record in read_csv(path, _COLUMNS):
        images.setdefault((record["image_id"], record["study_id"]), []).append(record)
    return [Listed(image, study, tuple(records)) for (image, study), records in images.items()]


def parse_categories(cell: str) -> tuple[str, ...]:
    """The finding categories of a cell such as "['Mass', 'Asymmetry']"; empty for no finding. Raises BadData."""
    try:
        words = ast.literal_eval(cell)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise BadData(f"finding_categories is {cell!r}, which is no list") from error
    known = [_NO_FINDING, *_KINDS]
    if not isinstance(words, list) or not words or any(word not in known for word in words):
        raise BadData(f"finding_categories is {cell!r}; known are {', '.join(known)}")
    return tuple(word for word in words if word != _NO_FINDING)


def read(root: Path, options: Mapping[str, str]) -> SourceResult:
    """One row per image of the table that is on the disk."""
    files = Layout(root)
    listed = read_table(files.need_table(TABLE))
    result = SourceResult()
    present = [(image, path) for image in listed for path in files.images(image.image)[:1]]
    if not present:
        raise files.refuse_empty("VinDr-Mammo (images/<study>/<image>.dicom)")
    result.absent = len(listed) - len(present)
    result.notes.append("patients are not released: each study counts as a patient")
    counts: Counter[str] = Counter()
    headers = Headers(path for _, path in present)
    collect(result, present, lambda item: _row(*item, headers[item[1]], options["malignant_from"], counts), describe=lambda item: item[1])
    for reason, count in counts.items():
        result.note_count(count, reason)
    return result


def listed(root: Path) -> list[ImageRow]:
    """One row per image and official split of the table; an image whose rows disagree comes twice."""
    parts = {
        (image.image, image.study, translate(record["split"], _SPLITS, "split"))
        for image in read_table(Layout(root).need_table(TABLE))
        for record in image.records
    }
    return [
        ImageRow(
            image_id=make_id("vindr", image),
            source="vindr",
            patient_id=make_person("vindr", study),
            exam_id=make_person("vindr", study),
            path="",
            official_split=split,
            licence=LICENCE,
        )
        for image, study, split in sorted(parts)
    ]


def _row(image: Listed, path: Path, facts: ImageFacts, malignant_from: str, counts: Counter[str]) -> ImageRow:
    first = image.records[0]
    birads = worst_birads(_category(record[column]) for record in image.records for column in ("breast_birads", "finding_birads"))
    lesions = _lesions(image, facts, malignant_from)
    counts["images of BI-RADS 3 and above without a box (their lesions are unknown)"] += birads >= "3" and not lesions
    counts["lesions without a BI-RADS of their own (kept as unknown)"] += sum(lesion.pathology == UNKNOWN for lesion in lesions)
    patient = make_person("vindr", image.study)
    return ImageRow(
        image_id=make_id("vindr", image.image),
        source="vindr",
        patient_id=patient,
        exam_id=patient,
        path=str(path),
        laterality=translate(first["laterality"], LATERALITY_WORDS, "laterality"),
        view=translate(first["view_position"], VIEW_WORDS, "view"),
        pathology=birads_pathology(birads, malignant_from),
        truth="birads",
        birads=birads,
        density=translate(first["breast_density"].removeprefix("DENSITY"), ACR_DENSITY, "breast density"),
        lesions=lesions,
        official_split=translate(first["split"], _SPLITS, "split"),
        maker=facts.manufacturer,
        spacing_mm=facts.spacing_mm,
        bits=facts.bits_stored,
        age_years=facts.age_years,
        licence=LICENCE,
    )


def _category(cell: str) -> str:
    return translate(cell.removeprefix("BI-RADS"), BIRADS_WORDS, "BI-RADS")


def _lesions(image: Listed, facts: ImageFacts, malignant_from: str) -> tuple[Lesion, ...]:
    down, across = _scale(image.records[0], facts)
    lesions = []
    for record in image.records:
        categories = parse_categories(record["finding_categories"])
        if not categories:
            continue
        kinds = {_KINDS[word] for word in categories} - {"other"}
        lesions.append(
            Lesion(
                lesion_id=f"vindr-{image.image}-{len(lesions) + 1}",
                kind=kinds.pop() if len(kinds) == 1 else "other",
                pathology=birads_pathology(_category(record["finding_birads"]), malignant_from),
                outline=_outline(record, facts, down, across),
            )
        )
    return tuple(lesions)


def _outline(record: Mapping[str, str], facts: ImageFacts, down: float, across: float) -> Outline:
    """The box at the file's size; shape "none" where the table gives no box."""
    edges = [number(record[name], name) for name in _EDGES]
    if None in edges:
        return Outline(shape="none")
    x0, y0, x1, y1 = edges
    return clipped_box(x0 * across, y0 * down, x1 * across, y1 * down, facts.rows, facts.columns)


def _scale(record: Mapping[str, str], facts: ImageFacts) -> tuple[float, float]:
    """Pixels of the file per pixel of the table, down and across. Raises BadData where the shapes differ by over 1 %."""
    rows, columns = number(record["height"], "height"), number(record["width"], "width")
    if not rows or not columns or abs((facts.rows / rows) / (facts.columns / columns) - 1) > _ASPECT_TOLERANCE:
        raise BadData(
            f"is {facts.columns} x {facts.rows} pixels and {record['width']} x {record['height']} in the table:"
            " a distorted copy, or of another image"
        )
    return facts.rows / rows, facts.columns / columns


SOURCE = Source(
    "vindr", "VinDr-Mammo, screening exams with boxes", read, {"malignant_from": MALIGNANT_FROM}, listed=listed, technology="digital"
)
