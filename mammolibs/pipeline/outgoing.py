"""One file on its way to a bucket: a DICOM image de-identified, a label table by the same pseudonyms, another file as it is."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
import numpy as np

from mammolibs.catalog import read_catalog, read_skipped, write_catalog, write_skipped
from mammolibs.catalog.audit_inputs import CATALOG
from mammolibs.catalog.label_tables import read_csv
from mammolibs.errors import BadConfig, BadFile
from mammolibs.imaging import Pseudonyms, deidentify_file, read_mammogram
from mammolibs.imaging.burned_text import LEAST_LETTERS_THAT_STAY, THOROUGH, burned_in_letters
from mammolibs.imaging.deidentify_inside import refuse_as_is
from mammolibs.ingest.gate import breast_place
from mammolibs.ingest.report import DONE_NAME, copy_done
from mammolibs.prepare import Contract, locate
from mammolibs.storage import Store

# What a catalog's folder and a folder of shards hold beside shards and indexes.
NAMES_FILES = (CATALOG, DONE_NAME, "skipped.csv")
KINDS = ("patient", "accession", "uid", "date", "file", "keep")


@dataclass(frozen=True)
class Job:
    """A file and the object that it becomes. there: (bytes, crc32c) of what lies there already. as_is: it is no DICOM image."""

    path: Path
    name: str
    there: tuple[int, int] | None
    as_is: bool = False


def send_image(job: Job, *, store: Store, pseudonyms: Pseudonyms) -> int:
    """De-identify and send one DICOM image file; the bytes that went over, 0 where the bucket has them. Raises BadFile."""
    if job.as_is:
        return send_as_is(job, store=store)
    made = deidentify_file(job.path, pseudonyms)
    if not _is_there(job, made.data):
        for frame in range(made.frames):
            _refuse_text(job.path, frame)
    return send_bytes(job, made.data, store)


def send_as_is(job: Job, *, store: Store) -> int:
    """Send one file unchanged; the bytes that went over, 0 where the bucket has them. Raises BadFile for what is or holds DICOM."""
    refuse_as_is(job.path)
    return send_bytes(job, job.path.read_bytes(), store)


def send_without_places(path: Path, address: str) -> None:
    """Send one of `NAMES_FILES` as it is written to a bucket: naming no file of this machine. Raises BadFile for another kind of file."""
    if path.name == CATALOG:
        write_catalog(address, read_catalog(path))
    elif path.name == DONE_NAME:
        copy_done(path.parent, address.rpartition("/")[0])
    else:
        write_skipped(address, read_skipped(path))


def send_bytes(job: Job, data: bytes, store: Store) -> int:
    """Send a file's bytes as the job's object; how many went over, 0 where the bucket has them."""
    if _is_there(job, data):
        return 0
    store.write(job.name, data)
    return len(data)


def parse_table(text: str) -> tuple[str, dict[str, str]]:
    """(file, column -> kind) from "FILE:COLUMN=KIND,...". Raises BadConfig."""
    file, _, rest = text.partition(":")
    columns = dict(part.rpartition("=")[::2] for part in rest.split(","))
    wrong = [kind for kind in columns.values() if kind not in KINDS]
    if not file or not all(columns) or wrong or list(columns.values()).count("patient") > 1:
        raise BadConfig(f"--tables {text}: write FILE:COLUMN=KIND,COLUMN=KIND with kinds {', '.join(KINDS)}, patient once at most")
    if "date" in columns.values() and "patient" not in columns.values():
        raise BadConfig(f"--tables {text}: a date moves by its patient's days; name the patient column too")
    return file, columns


def map_table(
    path: Path, columns: Mapping[str, str], pseudonyms: Pseudonyms, names: Mapping[str, str], issuer: str = ""
) -> tuple[bytes, list[int]]:
    """A CSV with its named columns alone, and the lines that were left out because they name a file that was not sent.

    names: path or name of a file -> its object. Raises BadFile where the table lacks a column, and for a date that is none.
    """
    text, left_out = io.StringIO(newline=""), []
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for line, row in enumerate(read_csv(path, tuple(columns)), start=2):
        person = next((pseudonyms.person(row[column], issuer) for column, kind in columns.items() if kind == "patient"), "")
        cells = [_cell(row[column], kind, person, pseudonyms, names) for column, kind in columns.items()]
        lost = [kind for (column, kind), cell in zip(columns.items(), cells, strict=True) if row[column] and not cell]
        if "date" in lost:
            raise BadFile(path, f"line {line} has a date that is not written as YYYYMMDD or YYYY-MM-DD", "mend it, or leave the column out")
        if lost:
            left_out.append(line)
        else:
            writer.writerow(cells)
    return text.getvalue().encode(), left_out


def _cell(cell: str, kind: str, person: str, pseudonyms: Pseudonyms, names: Mapping[str, str]) -> str:
    if kind == "keep" or not cell:
        return cell
    if kind == "date":
        return pseudonyms.date(person, cell)
    if kind == "file":
        return names.get(cell.replace("\\", "/").removeprefix("./"), "")
    if kind == "uid":
        return pseudonyms.uid(cell)
    return pseudonyms.text(kind, person if kind == "patient" else cell)


def _is_there(job: Job, data: bytes) -> bool:
    return job.there == (len(data), google_crc32c.value(data))


def _refuse_text(path: Path, frame: int) -> None:
    """Where no breast is found, letters are looked for everywhere."""
    mammogram = read_mammogram(path, frame=frame)
    try:
        breast = breast_place(locate(mammogram, Contract())).mask
    except BadFile:
        breast = np.zeros((1, 1), bool)
    letters = burned_in_letters(mammogram.pixels, breast, THOROUGH)
    if letters >= LEAST_LETTERS_THAT_STAY:
        raise BadFile(path, f"{letters} letters stand in lines in its pixels", "blank them with another program first, or leave it out")
