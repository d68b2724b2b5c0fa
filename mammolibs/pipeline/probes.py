"""Cheap probes that see no tissue, or too little of it to know a lesion by: how far each gets on held-out images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from mammolibs.catalog import read_catalog
from mammolibs.errors import MammolibsError
from mammolibs.evaluate import Prediction, ProbeScore
from mammolibs.evaluate.probe import linear_probe, one_hot
from mammolibs.evaluate.shortcuts import source_probe
from mammolibs.imaging.pool import map_files
from mammolibs.ingest import Cues, read_cues
from mammolibs.pipeline.progress import progress
from mammolibs.records import ImageRow

if TYPE_CHECKING:
    from mammolibs.pipeline.judge import Judge

MOST_IMAGES, LEAST_MOST_IMAGES = 2000, 100
# Fixed beforehand: few patients and many features, so a strong ridge.
STRENGTH = 0.01
MALIGNANT = {"malignant": 1, "benign": 0, "normal": 0}
Columns = tuple[np.ndarray, np.ndarray]


def _facts(*names: str, of: str = "facts") -> Callable[[Sequence[Cues], Sequence[Cues]], Columns]:
    def columns(train: Sequence[Cues], other: Sequence[Cues]) -> Columns:
        told = [[{k: v for k, v in getattr(cues, of).items() if not names or k in names} for cues in part] for part in (train, other)]
        return one_hot(*told)

    return columns


def _numbers(name: str) -> Callable[[Sequence[Cues], Sequence[Cues]], Columns]:
    return lambda train, other: tuple(np.stack([getattr(cues, name) for cues in part]) for part in (train, other))


SEEN = {
    "metadata": _facts(),
    "source": _facts("source"),
    "person": _facts(of="person"),
    "surroundings": _numbers("surroundings"),
    "outline": _numbers("outline"),
    "blurred": _numbers("blurred"),
}


def probed(judge: Judge, held_out: Sequence[Prediction]) -> list[Prediction]:
    """The rows with what each probe makes of them, trained on images of the run's training patients, as `drawn` takes them."""
    known = [p for p in held_out if p.image_id in judge.cues]
    if not known:
        return list(held_out)
    train = drawn(read_catalog(judge.run.catalog), most_images(len(judge.rows("validation")) + len(held_out)), judge.run.settings.seed)
    read = partial(read_cues, contract=judge.run.contract, policy=judge.run.policy)
    results = progress(map_files(read, train, workers=judge.workers, describe=_path), "shortcut probes", unit="image", total=len(train))
    # An image that cannot be read is in the lists of what was left out already, by the shards that training read.
    cues = {row.image_id: found for row, found in results if not isinstance(found, MammolibsError)}
    rows = [row for row in train if row.image_id in cues]
    scores = probe_scores(rows, [cues[row.image_id] for row in rows], [judge.cues[p.image_id] for p in known])
    by_id = dict(zip((p.image_id for p in known), scores, strict=True))
    return [replace(p, probes=by_id.get(p.image_id, ())) for p in held_out]


def most_images(judged: int) -> int:
    """How many training images are read for the probes: half as many as the networks were asked about, so that reading them stays cheap."""
    return min(MOST_IMAGES, max(LEAST_MOST_IMAGES, judged // 2))


def drawn(rows: Sequence[ImageRow], most: int, seed: int) -> list[ImageRow]:
    """Training images with a known label, no derived copies, at most so many, by seed: up to half of them malignant."""
    usable = sorted(
        (row for row in rows if row.split == "train" and row.pathology in MALIGNANT and not row.parent_id), key=lambda row: row.image_id
    )
    rng = np.random.default_rng(seed)
    shuffled = [usable[k] for k in rng.permutation(len(usable))]
    ill = [row for row in shuffled if MALIGNANT[row.pathology]]
    well = [row for row in shuffled if not MALIGNANT[row.pathology]]
    count = min(len(ill), max(most // 2, most - len(well)))
    return sorted([*ill[:count], *well[: most - count]], key=lambda row: row.image_id)


def probe_scores(rows: Sequence[ImageRow], train: Sequence[Cues], other: Sequence[Cues]) -> list[tuple[ProbeScore, ...]]:
    """The scores of each other image. rows, train: training images and their cues. Where there are several sources they are recognised too."""
    labels = np.array([MALIGNANT[row.pathology] for row in rows], int)
    patients = np.array([row.patient_id for row in rows], str)
    sources = sorted({row.source for row in rows})
    asked = [(name, labels, columns) for name, columns in SEEN.items() if name != "source" or len(sources) > 1]
    for source in sources if len(sources) > 1 else ():
        asked.append((source_probe(source), np.array([int(row.source == source) for row in rows]), SEEN["blurred"]))
    told = [_one_probe(name, wanted, patients, columns, train, other) for name, wanted, columns in asked]
    return list(zip(*told, strict=True))


def _one_probe(
    name: str, labels: np.ndarray, patients: np.ndarray, columns: Callable[..., Columns], train: Sequence[Cues], other: Sequence[Cues]
) -> list[ProbeScore]:
    trained = {"trained_on": len(labels), "trained_events": int(labels.sum())}
    if len(np.unique(labels)) < 2:
        return [ProbeScore(name=name, score=None, **trained)] * len(other)
    seen, asked = columns(train, other)
    scores = linear_probe(seen, labels, patients, asked, strengths=(STRENGTH,))
    return [ProbeScore(name=name, score=float(score), **trained) for score in scores]


def _path(row: ImageRow) -> str:
    return row.path
