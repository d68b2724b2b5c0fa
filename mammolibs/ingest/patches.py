"""Places on images -> one shard set of patches per split, every image decoded once for all its places."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from mammolibs.errors import BadConfig, BadData
from mammolibs.ingest.gate import admit
from mammolibs.ingest.images import DEFAULT_SKIP_SHARE, DEFAULT_TIMEOUT_S, dealing_order
from mammolibs.ingest.places import normal_places
from mammolibs.ingest.reading import read_lesions, read_row
from mammolibs.ingest.report import IngestReport, check_rows, fingerprint
from mammolibs.ingest.writing import Crew, Job, Made, write_splits
from mammolibs.prepare import Contract, FullResolution, Located, Raster, cut_patch, full_resolution, patch_placement
from mammolibs.records import ImageRow, Lesion, Policy, Sample

ORIGINS = ("truth", "found", "normal")
PATCH_KINDS = ("lesion", "malignancy")
NORMAL_PER_IMAGE = 2


@dataclass(frozen=True, kw_only=True)
class PatchRequest:
    """One patch that is wanted.

    origin: "truth" (round the lesion `lesion_id`), "found" (round what a finder found),
    "normal" (tissue without a lesion). centre: x, y in original pixels; without it a
    "truth" patch lies at its lesion's centre and a "normal" one at a random place that
    `seed` and the image id decide. label: 1 malignant, 0 not. score: the finder's.
    """

    row: ImageRow
    label: int
    origin: str
    centre: tuple[float, float] | None = None
    lesion_id: str = ""
    score: float | None = None
    seed: int = 0

    def __post_init__(self):
        if self.origin not in ORIGINS:
            raise BadConfig(f"patch origin is {self.origin!r}, allowed are {', '.join(ORIGINS)}")
        if self.centre is None and self.origin == "found":
            raise BadConfig(f"{self.row.image_id}: a found patch needs its centre")


def truth_requests(rows: Iterable[ImageRow]) -> list[PatchRequest]:
    """One request for each lesion whose place is known: label 1 where the lesion is malignant, 0 where it is benign or normal.

    A lesion of unknown pathology gives none: it would be a label that nobody set.
    """
    labels = {"malignant": 1, "benign": 0, "normal": 0}
    return [
        PatchRequest(row=row, label=labels[lesion.pathology], origin="truth", lesion_id=lesion.lesion_id)
        for row in rows
        for lesion in row.lesions
        if lesion.outline.shape != "none" and lesion.pathology in labels
    ]


def normal_requests(rows: Iterable[ImageRow], per_image: int, *, seed: int = 0) -> list[PatchRequest]:
    """`per_image` requests for normal tissue on each image where nothing unmarked can be: it is
    normal, or all its lesions have a place."""
    return [
        PatchRequest(row=row, label=0, origin="normal", seed=seed)
        for row in rows
        if (row.lesions or row.pathology == "normal") and all(lesion.outline.shape != "none" for lesion in row.lesions)
        for _ in range(per_image)
    ]


def patch_requests(kind: str, rows: Sequence[ImageRow], *, seed: int = 0) -> list[PatchRequest]:
    """Round all lesions whose place is known, and of normal tissue. kind: one of `PATCH_KINDS`.

    "lesion": label 1 on every lesion; "malignancy": 1 on malignant ones alone.
    """
    if kind not in PATCH_KINDS:
        raise BadConfig(f"patches of {kind!r}: allowed are {', '.join(PATCH_KINDS)}")
    truth = truth_requests(rows)
    if kind == "lesion":
        truth = [replace(request, label=1) for request in truth]
    return truth + normal_requests(rows, NORMAL_PER_IMAGE, seed=seed)


def ingest_patches(
    requests: Sequence[PatchRequest],
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
    progress: bool = True,
) -> IngestReport:
    """Write `<folder>/<split>/` with one sample per request; as `ingest_images`, which see.

    The samples' image ids are those of their images with "#" and a number; `extra` holds
    origin, lesion_id, centre_original, side_px, spacing_mm, score and parent_id.
    """
    if not requests:
        raise BadData("there are no patches to cut; look at the catalog")
    jobs = _jobs(requests)
    check_rows([job.row for job in jobs])
    key = fingerprint([job.row for job in jobs], contract, lanes, codec, policy, _requests_hash(jobs))
    job = Job(
        items=jobs,
        function=partial(_cut_job, contract=contract, policy=policy),
        row_of=_row_of,
        weigh=_weigh,
        total=len(requests),
        skip_share=skip_share,
        contract=contract,
        key=key,
        lanes=lanes,
        codec=codec,
    )
    return write_splits(job, folder, Crew(workers=workers, timeout_s=timeout_s, scheduler=scheduler), progress=progress)


@dataclass(frozen=True)
class _Job:
    """All requests for one image."""

    row: ImageRow
    requests: tuple[PatchRequest, ...]


def _jobs(requests: Sequence[PatchRequest]) -> list[_Job]:
    by_row: dict[ImageRow, list[PatchRequest]] = {}
    for request in requests:
        by_row.setdefault(request.row, []).append(request)
    return [_Job(row, tuple(by_row[row])) for row in sorted(by_row, key=dealing_order)]


def _requests_hash(jobs: Sequence[_Job]) -> str:
    digest = hashlib.sha256()
    for job in jobs:
        for r in job.requests:
            digest.update(repr((r.row.image_id, r.label, r.origin, r.centre, r.lesion_id, r.score, r.seed)).encode())
    return digest.hexdigest()


def _row_of(job: _Job) -> ImageRow:
    return job.row


def _weigh(job: _Job) -> int:
    return len(job.requests)


def _cut_job(job: _Job, contract: Contract, policy: Policy) -> Made:
    mammogram = read_row(job.row)
    verdict, located = admit(mammogram, contract, policy, "train")
    full = full_resolution(mammogram, contract, located=located)
    raster = None
    if any(request.centre is None for request in job.requests):
        raster = read_lesions(job.row, mammogram.pixels.shape, located)
    samples, skipped = [], []
    for number, (request, centre) in enumerate(zip(job.requests, _centres(job, contract, full, located, raster), strict=True)):
        if centre is None:
            skipped.append((f"{job.row.path} ({request.origin} patch)", "has no place on this image"))
        else:
            samples.append(_sample(request, centre, f"{job.row.image_id}#{number:03d}", contract, full))
    return Made(samples, verdict, skipped)


def _centres(
    job: _Job, contract: Contract, full: FullResolution, located: Located, raster: Raster | None
) -> list[tuple[float, float] | None]:
    """The centre of each request, None where the image has no such place."""
    places: dict[int, list[tuple[float, float]]] = {}
    for seed in {r.seed for r in job.requests if r.origin == "normal" and r.centre is None}:
        wanted = sum(r.origin == "normal" and r.centre is None and r.seed == seed for r in job.requests)
        # A lesion may have lost its place only now, and may lie anywhere then.
        known = all(lesion.box for lesion in raster.lesions)
        places[seed] = normal_places(job.row.image_id, seed, wanted, contract, full, located, raster.lesions) if known else []
    by_id = {lesion.lesion_id: lesion.centre for lesion in raster.lesions} if raster else {}
    centres: list[tuple[float, float] | None] = []
    for request in job.requests:
        if request.centre is not None:
            centres.append(request.centre)
        elif request.origin == "truth":
            centres.append(by_id.get(request.lesion_id))
        else:
            centres.append(places[request.seed].pop(0) if places[request.seed] else None)
    return centres


def _sample(request: PatchRequest, centre: tuple[float, float], image_id: str, contract: Contract, full: FullResolution) -> Sample:
    row, size = request.row, contract.patch_size_px
    placement = patch_placement(full, centre, contract)
    lesion = next((one for one in row.lesions if one.lesion_id == request.lesion_id), None)
    return Sample(
        image=cut_patch(full, centre, contract),
        mask=None,
        breast=(0, 0, size, size),
        placement=placement,
        image_id=image_id,
        patient_id=row.patient_id,
        exam_id=row.exam_id,
        source=row.source,
        laterality=row.laterality,
        view=row.view,
        pathology=_pathology(request, lesion),
        label=request.label,
        has_lesion=int(bool(request.lesion_id)),
        split=row.split,
        extra=_extra(request, centre, placement.crop[2] - placement.crop[0], full.spacing_mm, lesion),
    )


def _pathology(request: PatchRequest, lesion: Lesion | None) -> str:
    if lesion is not None:
        return lesion.pathology
    return "malignant" if request.label == 1 else "normal"


def _extra(
    request: PatchRequest, centre: tuple[float, float], side: int, spacing_mm: float | None, lesion: Lesion | None
) -> dict[str, Any]:
    row = request.row
    return {
        "origin": request.origin,
        "lesion_id": request.lesion_id,
        "kind": lesion.kind if lesion else "",
        "centre_original": [round(float(v), 3) for v in np.asarray(centre)],
        "side_px": side,
        "spacing_mm": spacing_mm,
        "score": request.score,
        "parent_id": row.image_id,
        "frame": row.frame,
        "maker": row.maker,
        "density": row.density,
    }
