"""Leave one source out: for each source a run on the others, judged on it; one report over all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mammolibs.catalog import read_skipped, split_hash, write_catalog, write_skipped
from mammolibs.evaluate import Beside, LeftOut, held_out_rows, read_predictions, write_left_out
from mammolibs.evaluate.left_out import drop_lines
from mammolibs.pipeline.data import check_sources, make_part_data, open_run, whole_rows
from mammolibs.pipeline.evaluate_run import evaluate_run
from mammolibs.pipeline.external import Elsewhere, audit_elsewhere, judge_elsewhere, refuse_touched
from mammolibs.pipeline.facts import command_line
from mammolibs.pipeline.fold_report import is_judged, read_report, read_report_at
from mammolibs.pipeline.judge import OPERATING_NAME, Operating
from mammolibs.pipeline.options import ExternalEvalOptions, PipelineEvalOptions, TrainOptions
from mammolibs.pipeline.run import Run
from mammolibs.pipeline.splits import offences
from mammolibs.records import ImageRow
from mammolibs.runtime import Runtime

WITHOUT = "without"


def run_without_each(
    folder: Path, options: TrainOptions, sources: list[tuple[str, str]], runtime: Runtime, train: Callable[[Run, TrainOptions], None]
) -> dict[str, Any]:
    """A run under `<folder>/without/<source>` for each source, one report in `<folder>/report`; returns its report.json.

    train: trains every stage of a run. What is finished is skipped and said so. Raises as `check_sources`, before anything is trained.
    """
    rows = whole_rows(options, sources, folder / "data", options.seed or 0)
    names = check_sources(rows)
    runs = []
    for number, name in enumerate(names, 1):
        run = open_run(folder / WITHOUT / name, options, sources, left_out=name, first=folder / WITHOUT / names[0])
        runs.append(run)
        elsewhere = left_out_rows(run, options, rows, folder / "data")
        if is_judged(run) and is_judged_elsewhere(run, elsewhere):
            print(f"without {name}, {number} of {len(names)}: finished before, skipped", flush=True)
            continue
        print(f"without {name}, {number} of {len(names)}", flush=True)
        if not is_judged(run):
            make_part_data(run, options, [row for row in rows if row.source != name], folder / "data")
            # What is no test set is told now and not after hours of training.
            refuse_touched(elsewhere, offences(run, audit_elsewhere(run, elsewhere, options.workers), elsewhere.rows, {}), forced=False)
            train(run, options)
            evaluate_run(PipelineEvalOptions(run=str(run.folder), precision=options.precision, workers=options.workers))
        given = tuple(f"{source}={path}" for source, path in sources if source == name)
        judge_elsewhere(run, runtime, elsewhere, ExternalEvalOptions(source=given, precision=options.precision, workers=options.workers))
    return write_joint_report(folder, runs)


def left_out_rows(run: Run, options: TrainOptions, rows: Sequence[ImageRow], whole: Path) -> Elsewhere:
    """The rows of the source that the run was trained without, all held out, with catalog and list of what was skipped beside its report."""
    name, out = run.settings.left_out, run.folder / "external" / run.settings.left_out
    spacing = {"spacing_mm": options.spacing_mm} if options.spacing_mm else {}
    own = [replace(row, split="test", **spacing) for row in rows if row.source == name]
    write_catalog(out / "data" / "catalog.parquet", own)
    write_skipped(out / "data" / "skipped.csv", [item for item in read_skipped(whole / "skipped.csv") if item.source == name])
    return Elsewhere(rows=own, out=out, skipped=(out / "data" / "skipped.csv",))


def is_judged_elsewhere(run: Run, elsewhere: Elsewhere) -> bool:
    """True where the left-out source was judged with the weights that the run's own report is of, on these very rows."""
    if not (elsewhere.out / "report.json").is_file():
        return False
    made_by, own = read_report_at(elsewhere.out, run)["provenance"], read_report(run)["provenance"]
    return made_by["weights_sha256"] == own["weights_sha256"] and made_by["split_hash"] == split_hash(elsewhere.rows)


def write_joint_report(folder: Path, runs: Sequence[Run]) -> dict[str, Any]:
    """The report over all runs, from their tables of predictions; returns report.json. Raises BadFile where one of them is damaged."""
    told, found, truths = {}, {}, set()
    for run in runs:
        name, out = run.settings.left_out, run.folder / "external" / run.settings.left_out
        report = read_report_at(out, run)
        told[name], truths = report["provenance"], truths | set(report["data"]["truth"])
        chosen = {-1: Operating.load(run.folder / OPERATING_NAME).chosen}
        hashes = told[name]["internal_split_hash"], told[name]["split_hash"]
        places = run.report / "predictions.parquet", out / "predictions.parquet"
        inside, outside = (
            Beside(rows=held_out_rows(read_predictions(place)), chosen=chosen, split_hash=hashed)
            for place, hashed in zip(places, hashes, strict=True)
        )
        found[name] = LeftOut(trained_on=tuple(told[name]["sources"]), internal=inside, external=outside)
    return write_left_out(folder / "report", found, data={"truth": sorted(truths)}, provenance=told, command=command_line())


def print_joint_summary(result: dict[str, Any], folder: Path, seconds: float) -> None:
    """The drops, and where everything lies."""
    lines = ("", f"Each source judged by a run on the others, 95 % intervals ({seconds / 60:.1f} minutes in all)", *drop_lines(result))
    print("\n".join((*lines, f"Report: {folder / 'report' / 'report.html'}", "Research only. Not a medical device.")), flush=True)
