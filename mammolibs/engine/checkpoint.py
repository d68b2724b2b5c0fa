"""Exact resume: numbered states in `state/`, each whole or absent, each carrying its own checksum in its name."""

from __future__ import annotations

import hashlib
import io
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mammolibs.errors import BadConfig, BadWeights
from mammolibs.storage import write_atomic

STATE_FOLDER = "state"
_NAME = re.compile(r"(?P<serial>\d{6})_it(?P<iteration>\d+)_step(?P<step>\d+)-(?P<sha>[0-9a-f]{16})\.pt")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a stage is. planned: the iteration at which its present leg ends. why: "" while it is unfinished."""

    iteration: int
    planned: int
    step: int
    why: str

    @property
    def finished(self) -> bool:
        return bool(self.why)


def save_state(folder: Path, state: dict[str, Any], keep: int) -> Path:
    """Write a state of host tensors as the newest one, then drop all but the last `keep`. Returns its path.

    Raises BadFile where the disk is full or the folder cannot be written; older states stay.
    """
    import torch

    buffer = io.BytesIO()
    torch.save(state, buffer)
    data = buffer.getvalue()
    states = list_states(folder)
    serial = int(_NAME.fullmatch(states[-1].name)["serial"]) + 1 if states else 1
    name = f"{serial:06d}_it{state['iteration']}_step{state['step']}-{hashlib.sha256(data).hexdigest()[:16]}.pt"
    path = Path(folder) / STATE_FOLDER / name
    write_atomic(path, data)
    for old in [*states, path][:-keep]:
        old.unlink(missing_ok=True)
    return path


def list_states(folder: Path) -> list[Path]:
    """The state files of a stage's folder, oldest first."""
    found = Path(folder, STATE_FOLDER).glob("*.pt")
    return sorted(path for path in found if _NAME.fullmatch(path.name))


def newest_state(folder: Path) -> dict[str, Any] | None:
    """The newest readable state, or None. A damaged one is passed over and named in one line."""
    return next(filter(None, map(_read, reversed(list_states(folder)))), None)


def state_after(folder: Path, iteration: int) -> dict[str, Any] | None:
    """The newest readable state that stands exactly at the end of this iteration, or None."""
    named = (path for path in reversed(list_states(folder)) if int(_NAME.fullmatch(path.name)["iteration"]) == iteration)
    return next((state for state in map(_read, named) if state and state["at_iteration_end"]), None)


def progress(folder: Path | str) -> Progress | None:
    """How far the stage in this folder is, from its newest readable state; None where nothing was begun."""
    state = newest_state(Path(folder))
    if state is None:
        return None
    planned = state["leg"]["start_iteration"] + state["leg"]["iterations"]
    return Progress(iteration=state["iteration"], planned=planned, step=state["step"], why=state["why"])


def check_facts(found: dict[str, Any], expected: dict[str, Any], where: Path | str) -> None:
    """Refuse a state or weights that were made for something else.

    Raises BadWeights for another stage, architecture or contract, BadConfig for other data,
    another global batch, number of micro-batches or seed.
    """
    for name in ("stage", "architecture", "contract_hash"):
        if found.get(name, expected[name]) != expected[name]:
            raise BadWeights(f"{where}: made for {name} {found[name]!r}, this run has {expected[name]!r}; start afresh with --pretrain no")
    for name in ("data_hash", "split_hash", "global_batch", "accumulate", "seed"):
        if found.get(name, expected[name]) != expected[name]:
            said = f"{name.replace('_', ' ')} was {found[name]!r}, now it is {expected[name]!r}"
            raise BadConfig(f"{where}: {said}; keep what it was, or start afresh with --pretrain no")


def _read(path: Path) -> dict[str, Any] | None:
    import torch

    try:
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest()[:16] != _NAME.fullmatch(path.name)["sha"]:
            raise ValueError("its checksum does not match")
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (OSError, ValueError, RuntimeError, EOFError) as error:
        print(f"{path}: passed over, it cannot be read ({error})", file=sys.stderr, flush=True)
        return None
