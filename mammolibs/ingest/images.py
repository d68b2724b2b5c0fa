"""Catalog rows -> one shard set of whole images per split."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mammolibs.imaging.pool import map_files
from mammolibs.ingest.reading import read_lesions, read_row
from mammolibs.ingest.report import DONE_NAME, IngestReport, Tally, check_rows, earlier_report, fingerprint, write_done
from mammolibs.prepare import Contract, prepare_image
from mammolibs.records import SPLITS, ImageRow, Sample
from mammolibs.shards import write_shards
from mammolibs.storage import open_store

DEFAULT_TIMEOUT_S = 120.0
DEFAULT_SKIP_SHARE = 0.2


def ingest_images(
    rows: Sequence[ImageRow],
    contract: Contract,
    folder: str | os.PathLike,
    *,
    workers: int = 0,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    lanes: int = 8,
    codec: str = "blosc2",
    skip_share: float = DEFAULT_SKIP_SHARE,
    progress: bool = True,
    again: bool = False,
) -> IngestReport:
    """Write `<folder>/<split>/` for every split that has rows; returns what was written and what was skipped.

    Each image is read, prepared and written once, in a pool that outlives a dead or hung
    worker; memory holds a few images. Same rows, files and contract, same bytes; where they
    are there already nothing is done, unless `again`. An image that cannot be used is
    skipped with its reason.

    Raises BadData for rows without a split, with two of one id, and where more than
    `skip_share` of them had to be skipped.
    """
    check_rows(rows)
    key = fingerprint(rows, contract, lanes, codec)
    earlier = None if again else earlier_report(folder, key)
    if earlier:
        return earlier
    ordered = {split: sorted((r for r in rows if r.split == split), key=dealing_order) for split in SPLITS}
    return write_splits(
        {split: members for split, members in ordered.items() if members},
        partial(_prepare_row, contract=contract),
        contract,
        folder,
        key=key,
        tally=Tally(total=len(rows), skip_share=skip_share),
        pool={"workers": workers, "timeout_s": timeout_s, "describe": _describe},
        shards={"lanes": lanes, "codec": codec},
        progress=progress,
    )


def dealing_order(row: ImageRow) -> tuple:
    """Lesion images first, by label and source, so that dealing them in turn gives every lane its share."""
    return not row.lesions, row.pathology != "malignant", row.source, row.image_id


def write_splits(
    items: dict[str, Sequence[Any]],
    function: Callable[[Any], tuple[list[Sample], list[tuple[str, str]]]],
    contract: Contract,
    folder: str | os.PathLike,
    *,
    key: str,
    tally: Tally,
    pool: dict[str, Any],
    shards: dict[str, Any],
    progress: bool,
) -> IngestReport:
    """Run `function` over each split's items in the pool and write its samples as `<folder>/<split>/`.

    function: item -> (samples, [(what was skipped, reason)]).
    """
    (Path(folder) / DONE_NAME).unlink(missing_ok=True)
    written = {}
    with _bar(sum(map(len, items.values())), progress) as bar:
        for split in SPLITS:
            store = open_store(Path(folder) / split)
            if split not in items:
                _remove_set(store)
                continue
            results = in_order(map_files(function, items[split], **pool), items[split])
            samples = _samples(results, pool["describe"], tally, bar, last=split == list(items)[-1])
            written[split] = len(write_shards(store, samples, contract=contract, **shards))
    report = IngestReport(written=written, skipped=tuple(tally.skipped), contract_hash=contract.hash())
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


def _samples(results: Iterator[tuple[Any, Any]], describe: Callable[[Any], str], tally: Tally, bar: Any, last: bool) -> Iterator[Sample]:
    for item, result in results:
        bar.update()
        if isinstance(result, Exception):
            tally.skip(describe(item), result)
            continue
        samples, skipped = result
        for what, reason in skipped:
            tally.skip(what, reason)
        yield from samples
    if last:
        tally.check()


def _prepare_row(row: ImageRow, contract: Contract) -> tuple[list[Sample], list[tuple[str, str]]]:
    mammogram = read_row(row)
    raster = read_lesions(row, mammogram.pixels.shape)
    return [prepare_image(mammogram, contract, mask=raster.mask, lesions=raster.lesions, row=row)], []


def _describe(row: ImageRow) -> str:
    return row.path


def _remove_set(store: Any) -> None:
    for name in store.list():
        store.delete(name)


def _bar(total: int, progress: bool) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, desc="preparing", unit="image", delay=2.0, leave=False, disable=not progress)
