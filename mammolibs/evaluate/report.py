"""One evaluation as `report.json`, `report.md` and one self-contained `report.html`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mammolibs.errors import BadData
from mammolibs.evaluate.bootstrap import ROUNDS, Draws, estimate
from mammolibs.evaluate.metrics import METRICS, measure_all, within_folds
from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.result import DISCLAIMER, Figures, block, table_rows
from mammolibs.storage import write_atomic, write_json

FOLD_FIGURES = ("image_auc", "patient_auc", "dice", "lesion_sensitivity_at_1_fp")


def write_report(
    folder: str | Path,
    *,
    predictions: Sequence[Prediction],
    stages: Mapping[str, Figures],
    data: Mapping[str, Any],
    runtime: Mapping[str, Any],
    split_hash: str | None,
    history: Mapping[str, Any] | None = None,
    examples: Sequence[Any] = (),
    thresholds: Sequence[Any] = (),
    command: str = "",
    rounds: int = ROUNDS,
    seed: int = 0,
) -> dict[str, Any]:
    """Write the report into `folder`; returns what stands in report.json."""
    folder = Path(folder)
    held_out = held_out_rows(predictions)
    result = build_result(held_out, stages=stages, data=data, runtime=runtime, split_hash=split_hash, rounds=rounds, seed=seed)
    result["thresholds"] = [t.to_dict() for t in thresholds]
    result["command"] = command
    result["disclaimer"] = DISCLAIMER
    write_json(folder / "report.json", result)
    lines = ["# Report", ""]
    for name in ("pipeline", "unet", "resnet", "encoder", "autoencoder"):
        lines += [f"## {name}", "", "| figure | value | unit | n | events |", "|---|---|---|---|---|"]
        lines += ["| " + " | ".join(row) + " |" for row in table_rows(result.get(name, {}))] + [""]
    text = "\n".join(lines + [f"**{DISCLAIMER}**", ""])
    write_atomic(folder / "report.md", text.encode())
    write_atomic(folder / "report.html", f"<!doctype html><meta charset=utf-8><pre>{text}</pre>".encode())
    return result


def held_out_rows(predictions: Sequence[Prediction]) -> list[Prediction]:
    """The test rows, each image once.

    Raises BadData where a patient stands in the test rows and in other rows of the same fold.
    """
    sides: dict[tuple[int, str], set[bool]] = defaultdict(set)
    for p in predictions:
        sides[(p.fold, p.patient_id)].add(p.split == "test")
    leaks = sorted(patient for (_, patient), found in sides.items() if len(found) == 2)
    if leaks:
        raise BadData(f"{len(leaks)} patients are held out and not held out at once, {leaks[0]} first; make the split again")
    unique: dict[str, Prediction] = {}
    for p in predictions:
        if p.split == "test":
            unique.setdefault(p.image_id, p)
    return list(unique.values())


def build_result(
    held_out: Sequence[Prediction],
    *,
    stages: Mapping[str, Figures],
    data: Mapping[str, Any],
    runtime: Mapping[str, Any],
    split_hash: str | None,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> dict[str, Any]:
    """All figures as JSON: pipeline, unet and resnet from the predictions, beside what the stages give."""
    draws = Draws([p.patient_id for p in held_out], rounds=rounds, seed=seed)
    figures: dict[str, dict[str, Any]] = {name: dict(values) for name, values in measure_all(held_out, draws).items()}
    for name, values in stages.items():
        figures.setdefault(name, {}).update({k: v for k, v in values.items() if k not in figures[name]})
    for name in ("encoder", "autoencoder"):
        figures.setdefault(name, {})
    folds = sorted({p.fold for p in held_out})
    if len(folds) > 1:
        for name, builders in METRICS.items():
            for metric in (m for m in FOLD_FIGURES if m in builders):
                figures[name][f"{metric}_within_fold"] = estimate(within_folds(held_out, metric), draws)
    result: dict[str, Any] = {name: block(values, split_hash) for name, values in figures.items()}
    if len(folds) > 1:
        result["folds"] = {str(fold): _fold_block(held_out, fold, split_hash, draws) for fold in folds}
    return result | {"data": {**data, "split_hash": split_hash}, "runtime": dict(runtime)}


def _fold_block(held_out: Sequence[Prediction], fold: int, split_hash: str | None, draws: Draws) -> dict[str, Any]:
    rows = [p for p in held_out if p.fold == fold]
    return block(
        {m: estimate(build(rows), draws) for builders in METRICS.values() for m, build in builders.items() if m in FOLD_FIGURES},
        split_hash,
    )
