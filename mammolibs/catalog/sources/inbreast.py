"""INbreast: full-field digital images with drawn outlines and BI-RADS, without pathology (Moreira et al. 2012).

Read from the release's folder (AllDICOMs, AllXML, INbreast.csv or INbreast.xls) and from
copies that kept its file names.

Its traps: the table says "removed" for every patient, so the 16 hex digits in the file
names are all that keeps a patient's images together; ML in a file name is the MLO view;
one image has no ACR density and one is taken from below (FB); the .xls ends in a row of
totals; normal images have no XML; a malignant image does not say which of its findings
is the suspicious one.
"""

from __future__ import annotations

import plistlib
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from xml.parsers.expat import ExpatError

from mammolibs.catalog.headers import Headers
from mammolibs.catalog.label_tables import read_csv, read_sheets
from mammolibs.catalog.layout import Layout
from mammolibs.catalog.outlines import drawn, refuse_outside
from mammolibs.catalog.source import Source, SourceResult, collect
from mammolibs.catalog.words import (
    ACR_DENSITY,
    BIRADS_WORDS,
    LATERALITY_WORDS,
    VIEW_WORDS,
    birads_pathology,
    make_id,
    make_person,
    translate,
)
from mammolibs.errors import BadData, BadFile
from mammolibs.records import ImageFacts, ImageRow, Lesion, Outline

LICENCE = "INbreast: research agreement with the Porto group, images not to be passed on"
SPACING_MM = 0.07
# Rows and columns of all its images; a copy in another format and of another size was resized.
SIZES = ((3328, 2560), (4084, 3328))
# A calcification that is marked by a point: about 0.7 mm round it.
POINT_RADIUS_PX = 10
# The default first. Some authors count 4a among the benign.
MALIGNANT_FROM = ("4", "4b", "4c", "5")
_COLUMNS = ("Laterality", "View", "Acquisition date", "File Name", "ACR", "Bi-Rads")
_VIEWS = VIEW_WORDS | {"fb": "other"}
_NAME = re.compile(r"(\d{8})(?:_([0-9a-f]{16})_MG_([LR])_(CC|ML|FB)_ANON)?", re.IGNORECASE)
_POINT = re.compile(r"\(\s*([-+.\de]+)\s*,\s*([-+.\de]+)\s*\)")
_KINDS = {
    "mass": "mass",
    "calcification": "calcification",
    "calcifications": "calcification",
    "cluster": "calcification",
    "distortion": "distortion",
    "asymmetry": "asymmetry",
    "assymetry": "asymmetry",
    "spiculated region": "other",
    "unnamed": "other",
}


def read_table(files: Layout) -> list[dict[str, str]]:
    """The images of INbreast.csv, or of INbreast.xls where that is missing. Raises BadFile."""
    table = files.table("INbreast.csv")
    if table:
        records = read_csv(table, _COLUMNS, delimiter=";")
    else:
        table = files.table("INbreast.xls") or files.need_table("INbreast.csv")
        records = read_sheets(table, {"Sheet1": _COLUMNS})["Sheet1"]
    # A blank row and a row of totals end the .xls; neither has a side.
    images = [record for record in records if record["Laterality"]]
    if not all(re.fullmatch(r"\d{8}", record["File Name"]) for record in images):
        raise BadFile(table, "has a row whose File Name is no number of eight digits", "use the table that came with the images")
    return images


def read_outlines(path: Path) -> list[tuple[str, Outline]]:
    """(name, outline) of each region of one image's XML; shape "none" for a region without points. Raises BadData."""
    try:
        with open(path, "rb") as file:
            regions = plistlib.load(file)["Images"][0]["ROIs"]
        return [(region["Name"].strip(), _outline(region["Point_px"])) for region in regions]
    except (OSError, ExpatError, ValueError, KeyError, IndexError, TypeError, AttributeError, BadData) as error:
        raise BadData(f"its outlines in {path.name} cannot be read ({error}); download that file again") from error


def _outline(points: list[str]) -> Outline:
    if not points:
        return Outline(shape="none")
    places = [_POINT.fullmatch(point) for point in points]
    if None in places:
        raise BadData(f"{points[places.index(None)]!r} is no point")
    return drawn([float(place[1]) for place in places], [float(place[2]) for place in places], POINT_RADIUS_PX)


