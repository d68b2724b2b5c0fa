"""What an ingest wrote and skipped, and whether it has been done already."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from mammolibs.catalog import Skipped, check_copies
from mammolibs.catalog.nameless import nameless
from mammolibs.errors import BadData, BadFile, Refused
from mammolibs.ingest.reading import NO_PLACE, NO_PLACE_REMEDY
from mammolibs.ingest.stamps import stamps
from mammolibs.prepare import Contract
from mammolibs.records import SPLITS, ImageRow, Verdict
from mammolibs.shards import clear_notes, is_whole
from mammolibs.storage import below, leaves_machine, open_store, seal, unseal

DONE_NAME = "ingest.json"
SHOWN_REASONS = 3


@dataclass(frozen=True, kw_only=True)
class IngestReport:
    """written: split -> number of samples. skipped: (file or request, reason) each. refused, warned:
    code of acceptance -> number of images that it kept out, that were taken all the same.
    failed: the numbers of the items that could not be used and may be another time. reused: the shards were there already, made
    from the same input."""

    written: dict[str, int]
    skipped: tuple[tuple[str, str], ...]
    contract_hash: str
    refused: dict[str, int] = field(default_factory=dict)
    warned: dict[str, int] = field(default_factory=dict)
    failed: tuple[int, ...] = ()
    reused: bool = False

    def __str__(self) -> str:
        counts = ", ".join(f"{split} {count}" for split, count in self.written.items())
        told = "".join(
            f"; {what} {', '.join(f'{count} {code}' for code, count in codes.items())}"
            for what, codes in (("refused", self.refused), ("taken with a warning", self.warned))
            if codes
        )
        return f"{counts}; {len(self.skipped)} skipped{told}" + ("; made before from the same input" if self.reused else "")


@dataclass
class Tally:
    """Counts what is skipped; too much of it is an error. failed: numbers in the order of counting, see `may_pass`."""

    total: int
    skip_share: float
    skipped: list[tuple[str, str]] = field(default_factory=list)
    lost: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    warned: Counter[str] = field(default_factory=Counter)
    items: int = 0
    failed: list[int] = field(default_factory=list)

    def skip(self, what: str, reason: Exception) -> None:
        """List one item with its reason."""
        self.count(failed(what, reason, 1))

    def count(self, note: dict[str, Any]) -> None:
        """Count what became of an item, as `failed` or `taken` tells it."""
        self.skipped += map(tuple, note["skipped"])
        self.lost += note["lost"]
        self.refused.update(note["refused"])
        self.warned.update(note["warned"])
        if may_pass(note):
            self.failed.append(self.items)
        self.items += 1

    def check(self) -> None:
        """Raises BadData where more than the share was skipped."""
        if self.lost <= self.skip_share * self.total and self.lost < self.total:
            return
        reasons = Counter(reason for _, reason in self.skipped).most_common(SHOWN_REASONS)
        told = "; ".join(f"{count} x {reason}" for reason, count in reasons)
        raise BadData(
            f"{self.lost} of {self.total} could not be used, allowed are {self.skip_share:.0%}: {told} "
            f"(first: {self.skipped[0][0]}); mend the data or allow a greater share"
            + "".join(f", or take them with --accept {code}" for code, _ in self.refused.most_common(1))
        )


def failed(what: str, reason: Exception, lost: int) -> dict[str, Any]:
    """A note, in JSON's types, on an item that cannot be used: its name, why, and how many samples that costs."""
    text = reason.problem if isinstance(reason, BadFile) and reason.file == what else str(reason)
    refused = [found.code for found in reason.verdict.decisive] if isinstance(reason, Refused) else []
    return {"skipped": [[what, " ".join(text.split())]], "lost": lost, "refused": refused, "warned": []}


