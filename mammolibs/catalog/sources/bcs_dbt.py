"""Breast-Cancer-Screening-DBT: tomosynthesis volumes with boxes round biopsied lesions (Buda et al. 2021).

A row is one slice. A volume with boxes gives the slice at the centre of each; one without
gives its middle slice. With the option slices=five each of them comes with four others:
beside a box those 2 and 4 slices away, else evenly over the middle half of the volume.

Its traps: the StudyUID of the tables is not the one of the files, so a volume is found by
its paths; the side that the header says is wrong for many, and some are stored turned by
180 degrees, while boxes and slices are those of the volume with the chest wall where the
view in the table has it (rule of the owners' reader, duke-dbt-data); a label is that of a
view, so a slice of a diseased volume that no box reaches has none.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from mammolibs.catalog.headers import Headers
from mammolibs.catalog.label_tables import read_csv
from mammolibs.catalog.layout import Layout
from mammolibs.catalog.outlines import box, refuse_outside
from mammolibs.catalog.source import Source, SourceResult
from mammolibs.catalog.volumes import SLICE_OPTIONS, collect_volumes, spread
from mammolibs.catalog.words import PATHOLOGY_WORDS, make_id, make_person, number, translate, whole, worst_pathology
from mammolibs.errors import BadData
from mammolibs.records import SPLITS, UNKNOWN, ImageFacts, ImageRow, Lesion

LICENCE = "Breast-Cancer-Screening-DBT: CC BY-NC 4.0"
LABELS = ("Normal", "Actionable", "Benign", "Cancer")
# Endings of the tables' names over the years, the newest first.
VERSIONS = ("-v2-PHASE-2-Jan-2024", "-PHASE-2-Jan-2024", "-v2-PHASE-2", "-PHASE-2", "-v2", "")
_KEY = ("PatientID", "StudyUID", "View")
_COLUMNS = {
    "file-paths": (*_KEY, "descriptive_path", "classic_path"),
    "labels": (*_KEY, *LABELS),
    "boxes": (*_KEY, "Slice", "X", "Y", "Width", "Height", "Class", "AD", "VolumeSlices"),
}
# A view taken again carries a digit, as in rmlo2.
_VIEW = re.compile(r"([lr])(cc|mlo)\d*", re.IGNORECASE)
# The challenge of this data set counts a finding as a hit up to this share of the volume's slices away.
_REACH_SHARE = 0.25
_NEIGHBOUR_STEP = 2


@dataclass(frozen=True)
class Volume:
    """What the tables say of one view. paths: classic, descriptive; labels: the cells under `LABELS`; boxes: its rows of the box table."""

    patient: str
    study: str
    view: str
    split: str
    paths: tuple[str, str]
    labels: tuple[str, ...]
    boxes: tuple[Mapping[str, str], ...]

    @property
    def name(self) -> str:
        return f"{self.patient}-{self.study}-{self.view}"

    @property
    def label(self) -> str:
        """One of `LABELS`, empty where no table says. Raises BadData where not exactly one of the four columns is 1."""
        said = [name for name, cell in zip(LABELS, self.labels, strict=False) if number(cell, name)]
        if self.labels and len(said) != 1:
            raise BadData(f"{self.name}: the label table says {' and '.join(said) or 'nothing'}, where one label is due")
        return "".join(said)


def read_volumes(files: Layout, result: SourceResult) -> list[Volume]:
    """All volumes of the path tables that are there. Raises BadFile where none is."""
    volumes = []
    for split in SPLITS:
        paths = _records(files, "file-paths", split)
        if paths is None:
            continue
        labels, boxes = (_records(files, kind, split) for kind in ("labels", "boxes"))
        result.notes += [f"BCS-DBT-{k}-{split} is not there" for k, table in (("labels", labels), ("boxes", boxes)) if table is None]
        label_of = {_key(record): tuple(record[name] for name in LABELS) for record in labels or ()}
        boxes_of = defaultdict(tuple)
        for record in boxes or ():
            boxes_of[_key(record)] += (record,)
        volumes += [
            Volume(*_key(r), split, (r["classic_path"], r["descriptive_path"]), label_of.get(_key(r), ()), boxes_of[_key(r)]) for r in paths
        ]
    if not volumes:
        files.need_table("BCS-DBT-file-paths-train-v2.csv")
    return volumes


def _records(files: Layout, kind: str, split: str) -> list[dict[str, str]] | None:
    names = (f"BCS-DBT-{kind}-{split}{version}.csv" for version in VERSIONS)
    table = next((found for name in names if (found := files.table(name))), None)
    return None if table is None else read_csv(table, _COLUMNS[kind])


def _key(record: Mapping[str, str]) -> tuple[str, str, str]:
    return record["PatientID"], record["StudyUID"], record["View"].lower()


def read(root: Path, options: Mapping[str, str]) -> SourceResult:
    """One row per chosen slice of each volume that is on the disk."""
    files = Layout(root)
    result = SourceResult()
    volumes = read_volumes(files, result)
    present = [(volume, path) for volume in volumes if (path := find_file(files, volume))]
    if not present:
        raise files.refuse_empty("Breast-Cancer-Screening-DBT that its tables name")
    result.absent = len(volumes) - len(present)
    reader = _Reader(Headers(path for _, path in present), 5 if options["slices"] == "five" else 1)
    collect_volumes(result, present, lambda item: reader.rows(*item), describe=lambda item: item[1])
    for reason, count in reader.unlabelled.items():
        result.note_count(count, f"volumes {reason} (their slices have no label)")
    return result


def listed(root: Path) -> list[ImageRow]:
    """One row per volume of the path tables, in each part of the official split that lists it; its slices are not known without it."""
    volumes = {(volume.name, volume.split): volume for volume in read_volumes(Layout(root), SourceResult())}
    return [
        ImageRow(
            image_id=make_id("bcs_dbt", volume.name),
            source="bcs_dbt",
            patient_id=make_person("bcs_dbt", volume.patient),
            exam_id=make_person("bcs_dbt", volume.study),
            path="",
            official_split=volume.split,
            licence=LICENCE,
        )
        for _, volume in sorted(volumes.items())
    ]


def find_file(files: Layout, volume: Volume) -> Path | None:
    """The file of a volume: in the folder of its series UID, plain or with the modality before it, or in that of the descriptive path."""
    classic, descriptive = (_folders(path) for path in volume.paths)
    described = (path for path in files.images_in(volume.patient) if _folders(files.relative(path)) == descriptive)
    by_uid = (path for uid in classic[-1:] for folder in (uid, f"mg_{uid}") for path in files.images_in(folder))
    return next(chain(by_uid, described), None)


def _folders(path: str) -> tuple[str, ...]:
    """Patient, study and series folder of a path to a file, in lower case."""
    return tuple(part for part in path.lower().replace("\\", "/").split("/")[:-1] if part)[-3:]


class _Reader:
    """Rows from volumes; `unlabelled` counts those without a label by reason."""

    def __init__(self, headers: Headers, count: int):
        self.headers = headers
        self.count = count
        self.unlabelled: Counter[str] = Counter()

    def rows(self, volume: Volume, path: Path) -> list[ImageRow]:
        """Raises BadFile or BadData where the volume cannot be used."""
        facts = self.headers[path]
        lesions = [_lesion(volume, order, record, facts) for order, record in enumerate(volume.boxes, start=1)]
        if lesions and volume.label in ("Normal", "Actionable"):
            raise BadData(f"{volume.name}: is labelled {volume.label} and has a box")
        reach = int(_REACH_SHARE * facts.frames)
        slices = self._beside(lesions, reach, facts.frames) if lesions else self._middle(facts.frames)
        rows = [_row(volume, path, facts, s, tuple(one for one in lesions if abs(one.slice - s) <= reach)) for s in slices]
        self._count_unlabelled(volume, bool(lesions))
        return rows

    def _beside(self, lesions: list[Lesion], reach: int, frames: int) -> list[int]:
        half = self.count // 2
        offsets = [step for step in range(-half * _NEIGHBOUR_STEP, half * _NEIGHBOUR_STEP + 1, _NEIGHBOUR_STEP) if abs(step) <= reach]
        wanted = {lesion.slice + offset for lesion in lesions for offset in offsets}
        return sorted(place for place in wanted if 0 <= place < frames)

    def _middle(self, frames: int) -> list[int]:
        return [frames // 2] if self.count == 1 else spread(frames // 4, frames - 1 - frames // 4, self.count)

    def _count_unlabelled(self, volume: Volume, has_lesion: bool) -> None:
        if not volume.label and not has_lesion:
            self.unlabelled["without a label"] += 1
        if volume.label == "Actionable":
            self.unlabelled["that were recalled and not biopsied (Actionable)"] += 1
        if volume.label in ("Benign", "Cancer") and not has_lesion:
            self.unlabelled["labelled Benign or Cancer without a box to say in which slice"] += 1


def _lesion(volume: Volume, order: int, record: Mapping[str, str], facts: ImageFacts) -> Lesion:
    slices, place, x, y, width, height = (whole(record[name], name) for name in ("VolumeSlices", "Slice", "X", "Y", "Width", "Height"))
    if None in (slices, place, x, y, width, height):
        raise BadData(f"{volume.name}: its box {order} has an empty cell")
    if slices != facts.frames or not 0 <= place < slices:
        raise BadData(f"has {facts.frames} frames; the box table says slice {place} of {slices}: it is another copy of the volume")
    return Lesion(
        lesion_id=f"bcs_dbt-{volume.name}-{order}",
        # Boxes were drawn round masses and architectural distortions; AD tells them apart.
        kind="distortion" if number(record["AD"], "AD") else "mass",
        pathology=translate(record["Class"], PATHOLOGY_WORDS, "Class"),
        outline=box(x, y, x + width - 1, y + height - 1),
        slice=place,
    )


def _row(volume: Volume, path: Path, facts: ImageFacts, place: int, lesions: tuple[Lesion, ...]) -> ImageRow:
    view = _VIEW.fullmatch(volume.view)
    if view is None:
        raise BadData(f"{volume.name}: view {volume.view!r} is not known")
    if facts.patient_id and facts.patient_id != volume.patient:
        raise BadData(f"its header says patient {facts.patient_id}, the table {volume.patient}")
    refuse_outside(lesions, facts.rows, facts.columns)
    side = view[1].upper()
    return ImageRow(
        image_id=make_id("bcs_dbt", f"{volume.name}-s{place:03d}"),
        source="bcs_dbt",
        patient_id=make_person("bcs_dbt", volume.patient),
        exam_id=make_person("bcs_dbt", volume.study),
        path=str(path),
        frame=place,
        laterality=side,
        view=view[2].upper(),
        pathology=worst_pathology(lesion.pathology for lesion in lesions) if lesions else "normal" if volume.label == "Normal" else UNKNOWN,
        truth="biopsy" if lesions else "read" if volume.label in ("Normal", "Actionable") else UNKNOWN,
        lesions=lesions,
        official_split=volume.split,
        chest_wall="left" if side == "L" else "right",
        maker=facts.manufacturer,
        spacing_mm=facts.spacing_mm,
        bits=facts.bits_stored,
        age_years=facts.age_years,
        licence=LICENCE,
    )


SOURCE = Source(
    "bcs_dbt", "Breast-Cancer-Screening-DBT, slices of tomosynthesis", read, {"slices": SLICE_OPTIONS}, listed=listed, technology="digital"
)
