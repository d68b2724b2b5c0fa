"""The pool's results, in order, as one shard set per split."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Any

from mammolibs.errors import MammolibsError, RuntimeUnavailable
from mammolibs.imaging.pool import map_files, one_thread
from mammolibs.ingest.report import (
    DONE_NAME,
    IngestReport,
    Tally,
    earlier_report,
    failed,
    may_pass,
    taken,
    without_names,
    write_done,
)
from mammolibs.prepare import Contract
from mammolibs.records import SPLITS, ImageRow, Sample, Verdict
from mammolibs.shards import SHARD_BYTES, MadeOtherwise, PackedSample, ShardSet, clear_notes, clear_shards, open_set, pack
from mammolibs.storage import Store, below, disk_file, leaves_machine, only_writer, open_store

# A worker that meets nothing slow may be so many items ahead of one that does; the samples of as many wait in memory.
AHEAD = 32
# No file that a run, in whose folder the shards may be made, has claimed already.
LOCK_NAME = ".shards.lock"


@dataclass(frozen=True, eq=False)
class Made:
    """What became of one item: its samples, what was found against its image, and (what was skipped, reason) each."""

    samples: list[Sample]
    verdict: Verdict
    skipped: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Crew:
    """Who does the work: so many processes here, or the cluster of a Dask scheduler. timeout_s: for one item."""

    workers: int = 0
    timeout_s: float = 60.0
    scheduler: str = ""


@dataclass(frozen=True, kw_only=True)
class Job:
    """Items in the order in which their samples are dealt, by split, and what makes samples of one.

    row_of: the catalog row that an item belongs to. weigh: how many samples an item that
    fails costs, of `total`. key: a hash of all that decides on the bytes, but for how they lie in shards.
    """

    items: Sequence[Any]
    function: Callable[[Any], Made]
    row_of: Callable[[Any], ImageRow]
    weigh: Callable[[Any], int]
    total: int
    skip_share: float
    contract: Contract
    key: str
    lanes: int
    codec: str

    def describe(self, item: Any) -> str:
        return self.row_of(item).path


def write_splits(job: Job, folder: str | os.PathLike, crew: Crew, *, mend: bool = True, progress: bool) -> IngestReport:
    """Do the job and write its samples as `<folder>/<split>/`, in a folder or a bucket. A split without samples has no folder.

    Goes on where an earlier writer of the same job was stopped. Where one has finished it, nothing is written; with `mend`, items
    that failed then are tried again before that is said. Raises BadFile where another process writes to the folder.
    """
    earlier = earlier_report(folder, job.key)
    if earlier and not (mend and earlier.failed):
        return earlier
    with ExitStack() as stack:
        stack.enter_context(only_writer(folder, LOCK_NAME))
        do = _doing(job, crew, stack)
        if earlier and not (mended := _mended([job.items[number] for number in earlier.failed], do)):
            return earlier
        if earlier:
            _say(progress, f"{folder}: {mended} images that could not be used can be now; the shards are made again")
        _clear_done(open_store(folder))
        while True:
            try:
                report = _write(job, folder, do, progress)
                break
            except MadeOtherwise:
                _say(progress, f"{folder}: an image gives other samples than when the job was stopped; it and what follows are made again")
    write_done(folder, job.key, report)
    for split in report.written:
        clear_notes(open_store(below(folder, split)))
    return report


def _mended(items: list, do: Callable[[list], Iterator]) -> int:
    """How many of them give samples now."""
    with closing(do(items)) as results:
        return sum(not isinstance(result, MammolibsError) and bool(result[0]) for result in results)


def _clear_done(store: Store) -> None:
    """Also what a writer that was killed while it wrote it has left in a folder."""
    for name in (DONE_NAME, *store.list(f".{DONE_NAME}.")):
        store.delete(name)


def _write(job: Job, folder: str | os.PathLike, do: Callable[[list], Iterator], progress: bool) -> IngestReport:
    """Raises BadData before the last index is written where too much failed."""
    by_split = {split: list(items) for split, items in groupby(job.items, key=lambda item: job.row_of(item).split)}
    tally, written, leaves = Tally(total=job.total, skip_share=job.skip_share), {}, leaves_machine(folder)
    with ExitStack() as stack:
        sets = {split: stack.enter_context(_open(job, below(folder, split), len(items))) for split, items in by_split.items()}
        for split in SPLITS:
            if split not in sets:
                clear_shards(open_store(below(folder, split)))
        for shards in sets.values():
            _forget_failed(shards)
        _tell_kept(job, folder, sets, progress)
        missing = [item for split, items in by_split.items() for number, item in enumerate(items) if number not in sets[split].done]
        results = stack.enter_context(closing(do(missing)))
        bar = stack.enter_context(_bar(len(job.items), sum(len(shards.done) for shards in sets.values()), progress))
        for split, items in by_split.items():
            for number, item in enumerate(items):
                _add(job, sets[split], number, item, results, tally, leaves)
                bar.set_postfix(skipped=len(tally.skipped), refresh=False)
                bar.update(number not in sets[split].done)
            if split == list(by_split)[-1]:
                tally.check()
            if len(sets[split]):
                written[split] = len(sets[split].finish())
    return IngestReport(
        written=written,
        skipped=tuple(tally.skipped),
        contract_hash=job.contract.hash(),
        refused=dict(tally.refused),
        warned=dict(tally.warned),
        failed=tuple(tally.failed),
    )


def _forget_failed(shards: ShardSet) -> None:
    """Items whose failure may have passed are tried again; where they fail again, no shard is another for it."""
    for number in [number for number, note in shards.done.items() if may_pass(note)]:
        del shards.done[number]


def _open(job: Job, location: str | os.PathLike, items: int):
    how = {"contract": job.contract, "lanes": job.lanes, "shard_bytes": SHARD_BYTES, "codec": job.codec}
    return open_set(open_store(location), made_from=job.key, items=items, **how)


def _add(job: Job, shards: ShardSet, number: int, item: Any, results: Iterator[Any], tally: Tally, leaves: bool) -> None:
    """Put the next item where it belongs; leaves: into a bucket. Raises RuntimeUnavailable where a service has failed and not the item."""
    if number in shards.done:
        tally.count(shards.done[number])
        shards.add_done(number)
        return
    result = next(results)
    samples, note = ((), failed(job.describe(item), result, job.weigh(item))) if isinstance(result, MammolibsError) else result
    tally.count(note)
    shards.add(number, without_names(note) if leaves else note, samples)


def _doing(job: Job, crew: Crew, stack: ExitStack) -> Callable[[list], Iterator[Any]]:
    """What makes samples of items, in their order. Raises RuntimeUnavailable where the cluster does not answer."""
    function = partial(make_packed, function=job.function, codec=job.codec)
    how = {"timeout_s": crew.timeout_s, "describe": job.describe, "initializer": one_thread}
    if crew.scheduler:
        try:
            from mammolibs.ingest.cluster import open_cluster
        except ImportError as error:
            raise RuntimeUnavailable(f"--scheduler needs Dask ({error}); pip install 'mammolibs[cluster]'") from error
        cluster = stack.enter_context(open_cluster(crew.scheduler, sees=disk_file(job.describe(job.items[0]))))
        return partial(cluster.map, function, **how)
    return lambda items: in_order(map_files(function, items, workers=crew.workers, ahead=AHEAD * crew.workers, **how), items)


def in_order(results: Iterator[tuple[Any, Any]], items: Sequence[Any]) -> Iterator[Any]:
    """The pool's results in the order of the items: what comes early waits for what is late."""
    place = {item: number for number, item in enumerate(items)}
    waiting: dict[int, Any] = {}
    turn = 0
    for item, result in results:
        waiting[place[item]] = result
        while turn in waiting:
            yield waiting.pop(turn)
            turn += 1


def make_packed(item: Any, function: Callable[[Any], Made], codec: str) -> tuple[tuple[PackedSample, ...], dict]:
    """An item's samples, encoded, and the note on it. Runs in a worker."""
    made = function(item)
    for sample in made.samples:
        sample.extra["acceptance"] = list(made.verdict.codes)
    return tuple(pack(sample, codec) for sample in made.samples), taken(made.verdict, made.skipped)


def _bar(total: int, done: int, progress: bool):
    from tqdm import tqdm

    return tqdm(total=total, initial=done, desc="preparing", unit=" images", delay=2.0, leave=False, disable=not progress)


def _tell_kept(job: Job, folder: str | os.PathLike, sets: dict[str, ShardSet], progress: bool) -> None:
    kept, damaged, done = (sum(numbers) for numbers in zip(*((s.kept, s.damaged, len(s.done)) for s in sets.values()), strict=True))
    if kept or damaged or done:
        told = f"{done} of {len(job.items)} images need not be read again, {kept} shards stay"
        _say(progress, f"{folder}: goes on where it was stopped: {told}" + (f", {damaged} are damaged and made again" if damaged else ""))


def _say(progress: bool, line: str) -> None:
    if progress:
        print(line, flush=True)
