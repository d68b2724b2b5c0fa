"""Catalog rows -> one shard set of whole images per split."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial

from mammolibs.ingest.gate import admit
from mammolibs.ingest.reading import read_lesions, read_row
from mammolibs.ingest.report import IngestReport, Tally, check_rows, earlier_report, fingerprint
from mammolibs.ingest.writing import Made, write_splits
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
    timeout_s: float = DEFAULT_TIMEOUT_S,
    lanes: int = 8,
    codec: str = "blosc2",
    skip_share: float = DEFAULT_SKIP_SHARE,
    progress: bool = True,
) -> IngestReport:
    """Write `<folder>/<split>/` for every split that has rows; returns what was written and what was skipped.

    Each image is read, prepared and written once, in a pool that outlives a dead or hung
    worker; memory holds a few images, and the samples that wait for a slow one. Same rows,
    files, contract and policy, same bytes; where they are there already nothing is done. An
    image that cannot be used, or that the policy refuses, is skipped with its reason; what
    else speaks against an image stands in its sample's `extra["acceptance"]`, as codes.

    Raises BadData for rows without a split, with two of one id, and where more than
    `skip_share` of them had to be skipped.
    """
    check_rows(rows)
    key = fingerprint(rows, contract, lanes, codec, policy)
    earlier = earlier_report(folder, key)
    if earlier:
        return earlier
    return write_splits(
        sorted(rows, key=dealing_order),
        partial(_prepare_row, contract=contract, policy=policy),
        contract,
        folder,
        key=key,
        tally=Tally(total=len(rows), skip_share=skip_share),
        describe=_describe,
        pool={"workers": workers, "timeout_s": timeout_s},
        shards={"lanes": lanes, "codec": codec},
        progress=progress,
    )


def dealing_order(row: ImageRow) -> tuple:
    """By split; then lesion images first, by label and source, so that dealing them in turn gives every lane its share."""
    return SPLITS.index(row.split), not row.lesions, row.pathology != "malignant", row.source, row.image_id


def _prepare_row(row: ImageRow, contract: Contract, policy: Policy) -> Made:
    mammogram = read_row(row)
    verdict, located = admit(mammogram, contract, policy, "train")
    raster = read_lesions(row, mammogram.pixels.shape)
    sample = prepare_image(mammogram, contract, mask=raster.mask, lesions=raster.lesions, row=row, located=located)
    return Made([sample], verdict)


def _describe(row: ImageRow) -> str:
    return row.path
