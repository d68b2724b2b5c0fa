"""OMI-DB (OPTIMAM): British screening, with histology, marks and both kinds of pixels (Halling-Brown et al. 2021).

Read from `data/<client>/imagedb_<client>.json` and `nbss_<client>.json` (in older shares
IMAGEDB_ and NBSS_) and `images/<client>/<study>/<image>.dcm`; the layout and the keys are
those that the package omidb documents.

Its traps: most views are there FOR PROCESSING and FOR PRESENTATION; flat fields lie among
them; two corners of a mark come in either order, y down; an opinion of reading (R5) is no
histology (B5, C5, H5); a screen that was read as normal may precede an interval cancer;
an episode that a study names may be missing; the marks of nine images lie at the wrong place.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mammolibs.catalog.headers import Headers
from mammolibs.catalog.layout import Layout
from mammolibs.catalog.nbss import PROOFS, SIDES, interval_sides, mapping, proven_label, read_label
from mammolibs.catalog.outlines import box, refuse_outside
from mammolibs.catalog.source import TWIN_OPTIONS, Source, SourceResult, collect
from mammolibs.catalog.sources.dicom_folder import find_twins
from mammolibs.catalog.words import make_id, make_person, number, whole, worst_pathology
from mammolibs.errors import BadData, BadFile
from mammolibs.records import UNKNOWN, ImageFacts, ImageRow, Lesion, Outline

# What an image without histology is, where its breast has an interval cancer: before it or at it, it is not normal.
INTERVAL_OPTIONS = (UNKNOWN, "malignant")
LICENCE = "OMI-DB: by application to OPTIMAM; use as your agreement says, pass nothing on"
_IMAGEDB = re.compile(r"imagedb_(.+)\.json", re.IGNORECASE)
_UID = re.compile(r"\d+(\.\d+)+")
_KINDS = {
    "Mass": "mass",
    "ArchitecturalDistortion": "distortion",
    "FocalAsymmetry": "asymmetry",
    "SuspiciousCalcifications": "calcification",
    "WithCalcification": "calcification",
}
_BENIGN_MARKS = (
    *("Dystrophic", "FatNecrosis", "MilkOfCalcium", "OtherBenignCluster"),
    *("PlasmaCellMastitis", "Skin", "SutureCalcification", "Vascular"),
)
_NO_BREAST = "FLATFIELD"
# Images whose boxes have their axes swapped or lie mirrored, as users of the data set found; nobody says which of the two each is.
_MISPLACED = {
    f"1.2.826.0.1.3680043.9.3218.1.1.{uid}"
    for uid in (
        *("21149576.1882.1552598184295.155.0", "423368237.8725.1541832007115.79.0", "23278785.1708.1544221170622.213.0"),
        *("3010695.7588.1512129590473.9978.0", "242205684.1858.1540020381577.17.0", "3370786.8916.1512165599585.7373.0"),
        *("3370786.8916.1512165599585.7403.0", "3860076.2252.1511393629935.6737.0", "296436949.3318.1540562694227.83.0"),
    )
}


@dataclass(frozen=True)
class Listed:
    """One image of imagedb_<client>.json. episode: what nbss_<client>.json says of its study's, empty where that is missing."""

    client: str
    study: str
    uid: str
    marks: tuple[Mapping[str, Any], ...]
    episode: Mapping[str, Any]
    interval_sides: str


def read(root: Path, options: Mapping[str, str]) -> SourceResult:
    """One row per image that imagedb lists and that is on the disk; a FOR PROCESSING twin only with the option twins=both."""
    files = Layout(root)
    result = SourceResult()
    clients = [(found[1], path) for path in files.files if (found := _IMAGEDB.fullmatch(path.name))]
    if not clients:
        raise files.refuse_empty("OMI-DB (data/<client>/imagedb_<client>.json)")
    listed = [image for client, path in clients for image in _read_client(files, client, path, result)]
    present = {path: image for image in listed for path in files.images(image.uid)[:1]}
    if not present and not result.skipped:
        raise files.refuse_empty("OMI-DB that its imagedb files list")
    result.absent = len(listed) - len(present)
    result.note_count(sum(not image.episode for image in present.values()), "images whose episode NBSS does not have (label unknown)")
    reader = _Reader(files, present, options["interval_cancers"])
    kept = reader.keep(result, options["twins"])
    collect(result, kept, reader.row, describe=lambda path: path)
    for text, count in reader.counts.items():
        result.note_count(count, text)
    return result


def _read_client(files: Layout, client: str, path: Path, result: SourceResult) -> Iterator[Listed]:
    """The images of one client; none, and the client skipped, where a file of it cannot be read."""
    nbss_path = files.table(f"nbss_{client}.json")
    try:
        studies = mapping(_read_json(path).get("STUDIES"))
        episodes = {key: value for key, value in _read_json(nbss_path).items() if isinstance(value, dict)} if nbss_path else {}
    except BadFile as error:
        result.skip(error.file, error.problem)
        return
    cancers = "".join(interval_sides(episode) for episode in episodes.values())
    for study, content in studies.items():
        episode = episodes.get(str(mapping(content).get("EpisodeID")), {})
        for series, images in mapping(content).items():
            for uid, marks in mapping(images).items() if _UID.fullmatch(series) else ():
                if _UID.fullmatch(uid):
                    found = tuple(mark for mark in mapping(marks).values() if isinstance(mark, dict))
                    yield Listed(client, study, uid, found, episode, cancers)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise BadFile(path, f"cannot be read as JSON ({error})", "copy it again from your share") from error
    if not isinstance(content, dict):
        raise BadFile(path, "is JSON of another shape", "copy it again from your share")
    return content


