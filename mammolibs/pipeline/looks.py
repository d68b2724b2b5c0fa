"""How often a test set was looked at: each evaluation writes down when, by which command, on which split.

Whoever looks often and keeps what looked best has chosen on the test set, whatever the split says. The list lies beside the
split, so that all runs on one set of data share it; where the data lie in a bucket, in the run's own folder. Looks at data
from elsewhere stand in the same list, under the hash of theirs.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from mammolibs.catalog import read_catalog, split_hash
from mammolibs.errors import BadFile
from mammolibs.pipeline.facts import command_line
from mammolibs.pipeline.run import Run
from mammolibs.storage import is_address

LOOKS_NAME = "test_set_looks.jsonl"


def note_look(run: Run, elsewhere: str | None = None) -> None:
    """Add a line to the list. elsewhere: split hash of what is looked at, where it is not the run's own test set.

    Raises BadFile where it cannot be written: a look that nobody counts is not taken.
    """
    path = _place(run)
    entry = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "run": run.folder.name,
        "split_hash": elsewhere or split_hash(read_catalog(run.catalog)),
        "command": command_line(),
    }
    try:
        # One short write at the end of a file is whole or not at all, also among several processes.
        with open(path, "ab", buffering=0) as file:
            file.write((json.dumps(entry, ensure_ascii=False) + "\n").encode())
            os.fsync(file.fileno())
    except OSError as error:
        raise BadFile(
            path, f"cannot be written ({error.strerror})", "each look at the test set is counted there; make it writable"
        ) from error


def looks_at(run: Run, elsewhere: str | None = None) -> int:
    """Looks at the test set of the split that the run's data have now, or at that from elsewhere. Raises BadFile where the list is damaged."""
    path = _place(run)
    if not path.exists():
        return 0
    wanted = elsewhere or split_hash(read_catalog(run.catalog))
    try:
        entries = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
        return sum(entry["split_hash"] == wanted for entry in entries)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadFile(path, f"is damaged ({error})", "mend the line, and keep the others: they count the looks at the test set") from error


def _place(run: Run) -> Path:
    return run.folder / LOOKS_NAME if is_address(run.data) else Path(run.data) / LOOKS_NAME
