"""Loss curves from the history.csv of each stage."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from mammolibs.errors import BadFile
from mammolibs.evaluate.figures import COLOURS, dress, new_figure, to_png

HistoryFiles = Mapping[str, str | Path | Mapping[str, str | Path]]


def read_columns(path: str | Path) -> dict[str, list[tuple[float, float]]]:
    """(iteration, value) per column of a history; rows count where there is no iteration column; empty cells are left out.

    Raises BadFile where the file cannot be read or holds words.
    """
    try:
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
        points: dict[str, list[tuple[float, float]]] = {}
        for number, row in enumerate(rows, 1):
            at = float(row.get("iteration") or number)
            for name, cell in row.items():
                if cell and name != "iteration":
                    points.setdefault(name, []).append((at, float(cell)))
    except (OSError, ValueError, TypeError) as error:
        raise BadFile(path, f"is not a history ({error})", "delete it; the stage writes it again") from error
    return points


def loss_figure(title: str, files: Mapping[str, str | Path]) -> bytes | None:
    """Left the losses, right the validation figures, by iteration; a line per column and run. None where nothing was recorded.

    files: name of the run ("" where there is one only) -> its history.csv.
    """
    lines: dict[bool, list[tuple[str, str, list[tuple[float, float]]]]] = {True: [], False: []}
    for run, path in files.items():
        for name, points in read_columns(path).items():
            if is_curve(name):
                lines["loss" in name].append((run, name, points))
    kinds = [kind for kind in (True, False) if lines[kind]]
    if not kinds:
        return None
    figure, panels = new_figure(4.3 * len(kinds), 3.0, len(kinds))
    runs = list(files)
    for kind, axes in zip(kinds, panels, strict=True):
        names = list(dict.fromkeys(name for _, name, _ in lines[kind]))
        for run, name, points in lines[kind]:
            style = ("-", "--", ":", "-.")[runs.index(run) % 4]
            label = f"{name.replace('_', ' ')}{f', {run}' if run else ''}"
            x, y = zip(*points, strict=True)
            marker = "o" if len(points) < 3 else ""
            axes.plot(x, y, style, marker=marker, color=COLOURS[names.index(name) % len(COLOURS)], linewidth=1.5, label=label)
        dress(axes, f"{title}: {'loss' if kind else 'validation'}", "iteration", "")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(fontsize=7, frameon=False)
    return to_png(figure)


def is_curve(name: str) -> bool:
    """True for a column that a reader wants to see: no clock, no learning rate, no counter."""
    hidden = ("second", "wait", "lr", "rate", "step", "norm", "time", "images")
    return not any(word in name.lower().split("_") or name.lower().startswith(word) for word in hidden)


def as_runs(entry: str | Path | Mapping[str, str | Path]) -> dict[str, str | Path]:
    """One path, or several by name, as several by name; what is not there is left out."""
    runs = dict(entry) if isinstance(entry, Mapping) else {"": entry}
    return {name: path for name, path in runs.items() if Path(path).is_file()}
