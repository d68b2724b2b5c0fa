"""Any CSV table of anybody, one row per image or per finding, with its columns mapped by options.

An option named like one of our fields names the table's column for it; without the option
the column has the field's own name. `path` (of the image, relative to the table or
absolute) and `patient` must be there, the rest may be missing. What the table does not say
is unknown, or what the image's header says; it is never guessed. Several rows of one
image are its findings, and must agree on whose image it is.
"""

from __future__ import annotations

import difflib
import os
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mammolibs.catalog.headers import Headers
from mammolibs.catalog.label_tables import read_columns, read_csv
from mammolibs.catalog.layout import Layout
from mammolibs.catalog.outlines import box, refuse_outside
from mammolibs.catalog.source import ANY, Source, SourceResult, collect
from mammolibs.catalog.words import (
    ACR_DENSITY,
    KIND_WORDS,
    LATERALITY_WORDS,
    PATHOLOGY_WORDS,
    VIEW_WORDS,
    filled,
    issued,
    make_id,
    make_person,
    number,
    whole,
    worst_birads,
    worst_pathology,
)
from mammolibs.errors import BadConfig, BadData, BadFile
from mammolibs.records import TRUTHS, UNKNOWN, ImageFacts, ImageRow, Lesion, Outline

NEEDED = ("path", "patient")
BOX = ("x0", "y0", "x1", "y1")
OPTIONAL = ("exam", "laterality", "view", "pathology", "birads", "density", "age", "spacing_mm", "split", "kind", "mask", *BOX)
LABELS = ("malignant", "benign", "normal")
TABLES = (".csv", ".csv.gz", ".csv.xz")
SEPARATORS = {"guess": "", ",": ",", ";": ";", "tab": "\t"}
# Rows of one image that differ here are not of one image.
_ONE_VALUE = ("patient", "exam", "laterality", "view", "age", "density", "spacing_mm")
# What no message shows.
_PERSON = ("patient", "exam")
# How programs that write tables spell a cell that is empty.
_SHOWN_WORDS = 5


@dataclass(frozen=True)
class Table:
    """The table's rows with our names for its columns; "" where a column is missing, which `missing` lists."""

    path: Path
    records: list[dict[str, str]]
    missing: tuple[str, ...]


def read(root: Path, options: Mapping[str, str]) -> SourceResult:
    """One row per image that the table names and that is on the disk."""
    files = Layout(root)
    result = SourceResult()
    table = read_table(files, options)
    images: dict[Path, list[dict[str, str]]] = defaultdict(list)
    for line, record in enumerate(table.records, start=2):
        if record["path"]:
            images[_resolve(table, record["path"])].append(record)
        else:
            result.skip(f"{table.path.name} row {line}", "names no image")
    present = [(path, records) for path, records in images.items() if path.is_file()]
    if not present:
        raise files.refuse_empty(f"those that {table.path.name} names" + (f" (first {next(iter(images))})" if images else ""))
    result.absent = len(images) - len(present)
    if table.missing:
        result.notes.append(f"no column for {', '.join(table.missing)}: unknown, or what the images' headers say")
    reader = _Reader(files, table, options)
    headers = Headers(path for path, _ in present)
    collect(result, present, lambda item: reader.row(*item, headers[item[0]]), describe=lambda item: item[0])
    reader.add_notes(result)
    return result


def read_table(files: Layout, options: Mapping[str, str]) -> Table:
    """The one CSV of the folder, or the one that is asked for. Raises BadFile for none or several, BadConfig for a column that it lacks."""
    path = files.need_table(options["table"]) if options["table"] else _only_table(files)
    delimiter = SEPARATORS[options["separator"]]
    columns = {name: options[name] for name in (*NEEDED, *OPTIONAL)}
    records = read_csv(path, (), also=tuple(columns.values()), delimiter=delimiter)
    if not records:
        raise BadFile(path, "holds no row", "give a table with a row per image")
    there = read_columns(path, delimiter=delimiter)
    for name, column in columns.items():
        if column not in there and (name in NEEDED or column != name):
            near = difflib.get_close_matches(column, there, n=1)
            raise BadConfig(
                f"csv.{name}: {path} has no column {column}; write --option csv.{name}=COLUMN"
                + (f"; did you mean {near[0]}" if near else "")
                + f"; it has {', '.join(there)}"
            )
    named = [{name: filled(record.get(column, "")) for name, column in columns.items()} for record in records]
    return Table(path, named, tuple(name for name in OPTIONAL if columns[name] not in there))


def _only_table(files: Layout) -> Path:
    tables = [path for path in files.files if path.name.lower().endswith(TABLES)]
    if not tables:
        raise BadFile(files.root, "holds no CSV table", "put the table beside the images or above them")
    if len(tables) > 1:
        names = ", ".join(files.relative(path) for path in tables[:4])
        raise BadFile(files.root, f"holds {len(tables)} CSV tables ({names})", "say which with --option csv.table=NAME")
    return tables[0]


def _resolve(table: Table, cell: str) -> Path:
    return Path(os.path.abspath(table.path.parent / cell.replace("\\", "/")))


def label_words(options: Mapping[str, str]) -> dict[str, str]:
    """Word of the pathology column -> our label: the known words, and those that the options name. Raises BadConfig for one named twice."""
    named: dict[str, str] = {}
    for label in LABELS:
        for word in filter(None, (part.strip().lower() for part in options[label].split(","))):
            if word in named:
                raise BadConfig(f"csv.{label}={options[label]}: {word!r} is already {named[word]}; name a word once")
            named[word] = label
    return PATHOLOGY_WORDS | named


