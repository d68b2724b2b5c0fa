"""A finished run beside the simple baselines, on the same held-out patients and folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from benches.baseline_blobs import as_regions, find_candidates, score_regions
from benches.baseline_measures import measures, out_of_fold_scores, with_differences
from tqdm import tqdm

from mammolibs.errors import BadConfig, BadData
from mammolibs.evaluate import Prediction, write_predictions
from mammolibs.evaluate.compare import COMPARED, beside
from mammolibs.evaluate.detection import is_located
from mammolibs.evaluate.flow import held_out_rows
from mammolibs.pipeline.compare_runs import read_provenance, read_run_predictions
from mammolibs.records import Sample
from mammolibs.shards import open_index, read_sample
from mammolibs.storage import open_store, write_json

FIGURES = tuple(name for name in COMPARED if name != "dice")
CALLED = ("pipeline", "baseline")


def compare_run(run: Path) -> dict[str, Any]:
    """Make both baselines out of fold, write `report/baselines.json` and `baselines.parquet`; returns the JSON.

    Raises BadConfig where the run has no predictions or no shards.
    """
    ours, made_by = held_out_rows(read_run_predictions(run)), read_provenance(run)
    folder = run / "folds" / "0" if (run / "folds" / "0").is_dir() else run
    theirs = baseline_predictions(read_samples(folder / "data" / "shards"), ours)
    known = {p.image_id for p in theirs}
    ours = [p for p in ours if p.image_id in known]
    split_hash = made_by["split_hash"]
    result = beside(ours, theirs, FIGURES, split_hash, called=CALLED) | {"provenance": made_by}
    write_json(run / "report" / "baselines.json", result)
    write_predictions(run / "report" / "baselines.parquet", theirs)
    return result


def read_samples(shards: Path) -> list[Sample]:
    """Every prepared image of the run, whatever its split."""
    found = []
    for split in ("train", "validation", "test"):
        if not (shards / split).is_dir():
            continue
        store = open_store(shards / split)
        index = open_index(store)
        found += [read_sample(store, index, row) for row in tqdm(range(len(index)), desc=f"read {split}", unit="image")]
    if not found:
        raise BadConfig(f"{shards}: no prepared images here; run train/train.sh first")
    return found


def baseline_predictions(samples: Sequence[Sample], ours: Sequence[Prediction]) -> list[Prediction]:
    """The held-out rows with the baselines' image scores and regions in place of the pipeline's.

    Each fold is scored by what was fitted on all images outside it, of other patients.
    """
    truth = {p.image_id: p for p in ours}
    samples = list({s.image_id: s for s in samples}.values())
    folds = np.array([max(truth[s.image_id].fold, 0) if s.image_id in truth else -1 for s in samples])
    _refuse_shared_patients(samples, folds)
    own = np.array([list(measures(s).values()) for s in tqdm(samples, desc="measures", unit="image")])
    labels = np.array([s.label for s in samples])
    scores = out_of_fold_scores(with_differences(samples, own), labels, folds)
    candidates = [find_candidates(s) for s in tqdm(samples, desc="blobs", unit="image")]
    known = [truth.get(s.image_id) or _truth_of(s) for s in samples]
    regions = [as_regions(s, c, p) for s, c, p in zip(samples, candidates, known, strict=True)]
    regions = score_regions(candidates, regions, np.array([is_located(p) for p in known]), folds)
    rows = []
    for i in np.flatnonzero(folds >= 0):
        if not np.isfinite(scores[i]):
            raise BadData("the images outside a fold hold one class only; nothing can be fitted on them")
        score = float(scores[i])
        rows.append(replace(known[i], image_score=score, raw_score=score, regions=regions[i], dice=None, iou=None, patches=()))
    return rows


def _truth_of(sample: Sample) -> Prediction:
    """The truth of an image outside the held-out rows, from its sample."""
    from mammolibs.pipeline.outcomes import lesion_truths

    return Prediction(
        image_id=sample.image_id, patient_id=sample.patient_id, exam_id=sample.exam_id, source=sample.source, split="train",
        label=sample.label, has_lesion=sample.has_lesion, image_score=0.0, raw_score=0.0, lesions=lesion_truths(sample),
        spacing_mm=sample.extra["spacing_mm"], height=sample.placement.original[0], width=sample.placement.original[1],
    )  # fmt: skip


def _refuse_shared_patients(samples: Sequence[Sample], folds: np.ndarray) -> None:
    place: dict[str, int] = {}
    for sample, fold in zip(samples, folds, strict=True):
        if place.setdefault(sample.patient_id, int(fold)) != fold:
            raise BadData(f"patient {sample.patient_id} stands in two folds; make the folds again")
