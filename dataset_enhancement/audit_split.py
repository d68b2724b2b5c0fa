"""Does a split leak? Exits 1 and names who and what lies on both sides of it, 0 where nothing does.

    python dataset_enhancement/audit_split.py --catalog runs/mine/data
    python dataset_enhancement/audit_split.py --source cbis_ddsm=FOLDER --split official
    python dataset_enhancement/audit_split.py --csv FILE --id-column image --split-column fold --group-column patient --image-column path

Patients, exams and copies are compared by their ids. Images that are there are compared by their
pixels too: mirrored, inverted, turned, enhanced, rescaled or digitised again, they are found. A
catalog's split.json keeps the verdict; evaluation refuses a test set that it calls touched. A
catalog is split anew by patient on purpose, so its official split is counted and is no offence.
"""

from dataclasses import dataclass

from mammolibs.catalog.audit_inputs import SPLIT_CHOICES
from mammolibs.catalog.build import parse_source
from mammolibs.catalog.run_audit import parse_kind, run_audit
from mammolibs.pipeline.cli import option, run_script


@dataclass(frozen=True)
class Options:
    catalog: str = option("", "folder that holds catalog.parquet, or the table itself")
    source: tuple | None = option(None, "a data set whose official split is audited", parse=parse_source, metavar="NAME=PATH")
    csv: str = option("", "a table with a row per image")
    split: str | None = option(None, "which split (default: a catalog's own, a source's official one)", choices=SPLIT_CHOICES)
    id_column: str = option("", "CSV: ids of images, each once")
    split_column: str = option("", "CSV: which part an image is in; any words, two or more")
    group_column: str = option("", "CSV: the patient")
    patient_regex: str = option("", "CSV: or a pattern that finds the patient in the id, in its first group where it has one")
    image_column: str = option("", "CSV: the image file, relative to the table or absolute")
    exam_column: str = option("", "CSV: the exam")
    parent_column: str = option("", "CSV: id of the image that this one was made from, empty where from none")
    official_column: str = option("", "CSV: the part of the official split")
    pool: tuple = option((), "pretrained on: a catalog, NAME=PATH, or a CSV with these columns; may be repeated", parse=str, repeat=True)
    ignore: tuple = option((), "a kind of leak not to look for, such as 'official split'; may be repeated", parse=parse_kind, repeat=True)
    no_pixels: bool = option(False, "compare ids alone")
    workers: int = option(1, "processes that read images; 0 works in this one, without a time limit per file")
    cache: str = option("runs/audit", "folder for thumbnails of images that were read, and for unpacked archives")
    json: str = option("", "file for the whole verdict")
    key: str = option(
        "", "of the catalog's pseudonyms, for a --pool of your own patients (default: pseudonyms.key beside it)", metavar="FILE"
    )


if __name__ == "__main__":
    run_script(run_audit, Options, __doc__)
