"""CMMD: Chinese digital mammography, one biopsy label per breast (Cui et al. 2021).

Read from the workbook and the DICOM tree of either downloader, whose folders differ in
name below that of the patient.

Its traps: side and view are in the header alone, never in the file's name or place; the
table lists breasts, and many patients have images of a breast that it does not list;
the two breasts of a patient may differ in label. Nothing is localised.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

from mammolibs.catalog.headers import Headers, iter_image_files
from mammolibs.catalog.label_tables import read_sheets
from mammolibs.catalog.layout import Layout
from mammolibs.catalog.source import OTHER_BREAST_OPTIONS, Source, SourceResult, collect
from mammolibs.catalog.words import PATHOLOGY_WORDS, make_id, make_person, translate, whole
from mammolibs.errors import BadData, BadFile
from mammolibs.records import UNKNOWN, ImageFacts, ImageRow, Lesion

LICENCE = "CMMD: CC BY 4.0"
WORKBOOK = "CMMD_clinicaldata_revision.xlsx"
SHEET = "Sheet1"
IMAGES_PER_BREAST = 2
_COLUMNS = ("ID1", "LeftRight", "Age", "abnormality", "classification")
_KINDS = {"mass": ("mass",), "calcification": ("calcification",), "both": ("mass", "calcification")}
_PATIENT = re.compile(r"D[12]-\d{4}")

Breast = tuple[str, str]


def read_breasts(path: Path) -> dict[Breast, dict[str, str]]:
    """(patient, "L" or "R") -> its row of the workbook. Raises BadFile, also for a breast that is listed twice."""
    breasts: dict[Breast, dict[str, str]] = {}
    for record in read_sheets(path, {SHEET: _COLUMNS})[SHEET]:
        breast = record["ID1"], record["LeftRight"].upper()
        if breast in breasts:
            raise BadFile(path, f"lists breast {breast[1]} of {breast[0]} twice", "keep the row that is right")
        breasts[breast] = record
    return breasts


def read(root: Path, options: Mapping[str, str]) -> SourceResult:
    """One row per image; a breast that the workbook does not list is unknown (other_breast=normal: assumed to be normal)."""
    files = Layout(root)
    breasts = read_breasts(files.need_table(WORKBOOK))
    images = _images_by_patient(files)
    if not images:
        raise files.refuse_empty("CMMD (below folders named D1-0001 and so on)")
    listed = Counter(patient for patient, _ in breasts)
    absent = sum(max(0, IMAGES_PER_BREAST * count - len(images.get(patient, ()))) for patient, count in listed.items())
    result = SourceResult(absent=absent)
    present = [(patient, path) for patient in sorted(images) for path in images[patient]]
    headers = Headers(path for _, path in present)
    collect(result, present, lambda item: _row(*item, headers[item[1]], breasts, options), describe=lambda item: item[1])
    unlisted = sum((row.patient_id.split("/")[1], row.laterality) not in breasts for row in result.rows)
    result.note_count(unlisted, f"images of breasts that the workbook does not list (their label is {options['other_breast']})")
    return result


def _images_by_patient(files: Layout) -> dict[str, list[Path]]:
    """Patient -> image files below the folder that bears the patient's id."""
    found = defaultdict(list)
    for path in iter_image_files(files.root):
        patient = next((part for part in reversed(path.relative_to(files.root).parts[:-1]) if _PATIENT.fullmatch(part)), None)
        if patient:
            found[patient].append(path)
    return dict(found)


def _row(patient: str, path: Path, facts: ImageFacts, breasts: Mapping[Breast, Mapping[str, str]], options: Mapping[str, str]) -> ImageRow:
    if facts.patient_id not in ("", patient):
        raise BadData(f"is of patient {facts.patient_id} by its header and lies in the folder of {patient}")
    name = f"{patient}_{path.stem}"
    record = breasts.get((patient, facts.laterality))
    if record:
        pathology, truth = translate(record["classification"], PATHOLOGY_WORDS, "classification"), "biopsy"
    else:
        pathology, truth = options["other_breast"], "assumed" if options["other_breast"] == "normal" else UNKNOWN
    return ImageRow(
        image_id=make_id("cmmd", name),
        source="cmmd",
        patient_id=make_person("cmmd", patient),
        exam_id=make_person("cmmd", patient),
        path=str(path),
        laterality=facts.laterality,
        view=facts.view,
        pathology=pathology,
        truth=truth,
        lesions=_lesions(name, record, pathology) if record else (),
        maker=facts.manufacturer,
        spacing_mm=facts.spacing_mm,
        bits=facts.bits_stored,
        age_years=whole(record["Age"], "age") if record else facts.age_years,
        licence=LICENCE,
    )


def _lesions(name: str, record: Mapping[str, str], pathology: str) -> tuple[Lesion, ...]:
    """What the breast holds, without a place. Where it holds both kinds nobody says which of them is malignant."""
    kinds = _KINDS.get(record["abnormality"].lower())
    if kinds is None:
        raise BadData(f"abnormality is {record['abnormality']!r}; known are {', '.join(_KINDS)}")
    shared = UNKNOWN if len(kinds) > 1 and pathology == "malignant" else pathology
    return tuple(Lesion(lesion_id=f"cmmd-{name}-{kind}", kind=kind, pathology=shared) for kind in kinds)


SOURCE = Source("cmmd", "CMMD, digital mammography", read, {"other_breast": OTHER_BREAST_OPTIONS}, technology="digital")
