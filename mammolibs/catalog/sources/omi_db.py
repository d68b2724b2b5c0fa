"""OMI-DB (OPTIMAM): British screening, with histology, marks and both kinds of pixels (Halling-Brown et al. 2021).

Read from `data/<client>/imagedb_<client>.json` and `nbss_<client>.json` (in older shares
IMAGEDB_ and NBSS_) and `images/<client>/<study>/<image>.dcm`; the layout and the keys are
those that the package omidb documents.

Its traps: most views are there FOR PROCESSING and FOR PRESENTATION; flat fields lie among
them; two corners of a mark come in either order, y down; an opinion of reading (R5) is no
histology (B5, C5, H5); a screen that was read as normal may precede an interval cancer;
an episode that a study names may be missing.
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
from mammolibs.catalog.outlines import box, refuse_outside
from mammolibs.catalog.source import TWIN_OPTIONS, Source, SourceResult, collect
from mammolibs.catalog.sources.dicom_folder import find_twins
from mammolibs.catalog.words import make_id, make_person, number, whole, worst_pathology
from mammolibs.errors import BadData, BadFile
from mammolibs.records import UNKNOWN, ImageFacts, ImageRow, Lesion

# What an image without histology is, where its breast has an interval cancer: before it or at it, it is not normal.
INTERVAL_OPTIONS = (UNKNOWN, "malignant")
LICENCE = "OMI-DB: by application to OPTIMAM; use as your agreement says, pass nothing on"
_IMAGEDB = re.compile(r"imagedb_(.+)\.json", re.IGNORECASE)
_UID = re.compile(r"\d+(\.\d+)+")
# What a pathologist said, the last word first. Uncertain and suspicious (B3, B4, C3, C4) and unsatisfactory specimens prove nothing.
_PROOFS = ("SURGERY", "BIOPSYWIDE", "BIOPSYFINE")
_PROVEN = {"B5": "malignant", "C5": "malignant", "H5": "malignant", "B2": "benign", "C2": "benign", "H1": "benign", "H2": "benign"}
# What a reader said, of assessment before screening.
_READINGS = ("ASSESSMENT", "SCREENING")
_READ = {"R1": "normal", "RN": "normal", "R2": "benign", "RB": "benign", "A1": "normal", "A2": "benign"}
# Of a whole side; the codes and their words.
_SIDE_PROVEN = {"OM": "malignant", "MALIGNANT": "malignant", "OB": "benign", "BENIGN": "benign"}
_SIDE_READ = {"ON": "normal", "NORMAL": "normal", "OB": "benign", "BENIGN": "benign"}
_SIDES = {"L": "left_opinion", "R": "right_opinion"}
_INTERVAL_CANCER = ("CI", "INTERVAL CASE")
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
# View positions that the header's reader does not know: with the implant displaced; no breast at all.
_VIEWS = {"CCID": "CC", "MLOID": "MLO"}
_NO_BREAST = "FLATFIELD"


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
        studies = _mapping(_read_json(path).get("STUDIES"))
        episodes = {key: value for key, value in _read_json(nbss_path).items() if isinstance(value, dict)} if nbss_path else {}
    except BadFile as error:
        result.skip(error.file, error.problem)
        return
    interval_sides = "".join(_interval_sides(episode) for episode in episodes.values())
    for study, content in studies.items():
        episode = episodes.get(str(_mapping(content).get("EpisodeID")), {})
        for series, images in _mapping(content).items():
            for uid, marks in _mapping(images).items() if _UID.fullmatch(series) else ():
                if _UID.fullmatch(uid):
                    found = tuple(mark for mark in _mapping(marks).values() if isinstance(mark, dict))
                    yield Listed(client, study, uid, found, episode, interval_sides)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise BadFile(path, f"cannot be read as JSON ({error})", "copy it again from your share") from error
    if not isinstance(content, dict):
        raise BadFile(path, "is JSON of another shape", "copy it again from your share")
    return content


def _mapping(value: Any) -> Mapping[str, Any]:
    """Where the files have null or a list for "nothing", nothing."""
    return value if isinstance(value, dict) else {}


def _interval_sides(episode: Mapping[str, Any]) -> str:
    """The breasts with an interval cancer in this episode; both where it does not say which."""
    if str(episode.get("EpisodeType")).upper() not in _INTERVAL_CANCER:
        return ""
    return "".join(side for side in _SIDES if _mapping(episode.get("INTERVALCANCER")).get(side)) or "LR"


def proven_label(episode: Mapping[str, Any], side: str, lesion: str | None = None) -> str:
    """What histology or cytology says of a breast (L or R), or of one NBSS lesion in it: malignant, benign or unknown.

    Malignant where any specimen was; else the last word: of surgery, of the core biopsy, of the needle.
    """
    said = []
    for event in _PROOFS:
        content = _mapping(episode.get(event))
        lesions = _mapping(content.get(side))
        chosen = lesions.values() if lesion is None else [lesions.get(lesion)]
        opinions = [str(_mapping(one).get("Opinion") or "").upper()[:2] for one in chosen]
        labels = [_PROVEN.get(opinion, UNKNOWN) for opinion in opinions if opinion]
        if lesion is None:
            labels += [_SIDE_PROVEN[word] for word in [str(content.get(_SIDES[side])).upper()] if word in _SIDE_PROVEN and not labels]
        if labels:
            said.append(worst_pathology(labels))
    return "malignant" if "malignant" in said else next(iter(said), UNKNOWN)


def read_label(episode: Mapping[str, Any], side: str) -> str:
    """What readers say of a breast that nobody took a specimen of: normal, benign, or unknown for any suspicion."""
    for event in _READINGS:
        content = _mapping(episode.get(event))
        words = {str(content.get(_SIDES[side])).upper(): _SIDE_READ, str(_mapping(content.get(side)).get("Opinion")).upper(): _READ}
        said = {known.get(word, UNKNOWN) for word, known in words.items() if word != "NONE"}
        if said or content.get(side):
            return worst_pathology(said)
    return UNKNOWN


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
        facts = self.headers[path]
        if UNKNOWN not in (facts.view, facts.laterality):
            return facts
        word = self._view_word(self.present[path].uid)
        return None if word == _NO_BREAST else replace(facts, view=_VIEWS.get(word, facts.view))

    def _view_word(self, uid: str) -> str:
        """View Position (0018,5101) from the image's JSON, `<uid>.json` or `<uid>.dcm.json`."""
        path = self.files.table(f"{uid}.json") or self.files.table(f"{uid}.dcm.json")
        try:
            values = _mapping(_read_json(path).get("00185101")).get("Value") if path else None
        except BadFile:
            return ""
        return str(values[0]).upper() if isinstance(values, list) and values else ""

    def row(self, path: Path) -> ImageRow:
        image, facts = self.present[path], self.facts[path]
        pathology, truth = self._label(image, facts.laterality)
        lesions = tuple(_lesion(image, facts.laterality, mark, place, pathology) for place, mark in enumerate(image.marks, start=1))
        refuse_outside(lesions, facts.rows, facts.columns)
        # A mark that nobody explained may be a cancer, so it outranks a normal reading.
        pathology = worst_pathology([pathology, *(lesion.pathology for lesion in lesions)])
        screening = _mapping(_mapping(image.episode.get("SCREENING")).get(facts.laterality))
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
        if side not in _SIDES or not image.episode:
            return UNKNOWN, UNKNOWN
        proven = proven_label(image.episode, side)
        if proven != UNKNOWN or any(_mapping(_mapping(image.episode.get(event)).get(side)) for event in _PROOFS):
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
    labels = [proven_label(image.episode, side, lesion) for lesion in linked] if side in _SIDES else []
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
