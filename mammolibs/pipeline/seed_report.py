"""One report over runs that differ in nothing but the seed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mammolibs.catalog import read_catalog
from mammolibs.errors import BadData
from mammolibs.evaluate import held_out_rows, read_predictions
from mammolibs.evaluate.seeds import STAGES, spread_over_seeds
from mammolibs.evaluate.seeds_report import write_seeds_report
from mammolibs.pipeline.facts import command_line, data_facts, runtime_facts
from mammolibs.pipeline.fold_report import read_report
from mammolibs.pipeline.looks import looks_at
from mammolibs.pipeline.run import Run
from mammolibs.runtime import Runtime


def write_seed_report(folder: Path, runs: Sequence[Run], runtime: Runtime) -> dict[str, Any]:
    """Set the reports of all seeds beside each other in `<folder>/report`; returns report.json.

    Raises BadFile where a seed's own report is damaged, BadData where two stand on different splits or images.
    """
    reports = [read_report(run) for run in runs]
    splits = {report["provenance"]["split_hash"] for report in reports}
    if len(splits) > 1:
        raise BadData(
            f"{folder}: its seeds were judged on different splits ({', '.join(sorted(splits))}); judge each again: python eval/pipeline_eval.py"
        )
    rows = [held_out_rows(read_predictions(run.report / "predictions.parquet")) for run in runs]
    unread = [(image["image_id"], image["reason"]) for report in reports for image in report["data"]["unread"]]
    result = spread_over_seeds(reports, rows, splits.pop()) | {
        "runs": [
            {"seed": run.settings.seed, "folder": f"seeds/{run.folder.name}"}
            | {stage: report[stage] for stage in STAGES if stage in report}
            for run, report in zip(runs, reports, strict=True)
        ],
        "data": data_facts(read_catalog(runs[0].catalog), [runs[0].skipped], unread)
        | {"split_hash": reports[0]["provenance"]["split_hash"], "looks_at_this_test_set": looks_at(runs[0])},
        "runtime": runtime_facts(runtime),
        "provenance": {f"seed {run.settings.seed}": report["provenance"] for run, report in zip(runs, reports, strict=True)},
        "command": command_line(),
    }
    write_seeds_report(folder / "report", result)
    return result
