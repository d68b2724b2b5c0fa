"""Duke Breast Cancer MRI: axial slices of women with invasive cancer, a box round the largest tumour (Saha et al. 2018).

There is no benign class: what can be learnt is a slice with tumour against one without.
Rows are slices of the first series after contrast, a file each: of the tumour its centre
slice, and where the tumour is known to be the only one, a slice above and one below it that
the box stays clear of. With the option slices=five each of these three becomes up to five.
Both breasts are in a slice, so a row has no side.

Its traps: the box counts rows, columns and slices from 1, and slices in the direction of
their instance numbers (as two public readers, MAEMI and nnDetection, have it), which may be
towards the head or towards the feet, while file names may run either way; altered copies of
the box table go round; the names of series follow several fashions.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mammolibs.catalog.headers import Headers
from mammolibs.catalog.label_tables import read_sheets
from mammolibs.catalog.layout import Layout
from mammolibs.catalog.outlines import box, refuse_outside
from mammolibs.catalog.source import Source, SourceResult
from mammolibs.catalog.volumes import SLICE_OPTIONS, collect_volumes, order_slices, spread
from mammolibs.catalog.words import make_id, make_person, whole
from mammolibs.errors import BadData, BadFile
from mammolibs.records import ImageFacts, ImageRow, Lesion

LICENCE = "Duke-Breast-Cancer-MRI: CC BY-NC 4.0"
PATIENTS = 922
BOXES = "Annotation_Boxes.xlsx"
CLINICAL = "Clinical_and_Other_Features.xlsx"
_SIDES = ("Start Row", "End Row", "Start Column", "End Column", "Start Slice", "End Slice")
_BORN, _SCANNED = "Date of Birth (Days)", "Days to MRI (From the Date of Diagnosis)"
# A patient has one tumour where the first two are 0 and the third, which is also NC (not collected), is not 1.
_ELSEWHERE = ("Multicentric/Multifocal", "Contralateral Breast Involvement", "Bilateral Information")
_PATIENT = re.compile(r"Breast_MRI_\d{3}")
# "ax dyn 1st pass", "1st ax dyn", "Ph1/ax 3d dyn"; the series before contrast carries no number.
_FIRST_PASS = re.compile(r"\b(ph ?1|1st)\b", re.IGNORECASE)
# The owners' own example of this task leaves out five slices on either side of the box.
_MARGIN = 5
_DAYS_PER_YEAR = 365.25


@dataclass(frozen=True)
class Tumour:
    """One row of the box table. Edges in pixels, slices in the order of the series; all from 0, both ends included."""

    patient: str
    rows: tuple[int, int]
    columns: tuple[int, int]
    slices: tuple[int, int]


def read_boxes(path: Path) -> list[Tumour]:
    """The box of each patient. Raises BadFile for a table that was altered: other columns, a patient twice, a box without extent."""
    sheets = read_sheets(path, {"Sheet1": ("Patient ID", *_SIDES)})
    remedy = "use the table that came with the data set; altered copies of it go round"
    seen: dict[str, Tumour] = {}
    for record in sheets["Sheet1"]:
        if set(record) != {"Patient ID", *_SIDES}:
            extra = sorted(set(record) - {"Patient ID", *_SIDES})
            raise BadFile(path, f"has more columns than it should ({', '.join(name or 'one without a name' for name in extra)})", remedy)
        patient = record["Patient ID"]
        if patient in seen or not _PATIENT.fullmatch(patient) or not 1 <= int(patient[-3:]) <= PATIENTS:
            problem = "there twice" if patient in seen else "no patient of this data set"
            raise BadFile(path, f"lists {patient!r}, which is {problem}", remedy)
        try:
            edges = [whole(record[side], side) for side in _SIDES]
        except BadData as error:
            raise BadFile(path, f"has a cell that cannot be read ({patient}: {error})", remedy) from error
        pairs = [(first - 1, last - 1) for first, last in zip(edges[::2], edges[1::2], strict=True) if first and last and first <= last]
        if len(pairs) != 3:
            raise BadFile(path, f"has a box of {patient} whose end lies before its start", remedy)
        seen[patient] = Tumour(patient, *pairs)
    return list(seen.values())


def read_clinical(path: Path) -> dict[str, dict[str, str]]:
    """Patient -> the columns that are read here; three lines of the table are headings. Raises BadFile."""
    records = read_sheets(path, {"Data": ("Patient ID", _BORN, _SCANNED, *_ELSEWHERE)}, above=1)["Data"]
    return {record["Patient ID"]: record for record in records if _PATIENT.fullmatch(record["Patient ID"])}


def has_one_tumour(record: Mapping[str, str]) -> bool:
    """True where the clinical table excludes a second tumour, in either breast."""
    several, other_side, bilateral = (record[name] for name in _ELSEWHERE)
    return several == other_side == "0" and bilateral != "1"


def read(root: Path, options: Mapping[str, str]) -> SourceResult:
    """The chosen slices of each patient of the box table who is on the disk."""
    files = Layout(root)
    result = SourceResult()
    tumours = read_boxes(files.need_table(BOXES))
    table = files.table(CLINICAL)
    clinical = read_clinical(table) if table else {}
    result.notes.append("these are MR images without a benign class: train on them alone")
    if len(tumours) != PATIENTS:
        result.notes.append(f"{BOXES} lists {len(tumours)} of {PATIENTS} patients: it is not the whole table")
    if table is None:
        result.notes.append(f"{CLINICAL} is not there: where it could exclude a second tumour, no slice counts as free of tumour")
    present = {tumour: folders for tumour in tumours if (folders := _series_folders(files, tumour.patient))}
    if not present:
        raise files.refuse_empty("Duke-Breast-Cancer-MRI (folders Breast_MRI_001 and so on)")
    result.absent = len(tumours) - len(present)
    reader = _Reader(present, clinical, 5 if options["slices"] == "five" else 1)
    collect_volumes(result, present, reader.rows, describe=lambda tumour: min(present[tumour]))
    result.note_count(reader.not_excluded, "patients of whom no slice counts as free of tumour, as others may be elsewhere")
    return result


def _series_folders(files: Layout, patient: str) -> dict[Path, list[Path]]:
    """Folder -> its images, below the patient's folder."""
    found = defaultdict(list)
    for path in files.images_in(patient):
        found[path.parent].append(path)
    return dict(found)


