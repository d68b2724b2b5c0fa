"""Makes a folder of synthetic exams in a pool of processes; the result does not depend on the pool."""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
from tqdm import tqdm

from mammolibs.errors import BadConfig, BadFile
from mammolibs.phantom.exam_files import Row, write_exam
from mammolibs.phantom.plan import Difficulty, plan_exam
from mammolibs.phantom.render import render
from mammolibs.phantom.traps import TRAPS
from mammolibs.storage import write_atomic, write_json

FORMAT = 1
ROWS = (512, 4096)
Writer = Callable[[int], tuple[list[Row], list[Row]]]


@dataclass(frozen=True, kw_only=True, eq=False)
class PhantomSet:
    """A folder of synthetic exams. truth, lesions: rows of the two tables, all values as text."""

    folder: Path
    settings: dict[str, Any]
    truth: tuple[dict[str, str], ...]
    lesions: tuple[dict[str, str], ...]


def make_phantoms(
    folder: str | Path,
    *,
    exams: int,
    rows: int = 1024,
    seed: int = 0,
    workers: int | None = None,
    traps: bool | Iterable[str] = True,
    difficulty: Difficulty = Difficulty(),
    progress: bool = True,
) -> PhantomSet:
    """The set of `exams` synthetic exams in `folder`: four DICOM images each, masks, tables.

    rows: of every image, 512 to 4096; the field of view in mm stays. seed: same seed, same
    bytes, whatever `workers` (default: all cores) and `exams` are. traps: all, none, or names
    out of TRAPS. A folder that already holds this very set is returned as it is.

    Raises BadConfig for a setting out of range, and for a folder that holds another set;
    BadFile where the folder cannot be written.
    """
    folder = Path(folder)
    names = _trap_names(traps)
    check_exams(exams)
    if not ROWS[0] <= rows <= ROWS[1]:
        raise BadConfig(f"rows {rows} is not between {ROWS[0]} and {ROWS[1]}; nearest allowed: {min(max(rows, ROWS[0]), ROWS[1])}")
    settings = {"format": FORMAT, "seed": seed, "exams": exams, "rows": rows, "traps": list(names), "difficulty": difficulty.level}
    return make_set(folder, settings, partial(_one_exam, folder, settings, difficulty), workers, progress)


def read_phantoms(folder: str | Path) -> PhantomSet:
    """The set that lies in `folder`. Raises BadFile where there is none."""
    folder = Path(folder)
    try:
        settings = json.loads((folder / "phantom.json").read_text())
        tables = [tuple(csv.DictReader(io.StringIO((folder / name).read_text()))) for name in ("truth.csv", "lesions.csv")]
    except (OSError, ValueError) as error:
        raise BadFile(folder, f"holds no complete set of phantoms ({error})", "make one with scripts/make_phantoms.py") from error
    return PhantomSet(folder=folder, settings=settings, truth=tables[0], lesions=tables[1])


def check_exams(exams: int) -> None:
    """Raises BadConfig where there is nothing to make."""
    if exams < 1:
        raise BadConfig(f"exams {exams} is below 1; nearest allowed: 1")


def make_set(folder: Path, settings: dict[str, Any], write: Writer, workers: int | None, progress: bool) -> PhantomSet:
    """The set of `settings` in `folder`, made unless it is there. write: files and rows of one exam, by its number from 0.

    Raises BadConfig for a folder that holds another set.
    """
    if not _made_before(folder, settings):
        _make(folder, settings, write, workers, progress)
    return read_phantoms(folder)


def _trap_names(traps: bool | Iterable[str]) -> tuple[str, ...]:
    if isinstance(traps, bool):
        return tuple(TRAPS) if traps else ()
    names = tuple(traps)
    unknown = [name for name in names if name not in TRAPS]
    if unknown:
        raise BadConfig(f"traps {', '.join(unknown)} are not known; allowed: {', '.join(TRAPS)}")
    return names


def _made_before(folder: Path, settings: dict[str, Any]) -> bool:
    if not (folder / "phantom.json").is_file():
        return False
    found = read_phantoms(folder).settings
    if found != settings:
        raise BadConfig(f"{folder} holds another set of phantoms ({found}); choose another folder or delete it")
    return True


def _make(folder: Path, settings: dict[str, Any], write: Writer, workers: int | None, progress: bool) -> None:
    numbers = range(settings["exams"])
    workers = min(workers or len(os.sched_getaffinity(0)), settings["exams"])
    truth: list[Row] = []
    lesions: list[Row] = []
    with tqdm(total=len(numbers), desc="phantoms", unit="exam", disable=not progress) as bar:
        for exam_truth, exam_lesions in _run(write, numbers, workers):
            truth += exam_truth
            lesions += exam_lesions
            bar.update()
    write_atomic(folder / "truth.csv", csv_bytes(truth))
    write_atomic(folder / "lesions.csv", csv_bytes(lesions, LESION_COLUMNS))
    write_json(folder / "phantom.json", settings)


LESION_COLUMNS = ("lesion_id", "image_id", "kind", "detail", "pathology", "centre_x", "centre_y", "size_mm", "area_px", "contrast", "mask")


def _run(write: Writer, numbers: range, workers: int):
    if workers == 1:
        yield from map(write, numbers)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        yield from pool.map(write, numbers)


def _one_exam(folder: Path, settings: dict[str, Any], difficulty: Difficulty, number: int) -> tuple[list[Row], list[Row]]:
    exam = plan_exam(settings["seed"], number, traps=tuple(settings["traps"]), difficulty=difficulty)
    return write_exam(folder, exam, lambda image: render(exam, image, settings["rows"]))


def csv_bytes(rows: list[Row], columns: tuple[str, ...] | None = None) -> bytes:
    """A table with a head, in UTF-8. columns: by default those of the first row."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=columns or list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
