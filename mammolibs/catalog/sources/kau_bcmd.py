"""KAU-BCMD: digital mammograms of King Abdulaziz University, sorted by BI-RADS (Alsolami et al. 2021).

Read from folders BIRAD1, Birad3, Birad4, Birad5 (there is no 2), named in whatever case,
with the images in a folder b1, b3, ... or one folder per case. Names are
`2013_BC000541_ MLO_L.jpg`, or say side and view in words (`d_left_cc.jpg`).

Its traps: the folder's category is the case's, so the healthy breast of a case lies under
BI-RADS 5 too; it is a reader's opinion and no biopsy; some images lie in two of the
folders; the copies in circulation differ in size, and name different licences.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mammolibs.catalog.headers import Headers, iter_image_files
from mammolibs.catalog.label_tables import read_sheets
from mammolibs.catalog.layout import Layout
from mammolibs.catalog.source import Source, SourceResult, collect
from mammolibs.catalog.words import birads_pathology, make_id, make_person
from mammolibs.errors import BadFile
from mammolibs.records import UNKNOWN, ImageFacts, ImageRow

LICENCE = "KAU-BCMD: conflicting (CC0 on Kaggle, subscription on IEEE DataPort); ask the authors before passing anything on"
# "case": every image of a case takes the label of the case, the healthy breast too.
LABEL_OPTIONS = ("breast", "case")
WORKBOOK, SHEET = "correctSheetlast.xlsx", "correctSheet"
_IMAGE_COLUMN, _DENSITY_COLUMN = "Image path", "Percentage of\n grandular tissue(density)"
_DENSITIES = {"0%-25%": "A", "26%-50%": "B", "51%-75%": "C", ">75%": "D"}
_CATEGORY = re.compile(r"bi-?rads?[ _-]*([1-5])|b([1-5])", re.IGNORECASE)
_NUMBERED = re.compile(r"(\d{4})_(BC\d+)\s*(?:_(.*))?", re.IGNORECASE)


@dataclass(frozen=True)
class Listed:
    """One image: where it lies, and what folder and name say. `key` names the same image in every copy."""

    path: Path
    birads: str
    key: str
    patient: str
    exam: str
    laterality: str
    view: str


def read(root: Path, options: Mapping[str, str]) -> SourceResult:
    """One row per image below a BI-RADS folder; of an image that lies in two of them the one with the higher category."""
    files = Layout(root)
    result = SourceResult()
    copies: dict[str, list[Listed]] = defaultdict(list)
    for path in iter_image_files(files.root):
        listed = _list(files, path, result)
        if listed:
            copies[listed.key].append(listed)
    if not copies:
        raise files.refuse_empty("KAU-BCMD (folders Birad1, Birad3, Birad4, Birad5)")
    chosen = [_worst(files, group, result) for group in copies.values()]
    densities = _read_densities(files, result)
    headers = Headers(listed.path for listed in chosen)
    collect(result, chosen, lambda item: _row(item, headers[item.path], densities, options["labels"]), describe=lambda item: item.path)
    if options["labels"] == "breast":
        result.note_count(
            sum(row.pathology == UNKNOWN for row in result.rows),
            "images of cases above BI-RADS 1, of which nobody says which breast is meant (labels=case gives both the case's label)",
        )
    return result


def _list(files: Layout, path: Path, result: SourceResult) -> Listed | None:
    """What folder and name say of an image; None, and skipped, where they do not say enough."""
    from mammolibs.imaging.codes import read_words

    *folders, name = files.relative(path).split("/")
    categories = {found[1] or found[2] for folder in folders if (found := _CATEGORY.fullmatch(folder))}
    if any(word in part.lower() for part in (*folders, Path(name).stem) for word in ("mask", "report")) or not categories:
        result.skip(path, "lies below no BI-RADS folder, or is a mask or a report", on_purpose=True)
        return None
    if len(categories) > 1:
        result.skip(path, f"lies below folders of several BI-RADS categories ({', '.join(sorted(categories))})")
        return None
    birads, numbered = categories.pop(), _NUMBERED.fullmatch(path.stem)
    if numbered:
        # The year stays out of the patient, so that later exams of one woman stay with her.
        patient, exam, text = numbered[2].upper(), f"{numbered[1]}_{numbered[2].upper()}", numbered[3] or ""
        key = re.sub(r"\s+", "", path.stem).upper()
    elif not _CATEGORY.fullmatch(folders[-1]):
        # Case folders of two categories may share a number by chance: one patient for the split, two exams.
        patient, exam, text = folders[-1], f"{birads}/{folders[-1]}", path.stem
        key = f"{birads}-{folders[-1]}-{path.stem}"
    else:
        result.skip(path, "neither its name nor a folder of its own names the case")
        return None
    return Listed(path, birads, key, patient, exam, *read_words(text))


def _worst(files: Layout, group: list[Listed], result: SourceResult) -> Listed:
    """The copy with the highest category; the others are skipped on purpose."""
    first, *others = sorted(group, key=lambda listed: (-int(listed.birads), len(listed.path.parts), listed.path))
    for other in others:
        result.skip(other.path, f"is a copy of {files.relative(first.path)}, whose category is {first.birads}", on_purpose=True)
    return first


def _read_densities(files: Layout, result: SourceResult) -> dict[str, str]:
    """Key of the image -> ACR density, from the workbook that some copies have; empty without one, and noted where it cannot be read."""
    table = files.table(WORKBOOK)
    if table is None:
        return {}
    try:
        records = read_sheets(table, {SHEET: (_IMAGE_COLUMN, _DENSITY_COLUMN)})[SHEET]
    except BadFile as error:
        result.notes.append(f"{WORKBOOK} {error.problem}: densities are unknown")
        return {}
    stems = (re.sub(r"\s+", "", Path(record[_IMAGE_COLUMN].replace("\\", "/")).stem).upper() for record in records)
    return {stem: _DENSITIES.get(re.sub(r"\s+", "", record[_DENSITY_COLUMN]), "") for stem, record in zip(stems, records, strict=True)}


def _row(listed: Listed, facts: ImageFacts, densities: Mapping[str, str], labels: str) -> ImageRow:
    label = birads_pathology(listed.birads, malignant_from="4")
    sure = label == "normal"
    return ImageRow(
        image_id=make_id("kau_bcmd", listed.key),
        source="kau_bcmd",
        patient_id=make_person("kau_bcmd", listed.patient),
        exam_id=make_person("kau_bcmd", listed.exam),
        path=str(listed.path),
        laterality=listed.laterality if listed.laterality != UNKNOWN else facts.laterality,
        view=listed.view if listed.view != UNKNOWN else facts.view,
        pathology=label if sure or labels == "case" else UNKNOWN,
        truth="birads" if sure else "assumed" if labels == "case" else UNKNOWN,
        birads=listed.birads,
        density=densities.get(listed.key, ""),
        maker=facts.manufacturer,
        spacing_mm=facts.spacing_mm,
        bits=facts.bits_stored,
        age_years=facts.age_years,
        licence=LICENCE,
    )


SOURCE = Source("kau_bcmd", "KAU-BCMD, digital, sorted by BI-RADS", read, {"labels": LABEL_OPTIONS}, technology="digital")
