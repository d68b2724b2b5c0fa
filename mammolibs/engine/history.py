"""One row per iteration in history.csv."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any

from mammolibs.errors import BadFile
from mammolibs.records import Estimate
from mammolibs.storage import write_atomic

HISTORY_NAME = "history.csv"


def read_history(folder: Path) -> list[dict[str, float]]:
    """Rows in order, empty cells left out; an empty list where there is no file.

    Raises BadFile for a cell that is not a number.
    """
    path = Path(folder) / HISTORY_NAME
    if not path.exists():
        return []
    try:
        with open(path, newline="") as file:
            return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
    except (ValueError, AttributeError) as error:
        raise BadFile(path, f"is not a history ({error})", "delete it, or start the stage afresh with --pretrain no") from error


def write_history(folder: Path, rows: list[dict[str, float]]) -> None:
    """Write all rows, whole or not at all; columns in order of first appearance."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(Path(folder) / HISTORY_NAME, text.getvalue().encode())


def figure(value: float | Estimate | None) -> float | None:
    """The number in a validation figure; None where there is none, or where it is not finite."""
    number = value.value if isinstance(value, Estimate) else value
    return None if number is None or not math.isfinite(number) else float(number)


def figures(metrics: dict[str, Any]) -> dict[str, float]:
    """The numbers of all validation figures that have one."""
    numbers = {name: figure(value) for name, value in metrics.items()}
    return {name: number for name, number in numbers.items() if number is not None}
