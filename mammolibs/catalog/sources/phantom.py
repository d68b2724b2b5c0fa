"""Synthetic exams as `mammolibs.phantom` writes them: truth.csv, lesions.csv, exact masks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from mammolibs.catalog.headers import Headers
from mammolibs.catalog.label_tables import read_csv
from mammolibs.catalog.layout import Layout
from mammolibs.catalog.source import TWIN_OPTIONS, Source, SourceResult, collect
from mammolibs.catalog.words import (
    KIND_WORDS,
    LATERALITY_WORDS,
    PATHOLOGY_WORDS,
    VIEW_WORDS,
    make_id,
    make_person,
    number,
    translate,
    whole,
)
from mammolibs.errors import BadData
from mammolibs.records import ImageFacts, ImageRow, Lesion, Outline

_TRUTH_COLUMNS = (
    *("image_id", "file", "patient_id", "exam_id", "laterality", "view", "pathology", "birads", "density"),
    *("age_years", "rows", "columns", "spacing_mm", "maker", "bits_stored", "parent_id", "lesion_ids"),
)
_LESION_COLUMNS = ("lesion_id", "image_id", "kind", "pathology", "mask")


def read(root: Path, options: Mapping[str, str]) -> SourceResult:
    """One row per file of truth.csv; a FOR PROCESSING twin only with the option twins=both."""
    files = Layout(root)
    table = files.need_table("truth.csv")
    folder = table.parent
    truth = read_csv(table, _TRUTH_COLUMNS)
    lesions = _lesions(folder, read_csv(files.need_table("lesions.csv"), _LESION_COLUMNS))
    result = SourceResult()
    present = [record for record in truth if (folder / record["file"]).is_file()]
    result.absent = len(truth) - len(present)
    if not present:
        raise files.refuse_empty("the phantoms in truth.csv")
    wanted = []
    for record in present:
        if record["parent_id"] and options["twins"] == "presentation":
            result.skip(folder / record["file"], "FOR PROCESSING twin of an image that is there", on_purpose=True)
        else:
            wanted.append(record)
    headers = Headers(folder / record["file"] for record in wanted)
    collect(
        result,
        wanted,
        lambda record: _row(folder, record, lesions[record["image_id"]], headers[folder / record["file"]]),
        describe=lambda record: folder / record["file"],
    )
    return result


def _lesions(folder: Path, records: list[dict[str, str]]) -> defaultdict[str, tuple[Lesion, ...]]:
    """image_id -> its lesions."""
    found: defaultdict[str, tuple[Lesion, ...]] = defaultdict(tuple)
    for record in records:
        lesion = Lesion(
            lesion_id=f"phantom-{record['lesion_id']}",
            kind=translate(record["kind"], KIND_WORDS, "kind"),
            pathology=translate(record["pathology"], PATHOLOGY_WORDS, "pathology"),
            outline=Outline(shape="mask", path=str(folder / record["mask"])),
        )
        found[record["image_id"]] += (lesion,)
    return found


def _row(folder: Path, record: dict[str, str], lesions: tuple[Lesion, ...], facts: ImageFacts) -> ImageRow:
    said = {part for part in record["lesion_ids"].split("|") if part}
    if said != {lesion.lesion_id.removeprefix("phantom-") for lesion in lesions}:
        raise BadData(f"{record['image_id']}: truth.csv and lesions.csv name different lesions; make the phantoms again")
    gone = [lesion.outline.path for lesion in lesions if not Path(lesion.outline.path).is_file()]
    if gone:
        raise BadData(f"its mask {gone[0]} is not there; make the phantoms again")
    if (facts.rows, facts.columns) != (whole(record["rows"], "rows"), whole(record["columns"], "columns")):
        raise BadData(f"is {facts.rows} x {facts.columns} pixels, truth.csv says {record['rows']} x {record['columns']}")
    return ImageRow(
        image_id=make_id("phantom", record["image_id"]),
        source="phantom",
        patient_id=make_person("phantom", record["patient_id"]),
        exam_id=make_person("phantom", record["exam_id"]),
        path=str(folder / record["file"]),
        laterality=translate(record["laterality"], LATERALITY_WORDS, "laterality"),
        view=translate(record["view"], VIEW_WORDS, "view"),
        pathology=translate(record["pathology"], PATHOLOGY_WORDS, "pathology"),
        truth="synthetic",
        birads=record["birads"],
        density=record["density"],
        lesions=lesions,
        parent_id=make_id("phantom", record["parent_id"]) if record["parent_id"] else "",
        maker=record["maker"],
        spacing_mm=number(record["spacing_mm"], "spacing"),
        bits=whole(record["bits_stored"], "bits"),
        age_years=whole(record["age_years"], "age"),
        licence="synthetic",
    )


SOURCE = Source("phantom", "synthetic exams", read, {"twins": TWIN_OPTIONS})
