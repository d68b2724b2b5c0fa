"""Which items of a reporting checklist a finished report.json answers, which it leaves open, which only its author can write.

The items lie beside, as JSON: `checklists/claim_2024.json` (CLAIM 2024) and `checklists/tripod_ai.json` (TRIPOD+AI). An item's `answered_by`
are paths into report.json, of keys with dots between; `*` stands for every member. `author`: what remains to be written by hand.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from mammolibs.evaluate.document import Fold, Item, Section, Table, Text
from mammolibs.evaluate.result import is_figure, show

CHECKLISTS = ("claim_2024", "tripod_ai")
FILLED, PARTLY, EMPTY, AUTHOR = STATES = ("filled", "partly", "empty", "author")
LONGEST, SHOWN = 100, 2


def read_checklist(name: str) -> dict[str, Any]:
    """The checklist of that name: name, title, source, doi, note, items."""
    return json.loads(files("mammolibs.evaluate").joinpath("checklists", f"{name}.json").read_text(encoding="utf-8"))


def checklists(result: Mapping[str, Any]) -> dict[str, Any]:
    """What stands in checklist.json: checklist -> its source, how many items are in which state, and each item with its state and answer.

    result: report.json. state: "filled" where fields answer the item, "partly" where they do and the author has to add to them, "empty"
    where fields are named and hold nothing here, "author" where no artefact can answer. answers: path -> value in short, of those that
    hold something.
    """
    told = {}
    for name in CHECKLISTS:
        checklist = read_checklist(name)
        items = [item | _answer(item, result) for item in checklist.pop("items")]
        counts = {state: sum(item["state"] == state for item in items) for state in STATES}
        told[name] = checklist | {"counts": counts, "items": items}
    return told


def _answer(item: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    answers = {path: in_short(value) for path in item["answered_by"] for path, value in resolve(result, path).items()}
    if answers:
        return {"state": PARTLY if item["author"] else FILLED, "answers": answers}
    return {"state": EMPTY if item["answered_by"] else AUTHOR, "answers": answers}


def resolve(result: Any, path: str) -> dict[str, Any]:
    """Full path -> value of everything that the path leads to and that holds something."""
    found = {"": result}
    for key in path.split("."):
        found = {f"{way}.{name}".lstrip("."): value for way, value in found.items() for name, value in _members(value, key)}
    return {way: value for way, value in found.items() if _holds(value)}


def _members(value: Any, key: str) -> list[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        return []
    if key == "*":
        return [(name, inner) for name, inner in value.items() if isinstance(inner, (Mapping, list))]
    return [(key, value[key])] if key in value else []


def _holds(value: Any) -> bool:
    """False for what is empty all the way down, and for a figure that has no value."""
    if isinstance(value, Mapping):
        if is_figure(value):
            return value["value"] is not None
        return any(_holds(inner) for name, inner in value.items() if not name.startswith("split_"))
    if isinstance(value, (list, tuple)):
        return any(_holds(inner) for inner in value)
    return value not in (None, "")


def in_short(value: Any) -> str:
    """A value as a phrase of at most 100 characters."""
    text = _phrase(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 3].rstrip() + "..."


def _phrase(value: Any) -> str:
    if isinstance(value, Mapping):
        if is_figure(value):
            return f"{show(value)} ({value['n']} x {value['unit']})"
        return ", ".join(f"{str(name).replace('_', ' ')} {_phrase(inner)}" for name, inner in value.items() if _holds(inner))
    if isinstance(value, (list, tuple)):
        return "; ".join(_phrase(inner) for inner in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def checklist_section(told: Mapping[str, Any]) -> Section:
    """Counts per checklist, and each item with its answer, folded."""
    items: list[Item] = []
    for checklist in told.values():
        counts = checklist["counts"]
        words = f"{counts[FILLED]} are answered by this report, {counts[PARTLY]} in part, {counts[EMPTY]} stand empty, {counts[AUTHOR]} are the author's alone"
        items.append(Text(f"{checklist['name']} ({checklist['source']}): of {len(checklist['items'])} items {words}."))
        rows = tuple((item["item"], item["asks"], item["state"], _told(item), item["author"]) for item in checklist["items"])
        items.append(
            Fold(f"{checklist['name']}, item by item", (Table(("item", "asks for", "state", "answer here", "left to the author"), rows),))
        )
    note = (
        "An answer here is material for a paper, not its text: what the author has to add is named. checklist.json holds every answer with its "
        "path in report.json."
    )
    return Section("Reporting checklists", (*items, Text(note, "note")))


def _told(item: Mapping[str, Any]) -> str:
    answers: Sequence[str] = [f"{path}: {text}" for path, text in item["answers"].items()]
    return "; ".join(answers[:SHOWN]) + (f"; and {len(answers) - SHOWN} more" if len(answers) > SHOWN else "")
