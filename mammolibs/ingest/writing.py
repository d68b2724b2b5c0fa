"""The pool's results, in order, as one shard set per split."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from mammolibs.imaging.pool import map_files
from mammolibs.ingest.report import DONE_NAME, IngestReport, Tally, write_done
from mammolibs.prepare import Contract
from mammolibs.records import SPLITS, Sample, Verdict
from mammolibs.shards import clear_shards, write_shards
from mammolibs.storage import below, open_store


@dataclass(frozen=True, eq=False)
class Made:
    """What became of one item: its samples, what was found against its image, and (what was skipped, reason) each."""

    samples: list[Sample]
    verdict: Verdict
    skipped: list[tuple[str, str]] = field(default_factory=list)


def write_splits(
    items: Sequence[Any],
    function: Callable[[Any], Made],
    contract: Contract,
    folder: str | os.PathLike,
    *,
    key: str,
    tally: Tally,
    describe: Callable[[Any], str],
    pool: dict[str, Any],
    shards: dict[str, Any],
    progress: bool,
    weigh: Callable[[Any], int] = lambda item: 1,
) -> IngestReport:
    """Run `function` over the items, ordered by split, and write its samples as `<folder>/<split>/`, in a folder or a bucket.

    weigh: how many samples an item that fails costs. A split without samples has no folder.
    """
    from tqdm import tqdm

    open_store(folder).delete(DONE_NAME)
    stores = {split: open_store(below(folder, split)) for split in SPLITS}
    for store in stores.values():
        clear_shards(store)
    written = {}
    with tqdm(total=len(items), desc="preparing", unit="image", delay=2.0, leave=False, disable=not progress) as bar:
        results = in_order(map_files(function, items, describe=describe, initializer=one_thread, **pool), items)
        samples = _samples(results, tally, describe, weigh, bar)
        for split, members in groupby(samples, key=lambda sample: sample.split):
            written[split] = len(write_shards(stores[split], members, contract=contract, **shards))
    report = IngestReport(
        written=written, skipped=tuple(tally.skipped), contract_hash=contract.hash(), refused=dict(tally.refused), warned=dict(tally.warned)
    )
    write_done(folder, key, report)
    return report


def in_order(results: Iterator[tuple[Any, Any]], items: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """The pool's results in the order of the items: what comes early waits for what is late."""
    place = {item: number for number, item in enumerate(items)}
    waiting: dict[int, tuple[Any, Any]] = {}
    turn = 0
    for item, result in results:
        waiting[place[item]] = (item, result)
        while turn in waiting:
            yield waiting.pop(turn)
            turn += 1


def _samples(
    results: Iterator[tuple[Any, Any]], tally: Tally, describe: Callable[[Any], str], weigh: Callable[[Any], int], bar: Any
) -> Iterator[Sample]:
    """All samples; what fails is tallied. Raises BadData at the end, before the last index is written, where too much failed."""
    for item, result in results:
        bar.update()
        if isinstance(result, Exception):
            tally.skip(describe(item), result, weigh(item))
            continue
        tally.tell(result.verdict)
        for what, reason in result.skipped:
            tally.skip(what, reason, 0)
        for sample in result.samples:
            sample.extra["acceptance"] = list(result.verdict.codes)
            yield sample
    tally.check()


def one_thread() -> None:
    """In a worker: as many threads as workers are enough."""
    import cv2

    cv2.setNumThreads(1)