class _Reader:
    """Rows from patients; `not_excluded` counts those who may have another tumour."""

    def __init__(self, present: Mapping[Tumour, dict[Path, list[Path]]], clinical: Mapping[str, Mapping[str, str]], count: int):
        self.present = present
        self.clinical = clinical
        self.count = count
        self.not_excluded = 0
        # One header tells the name of a series; the others are read of the chosen series alone.
        self.names = Headers(paths[0] for folders in present.values() for paths in folders.values())
        chosen = [paths for folders in present.values() for paths in folders.values() if self._is_first_pass(paths)]
        self.headers = Headers(path for paths in chosen for path in paths)

    def _is_first_pass(self, paths: list[Path]) -> bool:
        try:
            return bool(_FIRST_PASS.search(self.names[paths[0]].series_description))
        except BadFile:
            return False

    def rows(self, tumour: Tumour) -> list[ImageRow]:
        """Raises BadFile or BadData where the patient's slices cannot be counted."""
        folders = self.present[tumour]
        series = [paths for paths in folders.values() if self._is_first_pass(paths)]
        if len(series) != 1:
            said = sorted(self.names[paths[0]].series_description for paths in folders.values())
            raise BadData(f"{len(series)} of {tumour.patient}'s series are the first after contrast, by their names: {', '.join(said)}")
        slices = order_slices((path, self.headers[path]) for path in series[0])
        first, last = tumour.slices
        if last >= len(slices):
            raise BadData(f"{tumour.patient} has {len(slices)} slices and a box up to slice {last + 1}: slices are missing")
        ill = [(first + last) // 2] if self.count == 1 else spread(*_inner_half(first, last), self.count)
        rows = [self._row(tumour, place, *slices[place]) for place in ill]
        if not has_one_tumour(self.clinical.get(tumour.patient, dict.fromkeys(_ELSEWHERE, ""))):
            self.not_excluded += 1
            return rows
        return rows + [self._row(tumour, place, *slices[place]) for place in self._free(first, last, len(slices))]

    def _free(self, first: int, last: int, count: int) -> list[int]:
        """Slices clear of the box on either side, a margin from it and from each other, as far as there are any."""
        away = [(_MARGIN + 1) * i for i in range(1, self.count + 1)]
        return [place for place in (*(first - d for d in away), *(last + d for d in away)) if 0 <= place < count]

    def _row(self, tumour: Tumour, place: int, path: Path, facts: ImageFacts) -> ImageRow:
        lesions = (_lesion(tumour),) if tumour.slices[0] <= place <= tumour.slices[1] else ()
        refuse_outside(lesions, facts.rows, facts.columns)
        patient = make_person("duke_mri", tumour.patient)
        return ImageRow(
            image_id=make_id("duke_mri", f"{tumour.patient}-s{place:03d}"),
            source="duke_mri",
            patient_id=patient,
            exam_id=patient,
            path=str(path),
            view="other",
            pathology="malignant" if lesions else "normal",
            truth="biopsy" if lesions else "read",
            lesions=lesions,
            maker=facts.manufacturer,
            spacing_mm=facts.spacing_mm,
            bits=facts.bits_stored,
            age_years=_age_years(self.clinical.get(tumour.patient)),
            licence=LICENCE,
        )


def _inner_half(first: int, last: int) -> tuple[int, int]:
    """The middle half of a box's slices: at its ends there is little of the tumour in a slice."""
    quarter = (last - first) // 4
    return first + quarter, last - quarter


def _lesion(tumour: Tumour) -> Lesion:
    (top, bottom), (left, right), (first, last) = tumour.rows, tumour.columns, tumour.slices
    return Lesion(
        lesion_id=f"duke_mri-{tumour.patient}-1",
        pathology="malignant",
        outline=box(left, top, right, bottom),
        slice=(first + last) // 2,
    )


def _age_years(record: Mapping[str, str] | None) -> int | None:
    """Age at the examination; the table counts days from the diagnosis."""
    if record is None:
        return None
    born, scanned = whole(record[_BORN], _BORN), whole(record[_SCANNED], _SCANNED)
    return None if born is None or scanned is None else int((scanned - born) / _DAYS_PER_YEAR)


SOURCE = Source(
    "duke_mri", "Duke Breast Cancer MRI, axial slices after contrast", read, {"slices": SLICE_OPTIONS}, accepts=("wrong_modality",)
)
