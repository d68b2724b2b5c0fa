"""The small files beside the catalog: split.json and skipped.csv."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mammolibs.catalog.hashes import data_hash, split_hash
from mammolibs.catalog.nameless import nameless
from mammolibs.catalog.source import Skipped
from mammolibs.catalog.split import FRACTIONS
from mammolibs.catalog.verdict import Verdict
from mammolibs.errors import BadConfig, BadData, BadFile
from mammolibs.records import SPLITS, ImageRow
from mammolibs.storage import Place, leaves_machine, locate, seal, unseal

SPLIT_NAME = "split.json"


def write_split(
    path: str | Path | Place,
    rows: Sequence[ImageRow],
    *,
    seed: int | None,
    fractions: Sequence[float] = FRACTIONS,
    previous: Mapping[str, str] | None = None,
    verdict: Verdict | None = None,
    key_mark: str = "",
) -> None:
    """Write who is where as JSON, to a path or a `gs://` address: seed (None: the split was not drawn by one), fractions, hashes,
    the audit's verdict, patient_id -> split.

    Patients of the earlier split who are not in the rows stay in the file, so that they
    come back to where they were. A verdict that is there on the same split of the same data
    stays too: it may have looked at pixels. key_mark: tells which key pseudonyms among the patients
    come from, and not what it is. Raises as `write_catalog`.
    """
    patients = dict(previous or {}) | {row.patient_id: row.split for row in rows}
    facts = {"seed": seed, "fractions": list(fractions), "split_hash": split_hash(rows), "data_hash": data_hash(rows)}
    keyed = {"key": key_mark} if key_mark else {}
    place = path if isinstance(path, Place) else Place(*locate(path))
    judged = _kept_verdict(place, facts) or ({"verdict": verdict.to_dict()} if verdict else {})
    place.write(seal(facts | keyed | judged | {"patients": dict(sorted(patients.items()))}))


def copy_split(path: str | Path, other: str | Path) -> None:
    """Bring a split.json, where there is one, to another path or `gs://` address. Raises what the places raise."""
    (store, name), place = locate(path), Place(*locate(other))
    if store.exists(name):
        place.write(store.read(name))


def _kept_verdict(place: Place, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The verdict as a split.json holds it, where that is of the same split and data; empty where there is none that can be read."""
    if not place.store.exists(place.name):
        return {}
    try:
        values = unseal(place.store.read(place.name))
        verdict = Verdict.from_dict(values["verdict"])
    except (BadData, ValueError, TypeError, KeyError):
        return {}
    same = all(values.get(name) == facts[name] for name in ("split_hash", "data_hash")) and verdict.split_hash == facts["split_hash"]
    return {"verdict": values["verdict"]} if same else {}


def write_verdict(path: str | Path, verdict: Verdict) -> None:
    """Put a verdict in the place of the one that a split.json has. Raises BadFile for another kind of file, or another split's."""
    values = _read_values(path)
    if values.get("split_hash") != verdict.split_hash:
        raise BadFile(path, f"is of split {values.get('split_hash')}, the verdict of {verdict.split_hash}", "build the catalog again")
    Place(*locate(path)).write(seal(values | {"verdict": verdict.to_dict()}))


def read_verdict(path: str | Path) -> Verdict | None:
    """The verdict that is stored with a split, at a path or a `gs://` address; None where it was never audited.

    Raises BadFile for another kind of file, and what the bucket raises.
    """
    values = _read_values(path)
    try:
        return Verdict.from_dict(values["verdict"]) if "verdict" in values else None
    except BadData as error:
        raise BadFile(path, str(error)) from error


def _read_values(path: str | Path) -> dict[str, Any]:
    store, name = locate(path)
    try:
        values = unseal(store.read(name))
        if "patients" not in values:
            raise ValueError("no patients")
    except (ValueError, TypeError) as error:
        raise BadFile(path, f"is no split ({_told(error)})", "build the catalog again") from error
    return values


def _told(error: Exception) -> str:
    """What is wrong with a file's content; Python's own words of a missing key or a wrong type say nothing to a user."""
    return str(error) if type(error) is ValueError else type(error).__name__


def read_key_mark(path: str | Path) -> str:
    """Which key the pseudonyms of a split.json come from; "" for none, and for no file. Raises BadFile for another kind of file."""
    store, name = locate(path)
    return str(_read_values(path).get("key", "")) if store.exists(name) else ""


def read_split(path: str | Path, *, seed: int) -> dict[str, str]:
    """patient_id -> split of a split.json; empty where there is no such file.

    Raises BadFile for another kind of file, BadConfig where it was drawn with another seed.
    """
    store, name = locate(path)
    if not store.exists(name):
        return {}
    try:
        found = unseal(store.read(name))
        made_with, patients = found["seed"], found["patients"]
        wrong = [word for word in patients.values() if word not in SPLITS]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadFile(path, f"is no split ({_told(error)})", "remove it, and the split is made afresh") from error
    if wrong:
        raise BadFile(path, f"names a split {wrong[0]!r}", f"allowed are {', '.join(SPLITS)}")
    if made_with is not None and seed != made_with:
        raise BadConfig(
            f"--seed {seed}: {path} was made with seed {made_with} and is kept when data are added; remove it, or give --seed {made_with}"
        )
    return patients


def write_skipped(path: str | Path, skipped: Iterable[Skipped]) -> None:
    """Write skipped items as CSV to a path or a `gs://` address: source, item, reason, on_purpose. In a bucket items have no names."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("source", "item", "reason", "on_purpose"))
    store, name = locate(path)
    told = nameless(skipped) if leaves_machine(store.location) else skipped
    writer.writerows((item.source, item.item, " ".join(item.reason.split()), "yes" if item.on_purpose else "no") for item in told)
    store.write(name, text.getvalue().encode())


def read_skipped(path: str | Path) -> list[Skipped]:
    """What `write_skipped` wrote; empty where there is no such file. Raises BadFile for another kind of file."""
    store, name = locate(path)
    if not store.exists(name):
        return []
    try:
        rows = list(csv.DictReader(io.StringIO(store.read(name).decode(), newline="")))
        return [Skipped(item=r["item"], reason=r["reason"], source=r["source"], on_purpose=r["on_purpose"] == "yes") for r in rows]
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise BadFile(path, f"is no list of skipped items ({error})", "make the data of this run again") from error
