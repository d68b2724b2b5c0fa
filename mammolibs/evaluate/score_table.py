"""Anybody's table of scores: one row per image, breast or patient, read strictly."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mammolibs.errors import BadConfig, BadData, BadFile
from mammolibs.evaluate.ranked import Ranked

TRUE = ("1", "1.0", "true", "yes", "malignant", "positive")
FALSE = ("0", "0.0", "false", "no", "benign", "normal", "negative")
UNKNOWN = ("", "-1", "unknown", "na", "n/a", "none")
REMEDY = "mend the table, or name another column"
# Between a patient and a breast; numpy drops a NUL at the end of a text.
_BETWEEN = "\x1f"


@dataclass(frozen=True, kw_only=True)
class ScoreColumns:
    """Which column holds what; empty where the table has none. second: another model's scores of the same rows."""

    score: str
    truth: str
    patient: str
    image: str = ""
    breast: str = ""
    source: str = ""
    second: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreTable:
    """The rows that have a known truth. unit: what a row is. scores, second: float (n,). labels: int (n,), 1 or 0.

    patients, breasts, sources: str (n,), breasts and sources None without such a column.
    unread: (patient, breast) of the rows that were left out because nobody says whether they are positive.
    """

    unit: str
    scores: np.ndarray
    labels: np.ndarray
    patients: np.ndarray
    breasts: np.ndarray | None
    sources: np.ndarray | None
    second: np.ndarray | None
    unread: tuple[tuple[str, str], ...]

    def ranked(self, level: str = "", scores: np.ndarray | None = None) -> Ranked:
        """The rows, or (level "breast" or "patient") the highest score of each.

        Such a unit is positive where any row is, negative where all are known not to be, and else left out.
        """
        scores = self.scores if scores is None else scores
        if level in ("", self.unit):
            return Ranked(scores, self.labels, self.patients, self.unit)
        keys, first, group = np.unique(_keys(level, self.patients, self.breasts), return_index=True, return_inverse=True)
        highest, positive = np.full(len(first), -np.inf), np.zeros(len(first), int)
        np.maximum.at(highest, group, scores)
        np.maximum.at(positive, group, self.labels)
        known = (positive == 1) | ~np.isin(keys, _keys(level, *np.array(self.unread, str).reshape(-1, 2).T))
        return Ranked(highest[known], positive[known], self.patients[first][known], level)

    @property
    def levels(self) -> list[str]:
        """The unit of a row, then what rows can be put together to."""
        wider = [name for name, there in (("breast", self.breasts is not None), ("patient", True)) if there and name != self.unit]
        return [self.unit, *wider]


def read_scores(path: str | Path, columns: ScoreColumns) -> ScoreTable:
    """The table, a CSV with a head (`,` `;` or tab).

    Truth is 1 or 0, or a word that says so; where it is empty the row is left out and counted. Raises BadFile for a
    file that is no such table, BadConfig for a column that is not there, BadData for a
    score that is no finite number, a truth that is none, a row without patient or breast, and an image that comes twice.
    """
    records = _read(Path(path), [name for name in vars(columns).values() if name])
    words = (columns.patient, columns.image, columns.breast, columns.source)
    rows, unread = [], []
    for line, record in records:
        label = _truth(path, line, columns.truth, record[columns.truth])
        for what in ("patient", "breast"):
            if (name := getattr(columns, what)) and not record[name].strip():
                raise BadData(f"{path}, line {line}: {name} is empty; every row needs its {what}")
        scores = [_number(path, line, name, record[name]) for name in (columns.score, columns.second) if name]
        patient, image, breast, source = (record[name].strip() if name else "" for name in words)
        if label is None:
            unread.append((patient, breast))
        else:
            rows.append((label, scores, patient, image, breast, source))
    labels, scores, patients, images, breasts, sources = zip(*rows, strict=True) if rows else ((),) * 6
    if columns.image:
        _refuse_twice(path, columns.image, images)
    values = np.array(scores, float).reshape(len(rows), 1 + bool(columns.second))
    return ScoreTable(
        unit=_unit(columns, patients),
        scores=values[:, 0],
        labels=np.array(labels, int),
        patients=np.array(patients, str),
        breasts=np.array(breasts, str) if columns.breast else None,
        sources=np.array(sources, str) if columns.source else None,
        second=values[:, 1] if columns.second else None,
        unread=tuple(unread),
    )


def _keys(level: str, patients: np.ndarray, breasts: np.ndarray | None) -> np.ndarray:
    """What rows of one unit have in common."""
    return patients if level == "patient" else np.char.add(np.char.add(patients, _BETWEEN), breasts)


def _unit(columns: ScoreColumns, patients: Sequence[str]) -> str:
    if columns.image:
        return "image"
    if columns.breast:
        return "breast"
    return "patient" if len(set(patients)) == len(patients) else "image"


def _read(path: Path, wanted: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise BadFile(path, "is not there", "check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(path, f"cannot be read ({error})", "give a CSV in UTF-8") from error
    head = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=head.count)
    try:
        reader = csv.reader(io.StringIO(text), delimiter=delimiter)
        rows = [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
    except csv.Error as error:
        raise BadFile(path, f"is no CSV ({error})", "give a CSV with a head") from error
    if len(rows) < 2:
        raise BadFile(path, "holds no rows", "give a CSV with a head and a row per image")
    names = [name.strip() for name in rows[0][1]]
    for name in wanted:
        if name not in names:
            raise BadConfig(f"{path}: no column {name!r}; there are {', '.join(names)}")
        if names.count(name) > 1:
            raise BadConfig(f"{path}: {names.count(name)} columns are called {name!r}; {REMEDY}")
    for number, row in rows[1:]:
        if len(row) != len(names):
            raise BadFile(path, f"line {number} has {len(row)} cells, the head {len(names)}", REMEDY)
    return [(number, dict(zip(names, row, strict=True))) for number, row in rows[1:]]


def _truth(path: str | Path, line: int, column: str, text: str) -> int | None:
    word = text.strip().lower()
    if word in UNKNOWN:
        return None
    if word in TRUE or word in FALSE:
        return int(word in TRUE)
    expected = "expected 1 or 0 (or malignant, benign, normal; empty for unknown)"
    raise BadData(f"{path}, line {line}: {column} is {text!r}, {expected}; {REMEDY}")


def _number(path: str | Path, line: int, column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadData(f"{path}, line {line}: {column} is {text!r}, expected a number; {REMEDY}")
    return value


def _refuse_twice(path: str | Path, column: str, images: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in images:
        if name in seen:
            raise BadData(f"{path}: {column} {name!r} comes twice; one row per image")
        seen.add(name)
