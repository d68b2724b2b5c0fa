"""Catalog rows -> one shard set of whole images per split."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial

from mammolibs.ingest.gate import admit
from mammolibs.ingest.reading import read_lesions, read_row
from mammolibs.ingest.report import IngestReport, check_rows, fingerprint
from mammolibs.ingest.writing import Crew, Job, Made, write_splits
from mammolibs.prepare import Contract, prepare_image
from mammolibs.records import SPLITS, ImageRow, Policy

DEFAULT_TIMEOUT_S = 60.0
DEFAULT_SKIP_SHARE = 0.2


def ingest_images(
    rows: Sequence[ImageRow],
    contract: Contract,
    folder: str | os.PathLike,
    *,
    policy: Policy = Policy(),
    workers: int = 0,
    scheduler: str = "",
    timeout_s: float = DEFAULT_TIMEOUT_S,
    lanes: int = 8,
    codec: str = "blosc2",
    skip_share: float = DEFAULT_SKIP_SHARE,
    mend: bool = True,
    progress: bool = True,
) -> IngestReport:
    """Write `<folder>/<split>/` for every split that has rows; returns what was written and what was skipped.

    Each image is read, prepared and encoded once, in a pool of `workers` processes that
    outlives a dead or hung one, or on the Dask cluster of `scheduler` (tcp://HOST:PORT), whose
    workers must see the images' paths. Memory holds one shard, a few megabytes per lane, the
    index, and, while a slow image is awaited, the encoded samples of at most 32 images per
    worker. Same rows, files, contract and policy, same bytes; where they are there already
    nothing is done, and where an earlier call was stopped it goes on: images whose samples lie
    in finished shards are not read again. An image that cannot be used, or that the policy
    refuses, is skipped with its reason; what else speaks against an image stands in its
    sample's `extra["acceptance"]`, as codes. An image that could not be used is tried again by
    each later call, one that the policy refused is not; where it can be used by then, it and
    what is dealt after it is made again. mend False leaves finished shards that are whole as
    they are all the same.

    Raises BadData for rows without a split, with two of one id, and where more than
    `skip_share` of them had to be skipped; RuntimeUnavailable where a bucket or the cluster
    does not answer: called again, it goes on.
    """
    check_rows(rows)
    key = fingerprint(rows, contract, lanes, codec, policy)
    job = Job(
        items=sorted(rows, key=dealing_order),
        function=partial(_prepare_row, contract=contract, policy=policy),
        row_of=_itself,
        weigh=_one,
        total=len(rows),
        skip_share=skip_share,
        contract=contract,
        key=key,
        lanes=lanes,
        codec=codec,
    )
    return write_splits(job, folder, Crew(workers=workers, timeout_s=timeout_s, scheduler=scheduler), mend=mend, progress=progress)


def dealing_order(row: ImageRow) -> tuple:
    """By split; then lesion images first, by label and source, so that dealing them in turn gives every lane its share."""
    return SPLITS.index(row.split), not row.lesions, row.pathology != "malignant", row.source, row.image_id


def _prepare_row(row: ImageRow, contract: Contract, policy: Policy) -> Made:
    mammogram = read_row(row)
    verdict, located = admit(mammogram, contract, policy, "train")
    raster = read_lesions(row, mammogram.pixels.shape, located)
    sample = prepare_image(mammogram, contract, mask=raster.mask, lesions=raster.lesions, row=row, located=located)
    return Made([sample], verdict)


def _itself(row: ImageRow) -> ImageRow:
    return row


def _one(row: ImageRow) -> int:
    return 1
