"""What eval/compare.py does: the reports of two runs on the same held-out images, side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mammolibs.errors import BadConfig, BadData, BadFile
from mammolibs.evaluate import Prediction, read_predictions
from mammolibs.evaluate.compare import COMPARED, beside, comparison_table, paired_tests, write_comparison
from mammolibs.evaluate.flow import held_out_rows
from mammolibs.pipeline.facts import command_line
from mammolibs.pipeline.table_options import CompareOptions


def compare_runs(options: CompareOptions) -> None:
    """Write the comparison into the first run's report (or --out) and print it.

    Raises BadConfig where a run has no predictions, BadData where the two hold other images or are one.
    """
    folders = [Path(options.first), Path(options.second)]
    if folders[0].resolve() == folders[1].resolve():
        raise BadData(f"{folders[0]}: compared with itself; name two runs")
    called = _names(folders)
    first, second = (held_out_rows(read_run_predictions(folder)) for folder in folders)
    made_by = [read_provenance(folder) for folder in folders]
    result: dict[str, Any] = beside(first, second, COMPARED, made_by[0]["split_hash"], called=called, rounds=options.rounds)
    result["tests"] = paired_tests(first, second)
    result["provenance"] = dict(zip(called, made_by, strict=True))
    out = Path(options.out or folders[0] / "report")
    write_comparison(out, result, called=called, command=command_line())
    print(comparison_table(result, called))
    print(f"comparison: {out / 'comparison.html'}")


def _names(folders: list[Path]) -> tuple[str, str]:
    names = [folder.name for folder in folders]
    return tuple(names) if names[0] != names[1] else tuple(folder.as_posix() for folder in folders)


def read_run_predictions(run: Path) -> list[Prediction]:
    """The run's predictions, those of all its folds where it has folds. Raises BadConfig where there are none."""
    path = run / "report" / "predictions.parquet"
    if not path.is_file():
        raise BadConfig(
            f"{run}: no predictions here; make them: python eval/pipeline_eval.py --run {run}, or with folds: bash train/train.sh --run {run}"
        )
    return read_predictions(path)


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
