"""Reading the label tables that come with data sets: CSV (also packed) and workbooks. Values come back as stripped text."""

from __future__ import annotations

import csv
import gzip
import io
import lzma
import zipfile
from collections.abc import Mapping
from pathlib import Path

from mammolibs.errors import BadFile

_REMEDY = "download it again; it is damaged or of another data set"


def read_text(path: Path) -> str:
    """The text of a file, unpacked where it ends in .xz or .gz. Raises BadFile."""
    opener = {".xz": lzma.open, ".gz": gzip.open}.get(path.suffix.lower(), open)
    try:
        with opener(path, "rb") as file:
            data = file.read()
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise BadFile(path, f"cannot be read ({error})", _REMEDY) from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def read_csv(path: Path, needed: tuple[str, ...], *, delimiter: str = ",") -> list[dict[str, str]]:
    """Rows of a CSV as dicts, headers and cells stripped. Raises BadFile where a needed column is missing."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), delimiter=delimiter)
    try:
        rows = [row for row in reader if row]
    except csv.Error as error:
        raise BadFile(path, f"is no CSV ({error})", _REMEDY) from error
    return _as_dicts(path, rows, needed)


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
        found[sheet] = _as_dicts(path, [row + [""] * (width - len(row)) for row in rows if any(row)], columns)
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


def _as_dicts(path: Path, rows: list[list[str]], needed: tuple[str, ...]) -> list[dict[str, str]]:
    header = [name.strip() for name in rows[0]] if rows else []
    missing = [name for name in needed if name not in header]
    if missing:
        raise BadFile(path, f"has no column {', '.join(missing)}", _REMEDY)
    short = next((i for i, row in enumerate(rows[1:], start=2) if len(row) < len(header)), None)
    if short is not None:
        raise BadFile(path, f"row {short} is cut short", _REMEDY)
    return [{name: cell.strip() for name, cell in zip(header, row, strict=False)} for row in rows[1:]]