def read(root: Path, options: Mapping[str, str]) -> SourceResult:
    """One row per image of the table that is on the disk."""
    files = Layout(root)
    table = read_table(files)
    result = SourceResult()
    found: dict[str, tuple[re.Match, Path]] = {}
    for name, path in files.images_like(_NAME):
        found.setdefault(name[1], (name, path))
    present = [(record, *found[record["File Name"]]) for record in table if record["File Name"] in found]
    if not present:
        raise files.refuse_empty("INbreast (20588680_036aff49b8ac84f0_MG_L_ML_ANON.dcm and so on)")
    result.absent = len(table) - len(present)
    # The release keeps outlines of the pectoral muscle in a folder of their own.
    drawings = {p.stem: p for p in files.files if p.suffix.lower() == ".xml" and "pectoral" not in files.relative(p).lower()}
    if not drawings:
        result.notes.append("AllXML is not there: lesions are unknown")
    reader = _Reader(drawings, options["malignant_from"])
    headers = Headers(path for *_, path in present)
    collect(result, present, lambda item: reader.row(*item, headers[item[2]]), describe=lambda item: item[2])
    for reason, count in reader.counts.items():
        result.note_count(count, reason)
    return result


class _Reader:
    """Rows from records; `counts` says what could not be taken as it stands, by reason."""

    def __init__(self, drawings: Mapping[str, Path], malignant_from: str):
        self.drawings = drawings
        self.malignant_from = malignant_from
        self.counts: Counter[str] = Counter()

    def row(self, record: Mapping[str, str], name: re.Match, path: Path, facts: ImageFacts) -> ImageRow:
        number, hexes, side, _ = name.groups()
        if not hexes:
            raise BadData("its name lacks the 16 hex digits that alone say whose image it is; keep the file names of the release")
        if side.upper() != record["Laterality"]:
            raise BadData(f"its name says side {side}, the table {record['Laterality']}")
        birads = translate(record["Bi-Rads"], BIRADS_WORDS, "Bi-Rads")
        pathology = birads_pathology(birads, self.malignant_from)
        lesions = self._lesions(number, facts, pathology)
        refuse_outside(lesions, facts.rows, facts.columns)
        self.counts["images without an ACR density"] += not record["ACR"]
        patient = make_person("inbreast", hexes.lower())
        return ImageRow(
            image_id=make_id("inbreast", number),
            source="inbreast",
            patient_id=patient,
            exam_id=f"{patient}-{record['Acquisition date']}",
            path=str(path),
            laterality=translate(record["Laterality"], LATERALITY_WORDS, "side"),
            view=translate(record["View"], _VIEWS, "view"),
            pathology=pathology,
            truth="birads",
            birads=birads,
            density=translate(record["ACR"], ACR_DENSITY, "ACR density"),
            lesions=lesions,
            maker=facts.manufacturer,
            spacing_mm=facts.spacing_mm or (SPACING_MM if _is_full_size(facts) else None),
            bits=facts.bits_stored,
            licence=LICENCE,
        )

    def _lesions(self, number: str, facts: ImageFacts, pathology: str) -> tuple[Lesion, ...]:
        """The regions drawn in this image. Of several in a malignant image nobody says which is the malignant one."""
        regions = read_outlines(self.drawings[number]) if number in self.drawings else []
        if self.drawings and not regions and pathology != "normal":
            self.counts["images above BI-RADS 1 without outlines (their lesions are unknown)"] += 1
        if regions and not _is_full_size(facts):
            self.counts["copies of another size (the drawn outlines are not used for them)"] += 1
            regions = [(name, Outline(shape="none")) for name, _ in regions]
        self.counts["lesions without a place"] += sum(outline.shape == "none" for _, outline in regions)
        return tuple(
            Lesion(
                lesion_id=f"inbreast-{number}-{i}",
                kind=self._kind(name),
                pathology="unknown" if len(regions) > 1 and pathology == "malignant" else pathology,
                outline=outline,
            )
            for i, (name, outline) in enumerate(regions, start=1)
        )

    def _kind(self, name: str) -> str:
        """What the free text of a region's name says; a spelling that is not known is counted, and the region kept as "other"."""
        kind = _KINDS.get(name.lower()) or ("other" if re.fullmatch(r"point \d+", name.lower()) else "")
        self.counts[f"regions named {name!r} (kept as other)"] += not kind
        return kind or "other"


def _is_full_size(facts: ImageFacts) -> bool:
    """True for the release's own DICOM file, and for a copy in one of its sizes."""
    return bool(facts.sop_instance_uid) or (facts.rows, facts.columns) in SIZES


SOURCE = Source("inbreast", "INbreast, full-field digital images", read, {"malignant_from": MALIGNANT_FROM}, technology="digital")
