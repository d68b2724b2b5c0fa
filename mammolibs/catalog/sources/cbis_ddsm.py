"""CBIS-DDSM: digitised film with biopsy labels and masks (Lee et al. 2017).

Read from the four case tables and any of: the DICOM tree of the archive's downloader
(folders named after the case), its older form (folders named by UIDs), and mirrors in
JPEG or PNG (folders named by the series UID; csv/dicom_info.csv is used where it lies there).

Its traps: a film that is in the mass and in the calcification tables is one image; the
file names say nothing of what is mask and what is crop, so the header's size does, and a
crop that is taken for the mask is refused where its pixels are read; the
official split was made per lesion type, so patients stand on both sides of it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mammolibs.catalog.ddsm import kind_of_shape
from mammolibs.catalog.headers import Headers
from mammolibs.catalog.label_tables import read_csv
from mammolibs.catalog.layout import Layout
from mammolibs.catalog.source import Source, SourceResult, collect
from mammolibs.catalog.words import (
    ACR_DENSITY,
    LATERALITY_WORDS,
    PATHOLOGY_WORDS,
    VIEW_WORDS,
    make_id,
    make_person,
    translate,
    worst_birads,
    worst_pathology,
)
from mammolibs.errors import BadFile
from mammolibs.records import ImageFacts, ImageRow, Lesion, Outline

LICENCE = "CBIS-DDSM: CC BY 3.0"
TABLES = tuple((kind, split, f"{kind}_case_description_{split}_set.csv") for kind in ("mass", "calc") for split in ("train", "test"))
_COLUMNS = (
    *("patient_id", "left or right breast", "image view", "abnormality id", "assessment", "pathology"),
    *("image file path", "cropped image file path", "ROI mask file path"),
)
_ASPECT_TOLERANCE = 0.01
_LEAST_MASK_SHARE = 0.5


@dataclass(frozen=True)
class Abnormality:
    """One row of a case table. image, crop, mask: folder names that the row's files may lie in."""

    film: str
    patient: str
    side: str
    view: str
    split: str
    lesion_id: str
    kind: str
    word: str
    density: str
    assessment: str
    image: tuple[str, ...]
    crop: tuple[str, ...]
    mask: tuple[str, ...]

    @property
    def pathology(self) -> str:
        return translate(self.word, PATHOLOGY_WORDS, "pathology")


def read_abnormalities(files: Layout, result: SourceResult) -> list[Abnormality]:
    """All rows of the tables that are there. Raises BadFile where none is."""
    found = []
    for kind, split, name in TABLES:
        table = files.table(name)
        if table is None:
            result.notes.append(f"{name} is not there: its lesions are unknown")
            continue
        found += [_abnormality(record, kind, split) for record in read_csv(table, _COLUMNS)]
    if not found:
        files.need_table(TABLES[0][2])
    return found


def _abnormality(record: dict[str, str], kind: str, split: str) -> Abnormality:
    film = f"{record['patient_id']}_{record['left or right breast']}_{record['image view']}"
    return Abnormality(
        film=film,
        patient=record["patient_id"],
        side=record["left or right breast"],
        view=record["image view"],
        split=split,
        lesion_id=f"cbis_ddsm-{film}-{kind}-{record['abnormality id']}",
        kind="calcification" if kind == "calc" else kind_of_shape(record.get("mass shape", "")),
        word=record["pathology"],
        density=record.get("breast_density") or record.get("breast density") or "",
        assessment=record["assessment"],
        image=_folders(record["image file path"]),
        crop=_folders(record["cropped image file path"]),
        mask=_folders(record["ROI mask file path"]),
    )


def _folders(cell: str) -> tuple[str, ...]:
    """The case folder and the series UID of a path cell: `<case folder>/<study UID>/<series UID>/<file>`."""
    parts = cell.replace("\\", "/").split("/")
    return (parts[0], parts[2]) if len(parts) == 4 else tuple(parts[:1])


def read(root: Path, options: Mapping[str, str]) -> SourceResult:
    """One row per film (patient, side, view) that is on the disk, with its lesions of both types."""
    files = Layout(root)
    result = SourceResult()
    finder = _Finder(files)
    films: dict[str, list[Abnormality]] = defaultdict(list)
    splits: dict[str, set[str]] = defaultdict(set)
    for abnormality in read_abnormalities(files, result):
        films[abnormality.film].append(abnormality)
        splits[abnormality.patient].add(abnormality.split)
    present = [(group, path) for group in films.values() if (path := finder.image(group))]
    if not present:
        raise files.refuse_empty("CBIS-DDSM that its tables name")
    result.absent = len(films) - len(present)
    headers = Headers([path for _, path in present] + [path for group, _ in present for a in group for path in finder.parts(a)])
    unplaced: Counter[str] = Counter()
    collect(result, present, lambda item: _row(*item, finder, headers, unplaced), describe=lambda item: item[1])
    for reason, count in unplaced.items():
        result.note_count(count, f"lesions {reason} (kept without a place)")
    result.note_count(
        sum(len(s) > 1 for s in splits.values()), "patients on both sides of the official split (which is kept as a column and not used)"
    )
    return result


