"""A trained run, judged on its held-out patients: predictions, operating points, report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mammolibs.catalog import read_catalog
from mammolibs.catalog.verdict import in_words
from mammolibs.evaluate import Prediction, write_predictions, write_report
from mammolibs.ingest.report import read_done
from mammolibs.models.weights import read_card
from mammolibs.pipeline.evaluate_stage import write_stage_reports
from mammolibs.pipeline.examples import report_examples
from mammolibs.pipeline.facts import command_line, data_facts, runtime_facts
from mammolibs.pipeline.image_values import VALUES_NAME, save_values, single_figures
from mammolibs.pipeline.judge import OPERATING_NAME, Judge, Operating
from mammolibs.pipeline.looks import looks_at, note_look
from mammolibs.pipeline.options import PipelineEvalOptions
from mammolibs.pipeline.presets import STAGES
from mammolibs.pipeline.probes import probed
from mammolibs.pipeline.provenance import provenance
from mammolibs.pipeline.run import Run
from mammolibs.pipeline.splits import check_held_out
from mammolibs.pipeline.stage_figures import pretraining_values
from mammolibs.runtime import Runtime, get_runtime
from mammolibs.storage import below


def evaluate_run(options: PipelineEvalOptions) -> dict[str, Any]:
    """Choose operating points on validation patients, score the held-out ones, write `<run>/report/`; returns report.json.

    Raises BadConfig where a stage is not trained, and as `check_held_out` where the test set is not held out.
    """
    run = Run.open(options.run, preset_name=options.preset, seed=options.seed, data=options.data)
    runtime = get_runtime(precision=options.precision, seed=run.settings.seed, one_process=True)
    iterations = {name: options.iter if own is None else own for name, own in (("unet", options.unet), ("resnet", options.resnet))}
    judge, operating, predictions = judge_run(run, runtime, options, iterations)
    values = pretraining_values(run, runtime)
    save_values(run.report / VALUES_NAME, values)
    examples = report_examples({judge.fold: (judge, operating)}, predictions)
    made_by = provenance(run, judge.iterations, operating.thresholds)
    result = write_report(
        run.report,
        predictions=predictions,
        stages=single_figures(values),
        data=data_facts(read_catalog(run.catalog), [run.skipped], judge.skipped, read_done(below(run.data, "shards")))
        | {"audit": in_words(made_by["audit"]), "looks_at_this_test_set": looks_at(run)},
        runtime=runtime_facts(runtime),
        split_hash=made_by["split_hash"],
        provenance=made_by,
        history=histories(run),
        examples=examples,
        chosen={judge.fold: operating.chosen},
        command=command_line(),
        prevalence=options.prevalence,
    )
    write_stage_reports(run, runtime, result, examples)
    run.send()
    print(f"{run.report / 'report.html'}", flush=True)
    return result


def judge_run(
    run: Run, runtime: Runtime, options: PipelineEvalOptions, iterations: dict[str, int | None]
) -> tuple[Judge, Operating, list[Prediction]]:
    """Operating points chosen and saved; predictions of validation and held-out patients made and saved."""
    judge = Judge.open(run, runtime, unet=iterations.get("unet"), resnet=iterations.get("resnet"), workers=options.workers)
    pretrained = {name: None for name in ("encoder", "autoencoder") if (run.stage(name) / "best.json").is_file()}
    check_held_out(run, judge.iterations | pretrained, force_touched=options.force_touched)
    note_look(run)
    operating, validation = judge.choose_operating_points()
    predictions = [*validation, *probed(judge, judge.predictions("test", operating))]
    operating.save(run.folder / OPERATING_NAME)
    write_predictions(run.report / "predictions.parquet", predictions)
    return judge, operating, predictions


def histories(run: Run) -> dict[str, Any]:
    """history.csv of each stage that was trained; for the U-Net with and without pretraining, where both were run."""
    paths: dict[str, Any] = {}
    for name in STAGES:
        folder = run.stage(name)
        if (folder / "history.csv").is_file():
            paths[name] = unet_histories(folder) if name == "unet" else folder / "history.csv"
    return paths


def unet_histories(folder: Path) -> Any:
    """ "pretrained" and "from scratch" -> history.csv, the newest of each among this run and those moved aside; one path where there is one kind."""
    found: dict[str, Path] = {}
    asides = sorted((p for p in folder.glob("aside-*") if p.name[6:].isdigit()), key=lambda path: int(path.name[6:]), reverse=True)
    for place in (folder, *asides):
        card = next((read_card(path) for path in sorted(place.glob("model_iter_*.json"))), None)
        if card is not None and (place / "history.csv").is_file():
            found.setdefault("pretrained" if card.parents else "from scratch", place / "history.csv")
    return found if len(found) > 1 else folder / "history.csv"
