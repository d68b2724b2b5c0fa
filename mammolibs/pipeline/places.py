"""What a run knows of this machine alone. In a bucket run.json says none of it; a hidden file keeps it here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mammolibs.storage import is_local, write_json

PLACES_NAME = ".places.json"
PLACES = ("sources", "source_options", "data")
# Names of a file and of a hospital: who reads the bucket is not to know them.
HIDDEN_OPTIONS = ("csv.table=", "csv.issuer=")


def keep_places(folder: Path, values: Mapping[str, Any]) -> None:
    """Write the hidden file. values: those of the settings."""
    write_json(folder / PLACES_NAME, {name: values[name] for name in PLACES})


def kept_places(folder: Path) -> dict[str, Any]:
    """What the hidden file holds; empty where there is none."""
    path = folder / PLACES_NAME
    return json.loads(path.read_text()) if path.is_file() else {}


def without_places(values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as they travel: of what lies on this machine no path, of data there None."""
    return {
        **values,
        "sources": [(name, "" if is_local(path) else path) for name, path in values["sources"]],
        "source_options": [_hidden(option) for option in values["source_options"]],
        "data": None if _is_place(values["data"]) else values["data"],
    }


def unplaced(sources: Iterable[tuple[str, str]], options: Iterable[str]) -> list[str]:
    """The flags that would tell what is known of these on another machine alone."""
    lost = [f"--source {name}=PATH" for name, path in sources if not path]
    return lost + [f"--option {option}VALUE" for option in options if option in HIDDEN_OPTIONS]


def same_but_for_places(name: str, kept: Any, given: Any) -> bool:
    """True where a setting is the given one as far as it is known on this machine."""
    if name == "data":
        return kept == given or (kept is None and bool(given))
    if name == "sources":
        return len(kept) == len(given) and all((source, path or other[1]) == other for (source, path), other in zip(kept, given))
    if name == "source_options":
        return len(kept) == len(given) and all(option in (other, _hidden(other)) for option, other in zip(kept, given))
    return kept == given


def _hidden(option: str) -> str:
    return next((name for name in HIDDEN_OPTIONS if option.startswith(name)), option)


def _is_place(data: str | None) -> bool:
    """A relative path starts at the run's folder, and tells nothing of this machine."""
    return bool(data) and is_local(data) and ("://" in data or Path(data).is_absolute())