def listed(root: Path) -> list[ImageRow]:
    """One row per film and official split of the tables; a film of both types that stands in both parts comes twice."""
    films = {(a.film, a.split): a for a in read_abnormalities(Layout(root), SourceResult())}
    return [
        ImageRow(
            image_id=make_id("cbis_ddsm", film),
            source="cbis_ddsm",
            patient_id=make_person("cbis_ddsm", a.patient),
            exam_id=make_person("cbis_ddsm", a.patient),
            path="",
            official_split=split,
            licence=LICENCE,
        )
        for (film, split), a in sorted(films.items())
    ]


class _Finder:
    """Files of the cases by folder name, whichever of the layouts it is."""

    def __init__(self, files: Layout):
        self.files = files
        self.series = _read_series(files)

    def in_folders(self, folders: Iterable[str]) -> list[Path]:
        """Files below the folders, or in the series of that UID, DICOM first."""
        found = {path for folder in folders for path in (*self.files.images_in(folder), *self.series.get(folder, ()))}
        return sorted(found, key=lambda path: (path.suffix.lower() != ".dcm", path))

    def image(self, group: list[Abnormality]) -> Path | None:
        """The full image of a film. The mass and the calcification tables name two copies of it; either will do."""
        return next((path for a in group for path in (*self.in_folders(a.image), *self.files.images(a.image[0]))), None)

    def parts(self, abnormality: Abnormality) -> list[Path]:
        """The lesion's crop and mask, whichever is which."""
        return self.in_folders((*abnormality.crop, *abnormality.mask))


def _outline(parts: list[Path], image: ImageFacts, headers: Headers, unplaced: Counter[str]) -> Outline:
    """The lesion's mask; shape "none", and counted by reason, where there is none that fits the image."""
    try:
        mask = choose_mask(image, [(path, headers[path]) for path in parts])
    except BadFile:
        mask, reason = None, "with a file that cannot be read"
    else:
        reason = "without a mask of their image's shape" if parts else "without a mask on the disk"
    if mask is None:
        unplaced[reason] += 1
        return Outline(shape="none")
    return Outline(shape="mask", path=str(mask))


def choose_mask(image: ImageFacts, candidates: Iterable[tuple[Path, ImageFacts]]) -> Path | None:
    """Which of a lesion's files is its mask, by header alone; None where none fits.

    The mask is the file nearest to the image in size, of two equally near the 8-bit one: the crop
    is smaller. It must have the aspect of the image (within 1 %) and at least half its size; where
    it has not, a crop that happens to fit is no mask either.
    """
    ranked = []
    for path, facts in candidates:
        down, across = facts.rows / image.rows, facts.columns / image.columns
        fits = min(down, across) >= _LEAST_MASK_SHARE and abs(down / across - 1) <= _ASPECT_TOLERANCE
        ranked.append((max(down, 1 / down, across, 1 / across), facts.bits_allocated != 8, path, fits))
    if not ranked:
        return None
    *_, path, fits = min(ranked)
    return path if fits else None


def _read_series(files: Layout) -> dict[str, list[Path]]:
    """Series UID -> files, as a mirror's dicom_info.csv says; empty where there is none."""
    table = files.table("dicom_info.csv")
    series: dict[str, list[Path]] = defaultdict(list)
    if table is not None:
        for record in read_csv(table, ("image_path", "SeriesInstanceUID")):
            parts = record["image_path"].replace("\\", "/").split("/")
            if len(parts) > 1:
                series[record["SeriesInstanceUID"]] += [p for p in files.images_in(parts[-2]) if p.name == parts[-1]]
    return dict(series)


def _row(group: list[Abnormality], path: Path, finder: _Finder, headers: Headers, unplaced: Counter[str]) -> ImageRow:
    first = group[0]
    facts = headers[path]
    splits = {abnormality.split for abnormality in group}
    patient = make_person("cbis_ddsm", first.patient)
    return ImageRow(
        image_id=make_id("cbis_ddsm", first.film),
        source="cbis_ddsm",
        patient_id=patient,
        exam_id=patient,
        path=str(path),
        laterality=translate(first.side, LATERALITY_WORDS, "side"),
        view=translate(first.view, VIEW_WORDS, "view"),
        pathology=worst_pathology(a.pathology for a in group),
        truth="biopsy" if any(a.word != "BENIGN_WITHOUT_CALLBACK" for a in group) else "read",
        birads=worst_birads(a.assessment for a in group),
        density=translate(first.density, ACR_DENSITY, "density"),
        lesions=tuple(
            Lesion(
                lesion_id=a.lesion_id,
                kind=a.kind,
                pathology=a.pathology,
                outline=_outline(finder.parts(a), facts, headers, unplaced),
            )
            for a in group
        ),
        official_split=splits.pop() if len(splits) == 1 else "mixed",
        maker=facts.manufacturer,
        spacing_mm=facts.spacing_mm,
        bits=facts.bits_stored,
        licence=LICENCE,
    )


SOURCE = Source("cbis_ddsm", "CBIS-DDSM, digitised film", read, listed=listed, technology="film")
