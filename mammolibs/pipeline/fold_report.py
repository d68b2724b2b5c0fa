"""One report over the held-out patients of all folds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mammolibs.catalog import Skipped, read_catalog, split_hash
from mammolibs.catalog.verdict import short_verdict
from mammolibs.errors import BadFile
from mammolibs.evaluate import read_predictions, write_predictions, write_report
from mammolibs.models.runs import weights_hash
from mammolibs.pipeline.examples import report_examples
from mammolibs.pipeline.facts import by_reason, command_line, counted, data_facts, runtime_facts
from mammolibs.pipeline.image_values import VALUES_NAME, fold_figures, read_values
from mammolibs.pipeline.judge import OPERATING_NAME, Judge, Operating
from mammolibs.pipeline.looks import looks_at
from mammolibs.pipeline.population import population
from mammolibs.pipeline.run import Run
from mammolibs.pipeline.splits import split_verdict
from mammolibs.records import ImageRow
from mammolibs.runtime import Runtime


def write_fold_report(folder: Path, runs: Sequence[Run], runtime: Runtime, workers: int) -> dict[str, Any]:
    """Pool the folds' predictions into `<folder>/report`; returns report.json.

    Raises BadFile where a fold's own report is damaged.
    """
    predictions = [row for run in runs for row in read_predictions(run.report / "predictions.parquet")]
    reports = [read_report(run) for run in runs]
    judges = {k: (Judge.open(run, runtime, workers=workers), Operating.load(run.folder / OPERATING_NAME)) for k, run in enumerate(runs)}
    rows = read_catalog(folder / "data" / "catalog.parquet")
    data = data_facts(
        rows,
        [folder / "data" / "skipped.csv", *(run.skipped for run in runs)],
        [(image["image_id"], image["reason"]) for report in reports for image in report["data"]["unread"]],
    )
    data["audit"] = {f"fold {k}": report["data"]["audit"] for k, report in enumerate(reports)}
    data["looks_at_this_test_set"] = max(looks_at(run) for run in runs)
    data["splits"] = {f"fold {k}": report["data"]["splits"] for k, report in enumerate(reports)}
    data |= in_every_split(data, rows)
    split_hash = hashlib.sha256(" ".join(report["provenance"]["split_hash"] for report in reports).encode()).hexdigest()[:16]
    write_predictions(folder / "report" / "predictions.parquet", predictions)
    return write_report(
        folder / "report",
        predictions=predictions,
        stages=fold_figures([read_values(run.report / VALUES_NAME) for run in runs]),
        data=data,
        runtime=runtime_facts(runtime),
        split_hash=split_hash,
        provenance={f"fold {k}": report["provenance"] for k, report in enumerate(reports)},
        history={f"U-Net, fold {k}": run.stage("unet") / "history.csv" for k, run in enumerate(runs)},
        examples=report_examples(judges, predictions),
        chosen={k: operating.chosen for k, (_, operating) in judges.items()},
        command=command_line(),
    )


def in_every_split(data: Mapping[str, Any], rows: Sequence[ImageRow]) -> dict[str, Any]:
    """What replaces facts by split where each image is trained on, chosen by and held out in turn."""
    unread = counted(by_reason(Skipped(item=image["image_id"], reason=image["reason"]) for image in data["unread"]))
    catalog = data["catalog"] | {"held_out": len(rows), "splits": {}, "refused": {}, "unread": unread}
    return {"population": {"all folds": population(rows)}, "catalog": catalog}


def read_report(run: Run) -> dict[str, Any]:
    """A fold's report.json. Raises BadFile where it is damaged."""
    return read_report_at(run.report, run)


def read_report_at(folder: Path, run: Run) -> dict[str, Any]:
    """The report.json of this run in a folder. Raises BadFile where it is damaged."""
    path = folder / "report.json"
    try:
        report = json.loads(path.read_text())
        report["provenance"]["split_hash"], report["provenance"]["weights_sha256"], report["data"]["unread"]
        return report
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadFile(path, f"is damaged ({error})", f"make it again: python eval/pipeline_eval.py --run {run.folder}") from error


def is_judged(run: Run) -> bool:
    """True where the run was evaluated to the end, with its best weights and the verdict on its split of today: else its report is old."""
    trained = [name for name in ("encoder", "autoencoder", "unet", "resnet") if (run.stage(name) / "best.json").is_file()]
    if not (run.report / "report.json").is_file() or not all((run.stage(name) / "evaluation.json").is_file() for name in trained):
        return False
    best = {name: weights_hash(run.stage(name), "best") for name in ("unet", "resnet")}
    made_by, rows = read_report(run)["provenance"], read_catalog(run.catalog)
    same_audit = made_by.get("audit") == short_verdict(split_verdict(run, rows), split_hash(rows))
    return same_audit and best == made_by["weights_sha256"] == Operating.load(run.folder / OPERATING_NAME).models