class _Reader:
    """Rows from the table's rows of each image; counts the words that nobody maps."""

    def __init__(self, files: Layout, table: Table, options: Mapping[str, str]):
        self.files = files
        self.table = table
        self.truth, self.licence, self.issuer = options["truth"], options["licence"], options["issuer"].strip()
        self.labels = label_words(options)
        self.unmapped: dict[str, Counter[str]] = defaultdict(Counter)
        self.splits: dict[str, set[str]] = defaultdict(set)
        self.lost_masks = 0

    def row(self, path: Path, records: list[dict[str, str]], facts: ImageFacts) -> ImageRow:
        first = records[0]
        for name in _ONE_VALUE:
            if len(said := {record[name] for record in records}) > 1:
                told = "" if name in _PERSON else f": {', '.join(sorted(said))}"
                raise BadData(f"its rows differ in {name}{told}")
        if not first["patient"]:
            raise BadData("has no patient in the table, so it could end on both sides of a split")
        name = self.files.relative(path) if path.is_relative_to(self.files.root) else str(path)
        image_id, patient = make_id("csv", name), make_person("csv", issued(first["patient"], self.issuer))
        lesions = tuple(lesion for place, record in enumerate(records, start=1) if (lesion := self._lesion(record, f"{image_id}-{place}")))
        refuse_outside(lesions, facts.rows, facts.columns)
        pathology = worst_pathology(self._word(record, "pathology", self.labels) for record in records)
        if lesions and pathology == "normal":
            raise BadData("is normal in the table, and has a lesion")
        splits = {record["split"] for record in records if record["split"]}
        self.splits[patient] |= splits
        age, spacing_mm = whole(first["age"], "age"), number(first["spacing_mm"], "spacing_mm")
        if spacing_mm is not None and spacing_mm <= 0:
            raise BadData(f"spacing_mm is {first['spacing_mm']}")
        laterality, view = self._word(first, "laterality", LATERALITY_WORDS), self._word(first, "view", VIEW_WORDS)
        return ImageRow(
            image_id=image_id,
            source="csv",
            patient_id=patient,
            exam_id=f"{patient}/{first['exam']}" if first["exam"] else patient,
            path=str(path),
            frame=facts.frames // 2,
            laterality=laterality if first["laterality"] else facts.laterality,
            view=view if first["view"] else facts.view,
            pathology=pathology,
            truth=self.truth if pathology != UNKNOWN else UNKNOWN,
            birads=worst_birads(record["birads"] for record in records),
            density=ACR_DENSITY.get(first["density"].lower(), first["density"]),
            lesions=lesions,
            official_split="mixed" if len(splits) > 1 else next(iter(splits), ""),
            maker=facts.manufacturer,
            spacing_mm=facts.spacing_mm if spacing_mm is None else spacing_mm,
            bits=facts.bits_stored,
            age_years=facts.age_years if age is None else age,
            licence=self.licence,
        )

    def _word(self, record: Mapping[str, str], name: str, words: Mapping[str, str], otherwise: str = UNKNOWN) -> str:
        plain = record[name].lower()
        if plain not in words:
            self.unmapped[name][record[name]] += 1
        return words.get(plain, otherwise)

    def _lesion(self, record: Mapping[str, str], lesion_id: str) -> Lesion | None:
        """The lesion of one row; None where the row has neither mask nor box nor kind."""
        if not any(record[name] for name in ("mask", "kind", *BOX)):
            return None
        corners = [number(record[name], name) for name in BOX]
        outline = Outline(shape="none")
        if record["mask"]:
            mask = _resolve(self.table, record["mask"])
            if mask.is_file():
                outline = Outline(shape="mask", path=str(mask))
            else:
                self.lost_masks += 1
        elif any(corner is not None for corner in corners):
            if None in corners:
                raise BadData(f"a box lacks {', '.join(name for name, corner in zip(BOX, corners, strict=True) if corner is None)}")
            outline = box(*corners)
        return Lesion(
            lesion_id=lesion_id,
            kind=self._word(record, "kind", KIND_WORDS | {"": "other"}, "other"),
            pathology=self._word(record, "pathology", self.labels),
            outline=outline,
        )

    def add_notes(self, result: SourceResult) -> None:
        """What was not understood, with its words."""
        for name, words in self.unmapped.items():
            shown = ", ".join(repr(word) for word, _ in words.most_common(_SHOWN_WORDS))
            remedy = "; map them with csv.malignant, csv.benign, csv.normal" if name == "pathology" else ""
            result.note_count(words.total(), f"words for {name} that nobody knows, left unknown ({shown}{remedy})")
        result.note_count(sum(row.pathology == UNKNOWN for row in result.rows), "images whose pathology is unknown")
        result.note_count(self.lost_masks, "lesions whose mask is not on the disk (kept without a place)")
        crossing = sum(len(splits) > 1 for splits in self.splits.values())
        result.note_count(crossing, "patients on several sides of the table's split (which is kept as a column and not used)")


SOURCE = Source(
    "csv",
    "any CSV table, columns mapped by options",
    read,
    {"table": ("", ANY), "separator": tuple(SEPARATORS), "issuer": ("", ANY)}
    | {name: (name, ANY) for name in (*NEEDED, *OPTIONAL)}
    | {label: ("", ANY) for label in LABELS}
    | {"truth": (UNKNOWN, *(truth for truth in TRUTHS if truth != UNKNOWN)), "licence": ("not stated", ANY)},
    lists=TABLES,
    private_ids=True,
)
