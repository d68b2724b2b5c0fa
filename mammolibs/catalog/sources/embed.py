"""EMBED, the Emory breast imaging data set, open release: digital mammograms and C-views (Jeong et al. 2023).

Read from the two tables (the metadata in their reduced form where it lies there; of the full
ones only the columns that are used) and the DICOM files below cohort_1 and cohort_2, found
by their SOP Instance UID.

Its traps: the clinical table has a row per finding, which belongs to the images of its
side only; a finding without a side belongs to both; severity 0 is the worst; a biopsy is
often written beside the diagnostic exam and not beside the screening that led to it;
boxes have y first, and `()` is none; C-views are computed from tomosynthesis. Some users
found boxes on the wrong side of the DICOM image, which no header tells: they are looked at
where the pixels are read.
"""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from mammolibs.catalog.headers import Headers
from mammolibs.catalog.label_tables import read_csv
from mammolibs.catalog.layout import Layout
from mammolibs.catalog.outlines import box, refuse_outside
from mammolibs.catalog.source import Source, SourceResult, collect
from mammolibs.catalog.words import ACR_DENSITY, LATERALITY_WORDS, make_id, make_person, translate, whole, worst_birads, worst_pathology
from mammolibs.errors import BadData
from mammolibs.records import UNKNOWN, ImageFacts, ImageRow, Lesion, Outline

LICENCE = (
    "EMBED: non-commercial research only; no part may be passed on, and no weights or embeddings trained on it released,"
    " without written permission of Emory University"
)
IMAGE_OPTIONS = ("2d", "c_view", "both")
SPOT_OPTIONS = ("leave_out", "keep")
# How many days after the exam a biopsy of the same breast still labels it.
FOLLOW_UP_OPTIONS = ("0", "180", "365")
METADATA = ("EMBED_OpenData_metadata_reduced.csv", "EMBED_OpenData_metadata.csv")
CLINICAL = ("EMBED_OpenData_clinical.csv", "EMBED_OpenData_clinical_reduced.csv")
_METADATA_COLUMNS = ("empi_anon", "acc_anon", "anon_dicom_path", "FinalImageType", "ImageLateralityFinal", "ViewPosition", "ROI_coords")
_CLINICAL_COLUMNS = ("empi_anon", "acc_anon", "study_date_anon", "tissueden", "asses", "side", "path_severity")
# Read where they are there; the full tables have over a hundred others.
_METADATA_ALSO = ("spot_mag",)
_CLINICAL_ALSO = ("age_at_study", "massshape", "calcfind", "bside", "procdate_anon")
_IMAGE_TYPES = {"2d": "2d", "cview": "c_view"}
_BIRADS = {"a": "0", "n": "1", "b": "2", "p": "3", "s": "4", "m": "5", "k": "6", "x": "", "": ""}
# A reader's opinion labels a breast up to "probably benign"; what is suspicious needs a biopsy.
_OPINIONS = {"1": "normal", "2": "benign", "3": "benign"}
# 2 and 3 (high risk, borderline) are no cancer; 5 is normal tissue in a specimen; 6 is a cancer that is not of the breast.
_SEVERITIES = {0: "malignant", 1: "malignant", 2: "benign", 3: "benign", 4: "benign", 5: "benign", 6: UNKNOWN}
_DENSITY = ACR_DENSITY | {"5": ""}
_SIDES = {"l": "L", "r": "R", "b": "LR", "": "LR"}
# Codes of massshape, from the owners' legend; the others are masses.
_SHAPES = dict.fromkeys("tbfsv", "asymmetry") | dict.fromkeys("qa", "distortion") | dict.fromkeys("ny", "other")


@dataclass(frozen=True)
class Finding:
    """One row of the clinical table. sides, biopsied: of the finding and of its pathology, L, R, LR or none; day: of the procedure."""

    sides: str
    birads: str
    kind: str
    biopsied: str
    pathology: str
    day: date | None


# Stands for a row that cannot be read: its breasts may hold anything.
_UNREADABLE = Finding(sides="LR", birads="", kind="other", biopsied="", pathology=UNKNOWN, day=None)


@dataclass
class Exam:
    """What the clinical table says of one accession. day: of the exam, None where it cannot be read."""

    patient: str
    day: date | None = None
    density: str = ""
    age: int | None = None
    findings: list[Finding] = field(default_factory=list)


