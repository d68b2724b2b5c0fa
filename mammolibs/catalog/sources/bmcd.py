"""BMCD: breast micro-calcifications in two screening rounds of 100 women, one breast each (Loizidou et al. 2021).

Read from label.csv, which holds the rows of the data set's Description.xlsx under the
columns of `_COLUMNS`, and the folders Normal_cases and Suspicious_cases.

Its traps: cases are numbered from 1 in each of the two folders; endings in both cases
(.dcm, .DCM, .Jpg); four names are misspelt (CC_recemt.dcm, CC_reent_GT.jpg, MLO_reent_GT.jpg
twice); the table speaks of the recent round, so that the prior images of a malignant case
come before the diagnosis and are no positives.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from mammolibs.catalog.headers import Headers
from mammolibs.catalog.label_tables import read_csv
from mammolibs.catalog.layout import Layout
from mammolibs.catalog.source import Source, SourceResult, collect
from mammolibs.catalog.words import ACR_DENSITY, LATERALITY_WORDS, make_id, make_person, translate, whole, worst_birads
from mammolibs.errors import BadFile
from mammolibs.records import UNKNOWN, ImageFacts, ImageRow, Lesion, Outline

LICENCE = "BMCD: CC BY 4.0"
TABLE, WORKBOOK = "label.csv", "Description.xlsx"
FILES_PER_CASE = 4
_COLUMNS = ("dir", "laterality", "age", "density", "BIRADS", "biopsy_result", "folder_type")
_NAME = re.compile(r"(CC|MLO)_(prior|recent|recemt|reent)(_GT)?", re.IGNORECASE)
_BIOPSIES = {"benign": "benign", "dcis": "malignant", "malignant": "malignant", "not available": UNKNOWN}
# The categories of the normal cases; 2 is a benign finding.
_READINGS = {"1": "normal", "2": "benign"}

Key = tuple[str, str, str, str]


def read(root: Path, options: Mapping[str, str]) -> SourceResult:
    """One row per image of a case that the table lists; prior rounds are exams of their own."""
    files = Layout(root)
    cases = _read_cases(files)
    result = SourceResult()
    images, masks = _find(files)
    if not images:
        raise files.refuse_empty("BMCD (Suspicious_cases/1/CC_recent.dcm and so on)")
    for key in [key for key in images if key[:2] not in cases]:
        result.skip(images.pop(key), f"{TABLE} does not list its case")
    result.absent = FILES_PER_CASE * len(cases) - len(images)
    headers = Headers(images.values())
    collect(
        result,
        images,
        lambda key: _row(key, images[key], headers[images[key]], cases[key[:2]], masks.get(key)),
        describe=lambda key: images[key],
    )
    result.note_count(
        sum("suspicious" in row.patient_id and row.exam_id.endswith("prior") for row in result.rows),
        "images of suspicious cases from before the round that the table speaks of (their label is unknown)",
    )
    result.note_count(
        sum(lesion.outline.shape == "none" for row in result.rows for lesion in row.lesions), "images of a finding without their mask"
    )
    return result


def _read_cases(files: Layout) -> dict[tuple[str, str], dict[str, str]]:
    """("normal" or "suspicious", number) -> the case's row. Raises BadFile, also for a case that is listed twice."""
    workbook = files.table(WORKBOOK)
    if workbook and not files.table(TABLE):
        remedy = f"save the rows of {workbook.name} as {TABLE} with the columns {', '.join(_COLUMNS)}"
        raise BadFile(files.root, f"holds no {TABLE}", remedy)
    table = files.need_table(TABLE)
    cases: dict[tuple[str, str], dict[str, str]] = {}
    for record in read_csv(table, _COLUMNS):
        case = record["folder_type"].lower(), record["dir"]
        if case in cases:
            raise BadFile(table, f"lists {case[0]} case {case[1]} twice", "keep the row that is right")
        cases[case] = record
    return cases


def _find(files: Layout) -> tuple[dict[Key, Path], dict[Key, Path]]:
    """(folder, number, view, round) -> image; the same -> mask."""
    images: dict[Key, Path] = {}
    masks: dict[Key, Path] = {}
    for found, path in files.images_like(_NAME):
        folder, number = path.parts[-3].lower().removesuffix("_cases"), path.parts[-2]
        when = "prior" if found[2].lower() == "prior" else "recent"
        (masks if found[3] else images).setdefault((folder, number, found[1].upper(), when), path)
    return images, masks


def _row(key: Key, path: Path, facts: ImageFacts, record: Mapping[str, str], mask: Path | None) -> ImageRow:
    folder, number, view, when = key
    pathology, truth = _label(folder, when, record)
    name = f"{folder}_{number}_{view}_{when}"
    patient = make_person("bmcd", f"{folder}_{number}")
    lesions: tuple[Lesion, ...] = ()
    if folder == "suspicious" and when == "recent":
        outline = Outline(shape="mask", path=str(mask)) if mask else Outline(shape="none")
        lesions = (Lesion(lesion_id=f"bmcd-{name}-1", kind="calcification", pathology=pathology, outline=outline),)
    return ImageRow(
        image_id=make_id("bmcd", name),
        source="bmcd",
        patient_id=patient,
        exam_id=f"{patient}_{when}",
        path=str(path),
        laterality=translate(record["laterality"], LATERALITY_WORDS, "laterality"),
        view=view,
        pathology=pathology,
        truth=truth,
        birads=worst_birads([record["BIRADS"]]) if when == "recent" else "",
        density=translate(record["density"], ACR_DENSITY, "density"),
        lesions=lesions,
        maker=facts.manufacturer,
        spacing_mm=facts.spacing_mm,
        bits=facts.bits_stored,
        age_years=whole(record["age"], "age") if when == "recent" else facts.age_years,
        licence=LICENCE,
    )


def _label(folder: str, when: str, record: Mapping[str, str]) -> tuple[str, str]:
    """Pathology and truth. What a later round found nothing suspicious in is assumed to have held nothing before."""
    if folder == "normal":
        return translate(record["BIRADS"], _READINGS, "BI-RADS of a normal case"), "birads" if when == "recent" else "assumed"
    if when == "prior":
        return UNKNOWN, UNKNOWN
    pathology = translate(record["biopsy_result"], _BIOPSIES, "biopsy result")
    return pathology, UNKNOWN if pathology == UNKNOWN else "biopsy"


SOURCE = Source("bmcd", "BMCD, micro-calcifications in two screening rounds", read)
