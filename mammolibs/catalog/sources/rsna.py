"""RSNA Screening Mammography Breast Cancer Detection (2022): cancer per breast, without its place.

Read from train.csv and train_images/<patient>/<image>.dcm, or copies in another format
that are named <image> or <patient>_<image>. The test images of the competition have no labels and are not read.

Its traps: `cancer` is of the breast, and all its views carry it; BIRADS and density are
empty for one of the two sites; views beside CC and MLO; a breast without cancer may show
a benign lesion that nobody marked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from mammolibs.catalog.headers import Headers
from mammolibs.catalog.label_tables import read_csv
from mammolibs.catalog.layout import Layout
from mammolibs.catalog.source import Source, SourceResult, collect
from mammolibs.catalog.words import ACR_DENSITY, LATERALITY_WORDS, VIEW_WORDS, make_id, make_person, translate, whole
from mammolibs.errors import BadData
from mammolibs.records import ImageFacts, ImageRow

LICENCE = "RSNA Screening Mammography: competition rules, non-commercial research"
TABLE = "train.csv"
_COLUMNS = (
    *("site_id", "patient_id", "image_id", "laterality", "view", "age", "cancer", "biopsy", "BIRADS", "implant", "density"),
    "machine_id",
)
# AT: the axillary tail.
_VIEWS = VIEW_WORDS | {"at": "other"}
_FLAGS = {"0": "0", "1": "1"}
_BIRADS = (None, 0, 1, 2)


def read(root: Path, options: Mapping[str, str]) -> SourceResult:
    """One row per image of the table that is on the disk."""
    files = Layout(root)
    table = read_csv(files.need_table(TABLE), _COLUMNS)
    result = SourceResult()
    present = [(record, path) for record in table if (path := _find(files, record))]
    if not present:
        raise files.refuse_empty("RSNA Screening Mammography (train_images/<patient>/<image>.dcm)")
    result.absent = len(table) - len(present)
    result.notes.append("cancer is known for a breast and its place is not: lesions are unknown")
    counts: Counter[str] = Counter()
    headers = Headers(path for _, path in present)
    collect(result, present, lambda item: _row(*item, headers[item[1]], counts), describe=lambda item: item[1])
    for reason, count in counts.items():
        result.note_count(count, reason)
    return result


def _find(files: Layout, record: Mapping[str, str]) -> Path | None:
    patient, image = record["patient_id"], record["image_id"]
    return next((path for name in (image, f"{patient}_{image}") for path in files.images(name)), None)


def _row(record: Mapping[str, str], path: Path, facts: ImageFacts, counts: Counter[str]) -> ImageRow:
    cancer, biopsy, implant = (translate(record[name], _FLAGS, name) == "1" for name in ("cancer", "biopsy", "implant"))
    birads = whole(record["BIRADS"], "BIRADS")
    if birads not in _BIRADS:
        raise BadData(f"BIRADS is {record['BIRADS']!r}; known are 0, 1, 2 and none")
    # Only a negative reading says that there is nothing; the others without cancer may show a benign lesion.
    pathology = "malignant" if cancer else "normal" if birads == 1 and not biopsy else "benign"
    counts['images without cancer and without a negative reading (label benign: "no cancer", lesions unknown)'] += pathology == "benign"
    counts["images with an implant"] += implant
    patient = make_person("rsna", record["patient_id"])
    return ImageRow(
        image_id=make_id("rsna", record["image_id"]),
        source="rsna",
        patient_id=patient,
        exam_id=patient,
        path=str(path),
        laterality=translate(record["laterality"], LATERALITY_WORDS, "laterality"),
        view=translate(record["view"], _VIEWS, "view"),
        pathology=pathology,
        # A cancer was proven by pathology; a breast without one was biopsied, or only read and followed.
        truth="biopsy" if cancer or biopsy else "read",
        birads="" if birads is None else str(birads),
        density=translate(record["density"], ACR_DENSITY, "density"),
        maker=facts.manufacturer or f"machine {record['machine_id']}",
        spacing_mm=facts.spacing_mm,
        bits=facts.bits_stored,
        age_years=whole(record["age"], "age"),
        licence=LICENCE,
    )


SOURCE = Source("rsna", "RSNA Screening Mammography, cancer by breast", read)
