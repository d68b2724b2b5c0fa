"""Patch sets for the second stage: round true lesions, round what the U-Net finds, and of normal tissue."""

from __future__ import annotations

import json
from pathlib import Path

from mammolibs.catalog import Skipped, read_catalog, split_hash, write_skipped
from mammolibs.errors import BadConfig, BadFile
from mammolibs.ingest import PatchRequest, ingest_patches, patch_requests, truth_requests
from mammolibs.models import from_run
from mammolibs.models.runs import weights_hash
from mammolibs.pipeline.outcomes import lesion_truths, matched_regions, region_label
from mammolibs.pipeline.progress import progress
from mammolibs.pipeline.run import Run
from mammolibs.predict import Finder
from mammolibs.prepare import patch_side_px
from mammolibs.records import ImageRow
from mammolibs.runtime import Runtime
from mammolibs.shards import open_index, open_shards, read_sample
from mammolibs.storage import open_store, write_json

SPLITS = ("train", "validation")
SHARDS = {"patches": "lesion_patches", "resnet": "patches"}
FOUND_PER_IMAGE = 3


def make_patches(run: Run, stage: str, runtime: Runtime, *, unet: int | None = None, workers: int = 1) -> None:
    """Cut the patches of a stage, unless they are there and were cut from the same data by the same U-Net.

    "patches": label 1 on lesions, 0 on normal tissue. "resnet": label 1 on malignant
    lesions, 0 on benign ones and on false alarms of the U-Net.

    Raises BadConfig where the U-Net is not trained yet.
    """
    rows = [row for row in read_catalog(run.catalog) if row.split in SPLITS]
    folder = run.folder / "data" / SHARDS[stage]
    made = {"contract": run.contract.hash(), "split": split_hash(rows), "unet": unet_hash(run, unet) if stage == "resnet" else ""}
    missing = runtime.agree(not _is_made(folder / "made.json", made))
    if not missing:
        return
    if stage == "patches":
        requests = patch_requests("lesion", rows, seed=run.settings.seed)
    else:
        # Every host asks the U-Net: placing a network is a joint act of all of them.
        requests = truth_requests(rows) + found_requests(run, rows, runtime, unet)
    if runtime.is_main:
        # As many hosts must be able to share the patches as share the images.
        lanes = open_index(open_store(run.shards("train"))).lanes
        report = ingest_patches(requests, run.contract, folder, policy=run.policy, workers=workers, lanes=lanes)
        write_skipped(folder / "skipped.csv", [Skipped(item, reason) for item, reason in report.skipped])
        print(f"{stage}: {report}", flush=True)
        write_json(folder / "made.json", made)
    runtime.wait_for_hosts()
    run.share(runtime)


def found_requests(run: Run, rows: list[ImageRow], runtime: Runtime, unet: int | None) -> list[PatchRequest]:
    """The strongest regions that the U-Net finds on training and validation images, labelled by the lesion they hit.

    A region on an image that may hold unmarked lesions, or on a lesion of unknown
    pathology, gets no label and is left out.
    """
    finder = Finder(runtime, from_run(run.stage("unet"), "best" if unet is None else unet), None, run.contract)
    by_id = {row.image_id: row for row in rows}
    requests = []
    for split in SPLITS:
        store, index = open_shards(run.shards(split))
        for start in progress(range(0, len(index), finder.batch), f"U-Net on {split} images"):
            samples = [read_sample(store, index, row) for row in range(start, min(start + finder.batch, len(index)))]
            for analysis in finder.find(samples):
                sample, truths = analysis.sample, lesion_truths(analysis.sample)
                side_px = patch_side_px(run.contract, sample.extra["spacing_mm"], sample.extra["breast_height_px"])
                for region in matched_regions(analysis)[:FOUND_PER_IMAGE]:
                    label = region_label(sample, truths, region, side_px)
                    if label is not None:
                        lesion_id = truths[region.hit].lesion_id if region.hit >= 0 else ""
                        requests.append(
                            PatchRequest(
                                row=by_id[sample.image_id],
                                label=label,
                                origin="found",
                                lesion_id=lesion_id,
                                centre=(region.centre_x, region.centre_y),
                                score=region.probability,
                            )
                        )
    return requests


def unet_hash(run: Run, unet: int | None) -> str:
    """sha256 of the U-Net that finds the regions. Raises BadConfig where it is not trained yet."""
    try:
        return weights_hash(run.stage("unet"), "best" if unet is None else unet)
    except BadFile as error:
        raise BadConfig(f"resnet: needs a trained U-Net to find its patches: {error}; run train/unet/finetune.py first") from error


def _is_made(path: Path, made: dict[str, str]) -> bool:
    try:
        return json.loads(path.read_text()) == made
    except (OSError, ValueError):
        return False
