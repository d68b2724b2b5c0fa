"""Reading label tables, of data sets and of anybody: CSV (also packed) and workbooks. Values come back as stripped text."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import itertools
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, TypeVar

from mammolibs.errors import BadFile

T = TypeVar("T")

# Excel writes a mark in front of UTF-8; older programs write western Latin.
_ENCODINGS = ("utf-8-sig", "latin-1")
# Between the columns of tables that programs write where the comma is in numbers.
GUESSED = (";", "\t")
_REMEDY = "download it again; it is damaged or of another data set"
_UNSHIFT = "name every column, row names too, and put a cell that holds a comma in quotes"


def read_text(path: Path) -> str:
    """The text of a file, unpacked where it ends in .xz or .gz. Raises BadFile."""
    with _opened(path) as file:
        data = file.read()
    try:
        return data.decode(_ENCODINGS[0])
    except UnicodeDecodeError:
        return data.decode(_ENCODINGS[1])


def read_csv(path: Path, needed: tuple[str, ...], *, also: tuple[str, ...] | None = None, delimiter: str = "") -> list[dict[str, str]]:
    """Rows of a CSV as dicts, headers and cells stripped. Raises BadFile where a needed column is missing, where one
    that is named here stands there twice, and for a row that is longer or shorter than the header.

    delimiter: between columns; without it the comma, or what a header of one column by commas holds of `GUESSED`.

    also: columns that are kept where they are there; others than these and the needed ones are
    dropped while reading, which a table of many columns asks for. None keeps all.
    """
    return _with_encoding(path, delimiter, lambda rows: _as_dicts(path, rows, needed, also))


def read_columns(path: Path, *, delimiter: str = "") -> tuple[str, ...]:
    """The names of a CSV's columns, stripped; none of an empty file. delimiter: as of `read_csv`. Raises BadFile."""
    return _with_encoding(path, delimiter, lambda rows: tuple(name.strip() for name in next(rows, ())))


def _with_encoding(path: Path, delimiter: str, read: Callable[[Iterator[list[str]]], T]) -> T:
    """What is read of a CSV's rows that are not empty, one after the other, by the first encoding that fits all of what is read."""
    for encoding in _ENCODINGS:
        try:
            with _opened(path) as file, io.TextIOWrapper(file, encoding, newline="") as text:
                header = next((line for line in text if line.strip()), "")
                rows = csv.reader(itertools.chain([header], text), delimiter=delimiter or _guess(header))
                return read(row for row in rows if row)
        except UnicodeDecodeError:
            continue
        except csv.Error as error:
            raise BadFile(path, f"is no CSV ({error})", _REMEDY) from error
    raise AssertionError("every byte is a character of the last encoding")


def _guess(header: str) -> str:
    """A name may hold a semicolon, so that it tells of columns only where commas do not."""
    columns = {mark: len(next(csv.reader([header], delimiter=mark), ())) for mark in (",", *GUESSED)}
    return "," if columns[","] > 1 else max(columns, key=columns.__getitem__)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, unpacked. What goes wrong with them is a BadFile."""
    opener = {".xz": lzma.open, ".gz": gzip.open}.get(path.suffix.lower(), open)
    try:
        with opener(path, "rb") as file:
            yield file
    except FileNotFoundError as error:
        raise BadFile(path, "is not there", "check the path") from error
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise BadFile(path, f"cannot be read ({error})", _REMEDY) from error


def read_sheets(path: Path, needed: Mapping[str, tuple[str, ...]], *, above: int = 0) -> dict[str, list[dict[str, str]]]:
    """Sheet -> rows as dicts, of an .xlsx or .xls workbook. needed: sheet -> columns. above: rows over the columns' names.

    Raises BadFile where a sheet or a column is missing.
    """
    read = _read_xls if path.suffix.lower() == ".xls" else _read_xlsx
    sheets = read(path, tuple(needed))
    found = {}
    for sheet, columns in needed.items():
        if sheet not in sheets:
            raise BadFile(path, f"has no sheet {sheet!r}", _REMEDY)
        rows = [["" if cell is None else str(cell) for cell in row] for row in sheets[sheet][above:]]
        width = max(map(len, rows), default=0)
        found[sheet] = _as_dicts(path, (row + [""] * (width - len(row)) for row in rows if any(row)), columns)
    return found


def _read_xlsx(path: Path, wanted: tuple[str, ...]) -> dict[str, list[tuple]]:
    """Sheet -> rows of cells, of those wanted sheets that are there. Raises BadFile."""
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, InvalidFileException) as error:
        raise BadFile(path, f"is no workbook ({error})", _REMEDY) from error
    try:
        return {sheet: list(book[sheet].iter_rows(values_only=True)) for sheet in wanted if sheet in book.sheetnames}
    finally:
        book.close()


def _read_xls(path: Path, wanted: tuple[str, ...]) -> dict[str, list[list]]:
    """As `_read_xlsx`, of the older format, which knows no whole numbers: 3.0 comes back as 3."""
    import xlrd

    try:
        book = xlrd.open_workbook(path, logfile=io.StringIO())
    # On a damaged file its parser meets whatever the bytes lead it to.
    except Exception as error:
        raise BadFile(path, f"is no workbook ({error})", _REMEDY) from error
    there = [sheet for sheet in wanted if sheet in book.sheet_names()]
    return {sheet: [[_whole(cell.value) for cell in row] for row in book.sheet_by_name(sheet)] for sheet in there}


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _as_dicts(path: Path, rows: Iterator[list[str]], needed: tuple[str, ...], also: tuple[str, ...] | None = None) -> list[dict[str, str]]:
    header = [name.strip() for name in next(rows, ())]
    missing = [name for name in needed if name not in header]
    if missing:
        raise BadFile(path, f"has no column {', '.join(missing)}", _REMEDY)
    twice = [name for name in dict.fromkeys((*needed, *(also or ()))) if header.count(name) > 1]
    if twice:
        raise BadFile(path, f"has the column {twice[0]} {header.count(twice[0])} times", "give each column a name of its own")
    kept = [(place, name) for place, name in enumerate(header) if also is None or name in needed or name in also]
    records = []
    for number, row in enumerate(rows, start=2):
        if len(row) < len(header):
            raise BadFile(path, f"row {number} is cut short", _REMEDY)
        # A comma too many shifts what follows. Programs that end every row with one leave the cell after it empty.
        if any(cell.strip() for cell in row[len(header) :]):
            raise BadFile(path, f"row {number} has more cells than the header", _UNSHIFT)
        records.append({name: row[place].strip() for place, name in kept})
    return records
