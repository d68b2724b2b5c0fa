"""Any folder of DICOM, PNG, PGM, JPEG or TIFF images, or what a DICOMDIR lists, without labels: what the headers say, and nothing else.

A DICOM file's patient is its PatientID (with the issuer, where one is named), else its
study, else the file itself. A plain image is its own patient.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mammolibs.catalog.headers import Headers, iter_image_files, listed_images
from mammolibs.catalog.layout import Layout
from mammolibs.catalog.source import TWIN_OPTIONS, Source, SourceResult
from mammolibs.catalog.words import issued, make_id, make_person
from mammolibs.errors import BadFile
from mammolibs.records import UNKNOWN, ImageFacts, ImageRow

NAME = "dicom_folder"
FRAME_OPTIONS = ("middle", "all")
_RAW, _SHOWN = "FOR PROCESSING", "FOR PRESENTATION"


def read(root: Path, options: Mapping[str, str]) -> SourceResult:
    """One row per image file, of a multi-frame file its middle frame (frames=all: each frame)."""
    result = SourceResult()
    if root.is_file():
        files = Layout(root.parent)
        paths, result.absent = _listed(files, root)
    else:
        files = Layout(root)
        paths = list(iter_image_files(files.root))
    if not paths:
        raise files.refuse_empty("a kind that can be read (DICOM, PNG, PGM, JPEG, TIFF)")
    headers = _drop_copies(result, _read(result, paths))
    parents = find_twins(headers)
    if options["twins"] == "presentation":
        for path in parents:
            result.skip(path, "FOR PROCESSING twin of an image that is there", on_purpose=True)
        headers = {path: facts for path, facts in headers.items() if path not in parents}
    for path, facts in headers.items():
        row = _row(files, path, facts)
        if path in parents:
            row = replace(row, parent_id=_image_id(files, parents[path], headers[parents[path]]))
        result.rows += _frames(row, facts, options["frames"])
    _add_notes(result, headers, options["frames"])
    return result


def _listed(files: Layout, dicomdir: Path) -> tuple[list[Path], int]:
    """The files that a DICOMDIR lists, and how many of them are not there. Systems that show a CD differ in the case of its names."""
    by_place = {files.relative(path).lower(): path for path in files.files}
    places = dict.fromkeys(place.lower() for place in listed_images(dicomdir))
    return [by_place[place] for place in places if place in by_place], len(places.keys() - by_place.keys())


def _read(result: SourceResult, paths: list[Path]) -> dict[Path, ImageFacts]:
    """path -> facts; what cannot be read is skipped."""
    headers, readable = Headers(paths), {}
    for path in paths:
        try:
            readable[path] = headers[path]
        except BadFile as error:
            result.skip(path, error.problem)
    return readable


def _drop_copies(result: SourceResult, headers: dict[Path, ImageFacts]) -> dict[Path, ImageFacts]:
    """One file per SOP instance; the others are skipped on purpose."""
    first: dict[str, Path] = {}
    kept = {}
    for path, facts in headers.items():
        known = first.setdefault(facts.sop_instance_uid, path) if facts.sop_instance_uid else path
        if known == path:
            kept[path] = facts
        else:
            result.skip(path, "has the SOP Instance UID of another file", on_purpose=True)
    return kept


def find_twins(headers: Mapping[Path, ImageFacts]) -> dict[Path, Path]:
    """FOR PROCESSING file -> the FOR PRESENTATION file of the same study, side and view.

    Where a view was taken twice they are matched in the order of their UIDs: which of the
    two is which does not matter to a split. Without side or view nothing is matched.
    """
    groups = defaultdict(lambda: defaultdict(list))
    for path, facts in headers.items():
        if facts.study_uid and UNKNOWN not in (facts.laterality, facts.view):
            groups[facts.study_uid, facts.laterality, facts.view][facts.presentation_intent].append((facts.sop_instance_uid, path))
    twins = {}
    for group in groups.values():
        shown = [path for _, path in sorted(group[_SHOWN])]
        for i, (_, path) in enumerate(sorted(group[_RAW])):
            if shown:
                twins[path] = shown[min(i, len(shown) - 1)]
    return twins


def _image_id(files: Layout, path: Path, facts: ImageFacts) -> str:
    return make_id(NAME, facts.sop_instance_uid or files.relative(path))


def _row(files: Layout, path: Path, facts: ImageFacts) -> ImageRow:
    if facts.patient_id:
        person = issued(facts.patient_id, facts.patient_issuer)
    else:
        person = f"study {facts.study_uid}" if facts.study_uid else f"file {files.relative(path)}"
    return ImageRow(
        image_id=_image_id(files, path, facts),
        source=NAME,
        patient_id=make_person(NAME, person),
        exam_id=make_person(NAME, facts.study_uid or person),
        path=str(path),
        laterality=facts.laterality,
        view=facts.view,
        maker=facts.manufacturer,
        spacing_mm=facts.spacing_mm,
        bits=facts.bits_stored,
        age_years=facts.age_years,
    )


def _frames(row: ImageRow, facts: ImageFacts, which: str) -> list[ImageRow]:
    if facts.frames <= 1:
        return [row]
    if which == "middle":
        return [replace(row, frame=facts.frames // 2)]
    return [replace(row, frame=i, image_id=f"{row.image_id}-f{i:03d}") for i in range(facts.frames)]


def _add_notes(result: SourceResult, headers: Mapping[Path, ImageFacts], which: str) -> None:
    facts = list(headers.values())
    no_person = [f for f in facts if not f.patient_id]
    result.note_count(sum(bool(f.study_uid) for f in no_person), "files without a patient id (each study counts as a patient)")
    result.note_count(sum(not f.study_uid for f in no_person), "files without patient and study (each counts as a patient of its own)")
    if which == "middle":
        result.note_count(sum(f.frames > 1 for f in facts), "multi-frame files (the middle frame stands for each; frames=all takes all)")
    studies = Counter(f.patient_id for f in {f.study_uid: f for f in facts if f.patient_id}.values())
    if len(studies) == 1 and studies.total() > 2:
        result.notes.append(f"all {studies.total()} studies carry one patient id: if it is a placeholder, no split by patient is possible")


SOURCE = Source(
    NAME,
    "a folder of images without labels",
    read,
    {"twins": TWIN_OPTIONS, "frames": FRAME_OPTIONS},
    lists=("dicomdir",),
    private_ids=True,
)
