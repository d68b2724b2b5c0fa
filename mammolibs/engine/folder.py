"""A stage's folder: one writer, weights by iteration, the best of them, and earlier results moved aside."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mammolibs.engine.checkpoint import STATE_FOLDER
from mammolibs.engine.history import HISTORY_NAME, read_history, write_history
from mammolibs.errors import BadFile
from mammolibs.storage import write_json

LOCK_NAME = ".lock"
BEST_NAME = "best.json"
WEIGHT_ENDINGS = (".pth", ".safetensors", ".json")
_WEIGHTS = re.compile(r"model_iter_(\d+)\.(?:pth|safetensors|json)")


@dataclass(frozen=True, kw_only=True)
class Best:
    """The iteration with the best validation figure so far; value None where none had a figure."""

    iteration: int
    metric: str
    value: float | None


@contextlib.contextmanager
def claim(folder: Path | str) -> Iterator[Path]:
    """The folder, made if need be, as its only writer for the length of the block.

    Raises BadFile where another process holds it or it cannot be written. A process that
    died holds nothing. What it left half written is removed.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / LOCK_NAME, "a+")
    except OSError as error:
        raise BadFile(folder, f"cannot be written ({error.strerror})", "choose a --run that you may write to") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "another process"
            raise BadFile(folder, f"is in use by {owner}", "wait until it has ended, or take another --run") from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()}")
        lock.flush()
        for pattern in (".model_iter_*", f".{BEST_NAME}.*", f".{HISTORY_NAME}.*", f"{STATE_FOLDER}/.*.pt.*"):
            for left_over in folder.glob(pattern):
                left_over.unlink(missing_ok=True)
        yield folder


def weights_stem(folder: Path, iteration: int) -> Path:
    """Where the weights of an iteration lie, without the ending."""
    return Path(folder) / f"model_iter_{iteration}"


def saved_iterations(folder: Path) -> list[int]:
    """Iterations whose weights lie in the folder, in order."""
    return sorted({int(m[1]) for p in Path(folder).glob("model_iter_*.safetensors") if (m := _WEIGHTS.fullmatch(p.name))})


def prune_weights(folder: Path, keep: set[int], keep_every: int) -> None:
    """Remove the weights of all iterations but these and every keep_every-th."""
    for iteration in saved_iterations(folder):
        if iteration not in keep and iteration % keep_every:
            for ending in WEIGHT_ENDINGS:
                weights_stem(folder, iteration).with_suffix(ending).unlink(missing_ok=True)


def read_best(folder: Path, monitor: str, higher_is_better: bool, up_to: int) -> Best | None:
    """The best iteration so far whose weights are there, none after `up_to` unless best.json itself names it."""
    there = set(saved_iterations(folder))
    path = Path(folder) / BEST_NAME
    try:
        best = Best(**json.loads(path.read_text()))
        if best.metric == monitor and best.iteration in there:
            return best
    except (OSError, ValueError, TypeError):
        pass
    rows = [row for row in read_history(folder) if row["iteration"] <= up_to and int(row["iteration"]) in there and monitor in row]
    if not rows:
        return None
    row = max(rows, key=lambda row: row[monitor] if higher_is_better else -row[monitor])
    return Best(iteration=int(row["iteration"]), metric=monitor, value=row[monitor])


def write_best(folder: Path, best: Best) -> None:
    """Write best.json."""
    write_json(Path(folder) / BEST_NAME, vars(best))


def move_aside(folder: Path | str, after_iteration: int | None = None) -> Path | None:
    """Move earlier results into `<folder>/aside-<n>/` and return that, or None where there was nothing to move.

    With after_iteration, what came after that iteration is moved (with all of `state/`,
    which holds plans that no longer stand) and history.csv is cut there, a whole copy of it kept.
    """
    folder = Path(folder)
    own = [p for p in sorted(folder.iterdir()) if p.name != LOCK_NAME and not p.name.startswith("aside-")] if folder.is_dir() else []
    moved = own if after_iteration is None else [p for p in own if _is_after(p, after_iteration)]
    if not moved:
        return None
    taken = [int(p.name[6:]) for p in folder.glob("aside-*") if p.name[6:].isdigit()]
    aside = folder / f"aside-{max(taken, default=0) + 1}"
    aside.mkdir()
    if after_iteration is not None and (folder / HISTORY_NAME).exists():
        shutil.copy2(folder / HISTORY_NAME, aside)
        write_history(folder, [row for row in read_history(folder) if row["iteration"] <= after_iteration])
    for path in moved:
        path.rename(aside / path.name)
    return aside


def _is_after(path: Path, iteration: int) -> bool:
    if path.name == BEST_NAME:
        with contextlib.suppress(OSError, ValueError, KeyError):
            return json.loads(path.read_text())["iteration"] > iteration
        return True
    weights = _WEIGHTS.fullmatch(path.name)
    return path.name == STATE_FOLDER or (weights is not None and int(weights[1]) > iteration)
