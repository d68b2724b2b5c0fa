"""A finished run beside the simple baselines, on the same held-out patients and folds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from benches.baseline_blobs import as_regions, find_candidates, score_regions
from benches.baseline_measures import measures, out_of_fold_scores, with_differences
from tqdm import tqdm

from mammolibs.errors import BadConfig, BadData, BadFile
from mammolibs.evaluate import Prediction, measure, paired_difference, read_predictions, write_predictions
from mammolibs.evaluate.detection import is_located
from mammolibs.evaluate.flow import held_out_rows
from mammolibs.evaluate.report import FOLD_FIGURES
from mammolibs.evaluate.result import block, show
from mammolibs.records import Sample
from mammolibs.shards import open_index, read_sample
from mammolibs.storage import open_store, write_json

COMPARED = (
    "image_auc",
    "patient_auc",
    "sensitivity_at_90_specificity",
    "lesion_sensitivity_at_0.5_fp",
    "lesion_sensitivity_at_1_fp",
    "lesion_sensitivity_at_2_fp",
)


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
    result = beside(ours, theirs, COMPARED, split_hash) | {"provenance": made_by}
    write_json(run / "report" / "baselines.json", result)
    write_predictions(run / "report" / "baselines.parquet", theirs)
    return result


def compare_runs(run: Path, other: Path) -> dict[str, Any]:
    """Two runs on the same images, paired: figures of both and their differences; written to `report/against.json`.

    Raises BadConfig where one has no predictions, BadData where they hold other images.
    """
    ours, theirs = (held_out_rows(read_run_predictions(folder)) for folder in (run, other))
    made_by = read_provenance(run)
    result = beside(ours, theirs, (*COMPARED, "dice"), made_by["split_hash"])
    result["provenance"] = {"pipeline": made_by, "baseline": read_provenance(other)}
    write_json(run / "report" / "against.json", result)
    return result


def beside(ours: Sequence[Prediction], theirs: Sequence[Prediction], names: Sequence[str], split_hash: str) -> dict[str, Any]:
    """Figures of both and their paired differences; where there are folds also within them, which pooling cannot flatter."""
    if len({p.fold for p in ours}) > 1:
        names = (*names, *(f"{name}_within_fold" for name in names if name in FOLD_FIGURES))
    return {
        "pipeline": block({name: measure(ours, name) for name in names}, split_hash),
        "baseline": block({name: measure(theirs, name) for name in names}, split_hash),
        "difference": block({name: paired_difference(ours, theirs, name) for name in names}, split_hash),
    }


def read_run_predictions(run: Path) -> list[Prediction]:
    """The run's predictions, those of all its folds where it has folds. Raises BadConfig where there are none."""
    path = run / "report" / "predictions.parquet"
    if not path.is_file():
        raise BadConfig(f"{run}: no predictions here; make them: python eval/pipeline_eval.py --run {run}, or with folds: bash train/train.sh --run {run}")
    return read_predictions(path)


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


def read_provenance(run: Path) -> dict[str, Any]:
    """What the run's figures stand on, as its report has it, with its split_hash.

    Raises BadFile where there is no report, or a damaged one.
    """
    path = run / "report" / "report.json"
    try:
        report = json.loads(path.read_text())
        return {**report["provenance"], "split_hash": report["data"]["split_hash"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadFile(path, f"cannot be read ({type(error).__name__})", f"make it again: bash train/train.sh --run {run}") from error


def table(result: dict[str, Any]) -> str:
    """Figure, pipeline, baseline and difference as aligned text."""
    rows = [("figure", "pipeline", "baseline", "difference")]
    names = [name for name in result["difference"] if name != "split_hash"]
    rows += [(name, *(show(result[part][name]) for part in ("pipeline", "baseline", "difference"))) for name in names]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