class _Reader:
    """Rows from listed images; `counts` says what a reader of the catalog must know."""

    def __init__(self, files: Layout, present: Mapping[Path, Listed], interval_label: str):
        self.files = files
        self.present = present
        self.interval_label = interval_label
        self.headers = Headers(present)
        self.facts: dict[Path, ImageFacts] = {}
        self.parents: dict[Path, Path] = {}
        self.counts: Counter[str] = Counter()

    def keep(self, result: SourceResult, twins: str) -> list[Path]:
        """The files that become rows: no flat fields, and twins as the option says."""
        for path in self.present:
            try:
                facts = self._facts(path)
            except BadFile as error:
                result.skip(path, error.problem)
                continue
            if facts is None:
                result.skip(path, "is a flat field of the detector", on_purpose=True)
            else:
                self.facts[path] = facts
        self.parents = find_twins(self.facts)
        if twins == "presentation":
            for path, parent in self.parents.items():
                result.skip(path, f"FOR PROCESSING twin of {self.files.relative(parent)}", on_purpose=True)
            return [path for path in self.facts if path not in self.parents]
        return list(self.facts)

    def _facts(self, path: Path) -> ImageFacts | None:
        """The header's facts, with the view that the image's JSON names where they know none; None for a flat field."""
        from mammolibs.imaging.codes import view_word

        facts = self.headers[path]
        if "flat field" in facts.view_modifiers:
            return None
        if UNKNOWN not in (facts.view, facts.laterality):
            return facts
        word = self._view_word(self.present[path].uid)
        if word == _NO_BREAST:
            return None
        return replace(facts, view=view_word(word)) if facts.view == UNKNOWN else facts

    def _view_word(self, uid: str) -> str:
        """View Position (0018,5101) from the image's JSON, `<uid>.json` or `<uid>.dcm.json`."""
        path = self.files.table(f"{uid}.json") or self.files.table(f"{uid}.dcm.json")
        try:
            values = mapping(_read_json(path).get("00185101")).get("Value") if path else None
        except BadFile:
            return ""
        return str(values[0]).upper() if isinstance(values, list) and values else ""

    def row(self, path: Path) -> ImageRow:
        image, facts = self.present[path], self.facts[path]
        pathology, truth = self._label(image, facts.laterality)
        lesions = tuple(_lesion(image, facts.laterality, mark, place, pathology) for place, mark in enumerate(image.marks, start=1))
        if lesions and image.uid in _MISPLACED:
            self.counts["images whose marks are known to lie at the wrong place (kept without a place)"] += 1
            lesions = tuple(replace(lesion, outline=Outline(shape="none")) for lesion in lesions)
        refuse_outside(lesions, facts.rows, facts.columns)
        # A mark that nobody explained may be a cancer, so it outranks a normal reading.
        pathology = worst_pathology([pathology, *(lesion.pathology for lesion in lesions)])
        screening = mapping(mapping(image.episode.get("SCREENING")).get(facts.laterality))
        parent = self.parents.get(path)
        return ImageRow(
            image_id=make_id("omi_db", image.uid),
            source="omi_db",
            patient_id=make_person("omi_db", image.client),
            exam_id=make_person("omi_db", image.study),
            path=str(path),
            laterality=facts.laterality,
            view=facts.view,
            pathology=pathology,
            truth=truth if pathology != UNKNOWN else UNKNOWN,
            lesions=lesions,
            parent_id=make_id("omi_db", self.present[parent].uid) if parent else "",
            maker=facts.manufacturer,
            spacing_mm=facts.spacing_mm,
            bits=facts.bits_stored,
            age_years=whole(screening.get("AgeAtScreening"), "AgeAtScreening") or facts.age_years,
            licence=LICENCE,
        )

    def _label(self, image: Listed, side: str) -> tuple[str, str]:
        """The label of one breast in the episode of its study, and its truth."""
        if side not in SIDES or not image.episode:
            return UNKNOWN, UNKNOWN
        proven = proven_label(image.episode, side)
        if proven != UNKNOWN or any(mapping(mapping(image.episode.get(event)).get(side)) for event in PROOFS):
            return proven, "biopsy"
        if side in image.interval_sides:
            self.counts[f"images of a breast with an interval cancer, without histology of their own (label {self.interval_label})"] += 1
            return self.interval_label, "assumed"
        return read_label(image.episode, side), "read"


def _lesion(image: Listed, side: str, mark: Mapping[str, Any], place: int, breast: str) -> Lesion:
    """One mark: the histology of the NBSS lesions that it is linked to, else what holds for all of its breast, or the reader said of it."""
    corners = [number(mark.get(key), key) for key in ("X1", "X2", "Y1", "Y2")]
    if None in corners:
        raise BadData(f"mark {mark.get('MarkID')} has no corners")
    linked = [str(int(text)) for text in re.findall(r"\d+", str(mark.get("LinkedNBSSLesionNumber") or ""))]
    labels = [proven_label(image.episode, side, lesion) for lesion in linked] if side in SIDES else []
    kinds = [kind for key, kind in _KINDS.items() if mark.get(key)]
    label = worst_pathology(labels)
    if not linked and (breast == "benign" or (not kinds and any(mark.get(key) for key in _BENIGN_MARKS))):
        label = "benign"
    (x0, x1), (y0, y1) = sorted(corners[:2]), sorted(corners[2:])
    return Lesion(
        lesion_id=f"omi_db-{image.uid}-{mark.get('MarkID', place)}",
        kind=kinds[0] if kinds else "other",
        pathology=label,
        outline=box(x0, y0, x1, y1),
    )


SOURCE = Source("omi_db", "OMI-DB (OPTIMAM), British screening", read, {"twins": TWIN_OPTIONS, "interval_cancers": INTERVAL_OPTIONS})