def read(root: Path, options: Mapping[str, str]) -> SourceResult:
    """One row per file of the metadata table that is on the disk and of the wanted kind."""
    files = Layout(root)
    result = SourceResult()
    images = read_csv(_table(files, METADATA), _METADATA_COLUMNS, also=_METADATA_ALSO)
    exams = read_clinical(_table(files, CLINICAL), result)
    wanted = _wanted(images, options, result)
    present = [(record, path) for record in wanted for path in files.images(_uid(record))[:1]]
    if not present:
        raise files.refuse_empty("EMBED that its metadata table names")
    result.absent = len(wanted) - len(present)
    headers = Headers(path for _, path in present)
    reader = _Reader(exams, follow_up_days=int(options["follow_up_days"]))
    collect(result, present, lambda item: reader.row(*item, headers[item[1]]), describe=lambda item: item[1])
    for text, count in reader.counts.items():
        result.note_count(count, text)
    result.note_count(
        sum(len(row.lesions) for row in result.rows),
        "boxes from marked screen copies, some of which users found mirrored; one beside the breast is laid on it, or loses its place,"
        " when its image is read",
    )
    return result


def _table(files: Layout, names: tuple[str, str]) -> Path:
    return files.table(names[0]) or files.need_table(names[1])


def _uid(record: Mapping[str, str]) -> str:
    """The path is that of the origin's disk; the file's name is the SOP Instance UID."""
    return record["anon_dicom_path"].replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".dcm")


def _plain_id(cell: str) -> str:
    """Ids are whole numbers; tables that passed through other programs carry .0 at their end."""
    return cell.removesuffix(".0")


def _wanted(images: Iterable[dict[str, str]], options: Mapping[str, str], result: SourceResult) -> list[dict[str, str]]:
    left_out: Counter[str] = Counter()
    wanted = []
    for record in images:
        kind = _IMAGE_TYPES.get(record["FinalImageType"].lower().replace("-", ""))
        if kind is None:
            left_out["images of a type that is not read (tomosynthesis, marked screen copies)"] += 1
        elif options["images"] not in ("both", kind):
            left_out[f"{record['FinalImageType']} images, left out (images=both takes them)"] += 1
        elif options["spot"] == "leave_out" and _plain_id(record.get("spot_mag", "")) == "1":
            left_out["spot compressions and magnifications, left out (spot=keep takes them)"] += 1
        else:
            wanted.append(record)
    for text, count in left_out.items():
        result.note_count(count, text)
    return wanted


def read_clinical(path: Path, result: SourceResult) -> dict[str, Exam]:
    """Accession -> its exam. A row that cannot be read is skipped, with its number. Raises BadFile for another kind of table."""
    exams: dict[str, Exam] = {}
    for number, record in enumerate(read_csv(path, _CLINICAL_COLUMNS, also=_CLINICAL_ALSO), start=2):
        patient = _plain_id(record["empi_anon"])
        exam = exams.setdefault(_plain_id(record["acc_anon"]), Exam(patient))
        try:
            if exam.patient != patient:
                raise BadData(f"accession {record['acc_anon']} is of patient {exam.patient} and of {patient}")
            exam.findings.append(_finding(record))
            exam.day = exam.day or _day(record["study_date_anon"])
            exam.density = exam.density or translate(_plain_id(record["tissueden"]), _DENSITY, "tissueden")
            exam.age = exam.age or whole(record.get("age_at_study"), "age_at_study")
        except BadData as error:
            result.skip(f"{path.name} row {number}", str(error))
            exam.findings.append(_UNREADABLE)
    result.note_count(sum(exam.day is None for exam in exams.values()), "exams without a date that can be read")
    return exams


def _finding(record: Mapping[str, str]) -> Finding:
    severity = whole(record["path_severity"], "path_severity")
    if severity is not None and severity not in _SEVERITIES:
        raise BadData(f"path_severity is {severity}; known are 0 to 6")
    shape = record.get("massshape", "").lower()
    return Finding(
        sides=translate(record["side"], _SIDES, "side"),
        birads=translate(record["asses"], _BIRADS, "asses"),
        kind=_SHAPES.get(shape, "mass") if shape else "calcification" if record.get("calcfind") else "other",
        # The specimen's own side counts, where it is said.
        biopsied="" if severity is None else translate(record.get("bside") or record["side"], _SIDES, "bside"),
        pathology=UNKNOWN if severity is None else _SEVERITIES[severity],
        day=_day(record.get("procdate_anon", "")),
    )


def _day(cell: str) -> date | None:
    try:
        return date.fromisoformat(cell[:10])
    except ValueError:
        return None


def parse_boxes(cell: str) -> list[Outline]:
    """The boxes of ROI_coords: a tuple of (y0, x0, y1, x1). Raises BadData."""
    try:
        boxes = ast.literal_eval(cell) if cell else ()
        return [box(x0, y0, x1, y1) for y0, x0, y1, x1 in boxes]
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise BadData(f"ROI_coords is {cell[:60]!r}, which is no tuple of (y0, x0, y1, x1)") from error


