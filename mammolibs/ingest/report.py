"""What an ingest wrote and skipped, and whether it has been done already."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from mammolibs.catalog import check_copies
from mammolibs.errors import BadData, BadFile, Refused
from mammolibs.prepare import Contract
from mammolibs.records import SPLITS, ImageRow, Verdict
from mammolibs.shards import is_finished
from mammolibs.storage import below, json_bytes, open_store

DONE_NAME = "ingest.json"
SHOWN_REASONS = 3


@dataclass(frozen=True, kw_only=True)
class IngestReport:
    """written: split -> number of samples. skipped: (file or request, reason) each. refused, warned:
    code of acceptance -> number of images that it kept out, that were taken all the same.
    reused: the shards were there already, made from the same input."""

    written: dict[str, int]
    skipped: tuple[tuple[str, str], ...]
    contract_hash: str
    refused: dict[str, int] = field(default_factory=dict)
    warned: dict[str, int] = field(default_factory=dict)
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
    """Counts what is skipped; too much of it is an error."""

    total: int
    skip_share: float
    skipped: list[tuple[str, str]] = field(default_factory=list)
    lost: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    warned: Counter[str] = field(default_factory=Counter)

    def skip(self, what: str, reason: Any, count: int = 1) -> None:
        """List one item with its reason; it costs `count` samples (0: a wish that the image has no room for)."""
        text = reason.problem if isinstance(reason, BadFile) and reason.file == what else str(reason)
        self.skipped.append((what, " ".join(text.split())))
        self.lost += count
        if isinstance(reason, Refused):
            self.refused.update(found.code for found in reason.verdict.decisive)

    def tell(self, verdict: Verdict) -> None:
        """Count what was found against an image that is taken."""
        self.warned.update(verdict.codes)

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


def check_rows(rows: Sequence[ImageRow]) -> None:
    """Raises BadData where there are no rows, where one has no split, where an id comes twice, or a copy has left its image's split."""
    if not rows:
        raise BadData("there are no rows to prepare; look at the catalog")
    for row in rows:
        if row.split not in SPLITS:
            raise BadData(f"{row.image_id}: split is {row.split!r}, expected {', '.join(SPLITS)}; split the catalog first")
    twice = [name for name, count in Counter(row.image_id for row in rows).items() if count > 1]
    if twice:
        raise BadData(f"{twice[0]}: this image id comes twice in the catalog")
    check_copies(rows)


def fingerprint(rows: Sequence[ImageRow], contract: Contract, *options: Any) -> str:
    """sha256 over the rows, the sizes and dates of their files, the contract and the options."""
    digest = hashlib.sha256(json.dumps([contract.to_dict(), *map(str, options)], sort_keys=True).encode())
    for row in sorted(rows, key=lambda row: row.image_id):
        masks = [lesion.outline.path for lesion in row.lesions if lesion.outline.path]
        digest.update(json.dumps([asdict(row), [_stamp(path) for path in (row.path, *masks)]], sort_keys=True).encode())
    return digest.hexdigest()


def write_done(folder: str | os.PathLike, key: str, report: IngestReport) -> None:
    """Note beside the shard sets what they were made from. The sets are complete once it is there."""
    open_store(folder).write(DONE_NAME, json_bytes({"made_from": key, **asdict(report)}))


def earlier_report(folder: str | os.PathLike, key: str) -> IngestReport | None:
    """The report of an earlier, complete ingest of the same input, else None."""
    store = open_store(folder)
    try:
        done = json.loads(store.read(DONE_NAME)) if store.exists(DONE_NAME) else {}
    except ValueError:
        return None
    if done.get("made_from") != key or not all(is_finished(open_store(below(folder, split))) for split in done["written"]):
        return None
    return IngestReport(
        written=done["written"], skipped=tuple(map(tuple, done["skipped"])), contract_hash=done["contract_hash"],
        refused=done["refused"], warned=done["warned"], reused=True,
    )


def _stamp(path: str) -> list[int] | None:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns]