def taken(verdict: Verdict, skipped: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """A note, in JSON's types, on an item that is used: what was found against it, and its wishes that it has no room for."""
    return {"skipped": [list(one) for one in skipped], "lost": 0, "refused": [], "warned": list(verdict.codes)}


def may_pass(note: dict[str, Any]) -> bool:
    """True for an item that failed and that the policy has not refused: a folder that was away or a worker that was killed says nothing of it."""
    return bool(note["lost"] and not note["refused"])


def without_names(note: dict[str, Any]) -> dict[str, Any]:
    """A note as it may lie in a bucket."""
    return note | {"skipped": [[item.item, item.reason] for item in nameless(Skipped(*one) for one in note["skipped"])]}


def check_rows(rows: Sequence[ImageRow]) -> None:
    """Raises BadData where there are no rows, where none of them says where its image lies, where one has no split, where an id
    comes twice, or a copy has left its image's split."""
    if not rows:
        raise BadData("there are no rows to prepare; look at the catalog")
    if not any(row.path for row in rows):
        raise BadData(f"{NO_PLACE}; {NO_PLACE_REMEDY}")
    for row in rows:
        if row.split not in SPLITS:
            raise BadData(f"{row.image_id}: split is {row.split!r}, expected {', '.join(SPLITS)}; split the catalog first")
    twice = [name for name, count in Counter(row.image_id for row in rows).items() if count > 1]
    if twice:
        raise BadData(f"{twice[0]}: this image id comes twice in the catalog")
    check_copies(rows)


def fingerprint(rows: Sequence[ImageRow], contract: Contract, *options: Any) -> str:
    """sha256 over the rows, the sizes and dates of their files (of a bucket's objects the checksums), the contract and the options."""
    digest = hashlib.sha256(json.dumps([contract.to_dict(), *map(str, options)], sort_keys=True).encode())
    files = {row.image_id: [row.path, *(lesion.outline.path for lesion in row.lesions if lesion.outline.path)] for row in rows}
    found = stamps({path for paths in files.values() for path in paths})
    for row in sorted(rows, key=lambda row: row.image_id):
        digest.update(json.dumps([asdict(row), [found[path] for path in files[row.image_id]]], sort_keys=True).encode())
    return digest.hexdigest()


def write_done(folder: str | os.PathLike, key: str, report: IngestReport) -> None:
    """Note beside the shard sets what they were made from; in a bucket without names of files. The sets are complete once it is there."""
    if leaves_machine(folder):
        left_out = nameless(Skipped(item, reason) for item, reason in report.skipped)
        report = replace(report, skipped=tuple((item.item, item.reason) for item in left_out))
    open_store(folder).write(DONE_NAME, seal({"made_from": key, **asdict(report)}))


def copy_done(folder: str | os.PathLike, to: str | os.PathLike) -> None:
    """Bring the note that lies in one place to another, as `write_done` writes it there. Raises BadFile for another kind of file."""
    write_done(to, *_read_done(folder))


def read_done(folder: str | os.PathLike) -> IngestReport | None:
    """What was written into the folder of shard sets and what was skipped; None where no note tells, or a damaged one."""
    try:
        return _read_done(folder)[1] if open_store(folder).exists(DONE_NAME) else None
    except BadFile:
        return None


def _read_done(folder: str | os.PathLike) -> tuple[str, IngestReport]:
    store = open_store(folder)
    try:
        done = unseal(store.read(DONE_NAME))
        key = done.pop("made_from")
        lists = {"skipped": tuple(map(tuple, done["skipped"])), "failed": tuple(done.get("failed", ()))}
        return key, IngestReport(**{**done, **lists})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadFile(f"{store.location}/{DONE_NAME}", f"is no note of an ingest ({error})", "make the shards again") from error


def earlier_report(folder: str | os.PathLike, key: str) -> IngestReport | None:
    """The report of an earlier, complete ingest of the same input whose shards are all what they were, else None."""
    store = open_store(folder)
    try:
        done = unseal(store.read(DONE_NAME)) if store.exists(DONE_NAME) else {}
    except ValueError:
        return None
    if done.get("made_from") != key or not all(is_whole(open_store(below(folder, split))) for split in done["written"]):
        return None
    for split in done["written"]:
        # Left where the writer was stopped at its very end.
        clear_notes(open_store(below(folder, split)))
    return IngestReport(
        written=done["written"],
        skipped=tuple(map(tuple, done["skipped"])),
        contract_hash=done["contract_hash"],
        refused=done["refused"],
        warned=done["warned"],
        failed=tuple(done.get("failed", ())),
        reused=True,
    )