class _Reader:
    """Rows from records of the metadata table; `counts` says what a reader of the catalog must know."""

    def __init__(self, exams: Mapping[str, Exam], follow_up_days: int):
        self.exams = exams
        self.follow_up_days = follow_up_days
        self.counts: Counter[str] = Counter()
        self.of_patient: dict[str, list[Exam]] = defaultdict(list)
        for exam in exams.values():
            self.of_patient[exam.patient].append(exam)

    def row(self, record: Mapping[str, str], path: Path, facts: ImageFacts) -> ImageRow:
        from mammolibs.imaging.codes import view_word

        accession, patient = _plain_id(record["acc_anon"]), _plain_id(record["empi_anon"])
        exam = self.exams.get(accession)
        if exam is not None and exam.patient != patient:
            raise BadData(f"accession {accession} is of patient {patient} in the metadata and of {exam.patient} in the clinical table")
        side = translate(record["ImageLateralityFinal"], LATERALITY_WORDS, "ImageLateralityFinal")
        side = side if side != UNKNOWN else facts.laterality
        findings = [finding for finding in exam.findings if side in finding.sides] if exam else []
        pathology, truth = self._label(exam, side, findings)
        lesions = self._lesions(record, findings, pathology)
        refuse_outside(lesions, facts.rows, facts.columns)
        if lesions and pathology == "normal":
            self.counts["images with a box in a breast that was read as negative (label unknown)"] += 1
            pathology = UNKNOWN
        view = view_word(record["ViewPosition"])
        return ImageRow(
            image_id=make_id("embed", _uid(record)),
            source="embed",
            patient_id=make_person("embed", patient),
            exam_id=make_person("embed", accession),
            path=str(path),
            laterality=side,
            view=view if view != UNKNOWN else facts.view,
            pathology=pathology,
            truth=truth if pathology != UNKNOWN else UNKNOWN,
            birads=worst_birads(finding.birads for finding in findings),
            density=exam.density if exam else "",
            lesions=lesions,
            maker=facts.manufacturer,
            spacing_mm=facts.spacing_mm,
            bits=facts.bits_stored,
            age_years=exam.age if exam and exam.age is not None else facts.age_years,
            licence=LICENCE,
        )

    def _label(self, exam: Exam | None, side: str, findings: list[Finding]) -> tuple[str, str]:
        """The label of one breast in one exam, and its truth: biopsies first, opinions where there is none."""
        if exam is None or side == UNKNOWN:
            self.counts["images whose side or accession the clinical table does not know (label unknown)"] += 1
            return UNKNOWN, UNKNOWN
        proven = [finding.pathology for finding in exam.findings if side in finding.biopsied]
        opinions = [_OPINIONS.get(finding.birads, UNKNOWN) for finding in findings if side not in finding.biopsied]
        later = self._later(exam, side)
        if later:
            # The biopsy is what became of the exam's open findings.
            self.counts[f"images labelled with a biopsy of the {self.follow_up_days} days after their exam"] += 1
            proven, opinions = proven + later, [UNKNOWN for finding in findings if finding is _UNREADABLE]
        return worst_pathology(proven + opinions), "biopsy" if proven else "birads"

    def _later(self, exam: Exam, side: str) -> list[str]:
        """Biopsies of this breast that are written beside another exam and were taken within the days asked for."""
        if exam.day is None or not self.follow_up_days:
            return []
        others = [f for other in self.of_patient[exam.patient] if other is not exam for f in other.findings if side in f.biopsied]
        return [f.pathology for f in others if f.day and 0 <= (f.day - exam.day).days <= self.follow_up_days]

    def _lesions(self, record: Mapping[str, str], findings: list[Finding], pathology: str) -> tuple[Lesion, ...]:
        """The boxes of this image. No table says which finding a box belongs to, so only where there is one of each does it follow."""
        boxes = parse_boxes(record["ROI_coords"])
        found = [finding for finding in findings if finding.birads != "1" or finding.biopsied]
        kinds = {finding.kind for finding in found}
        unsure = pathology == "normal" or (pathology == "malignant" and (len(found) != 1 or len(boxes) != 1))
        return tuple(
            Lesion(
                lesion_id=f"embed-{_uid(record)}-{number}",
                kind=next(iter(kinds)) if len(kinds) == 1 else "other",
                pathology=UNKNOWN if unsure else pathology,
                outline=outline,
            )
            for number, outline in enumerate(boxes, start=1)
        )


SOURCE = Source(
    "embed",
    "EMBED open release, digital mammograms and C-views",
    read,
    {"images": IMAGE_OPTIONS, "spot": SPOT_OPTIONS, "follow_up_days": FOLLOW_UP_OPTIONS},
    mirrored_places=True,
)
