"""The whole pipeline, as train/train.sh runs it: data, stages, report; once, or once per fold."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from mammolibs.catalog import read_catalog, split_hash
from mammolibs.engine import progress as stage_progress
from mammolibs.errors import BadConfig
from mammolibs.evaluate import read_predictions, write_predictions, write_report
from mammolibs.pipeline.data import make_data, make_fold_data, named_sources, open_run
from mammolibs.pipeline.estimate import print_estimate
from mammolibs.pipeline.evaluate_run import command_line, data_facts, evaluate_run, histories
from mammolibs.pipeline.options import AutoencoderOptions, EncoderOptions, PipelineEvalOptions, ResNetOptions, StageOptions, TrainOptions, UNetOptions
from mammolibs.pipeline.presets import STAGES
from mammolibs.pipeline.run import Run, local_folder
from mammolibs.pipeline.summary import print_summary
from mammolibs.pipeline.train_stage import train_stage
from mammolibs.runtime import get_runtime

OPTIONS = {"encoder": EncoderOptions, "autoencoder": AutoencoderOptions, "unet": UNetOptions, "resnet": ResNetOptions}


def run_chain(options: TrainOptions) -> None:
    """Everything that train.sh does; finished parts are skipped and said so."""
    began = time.monotonic()
    folder = local_folder(options.run or default_folder(options))
    sources = named_sources(options)
    if options.dry_run:
        print_estimate(folder, options, sources)
        return
    get_runtime(precision=options.precision, seed=options.seed or 0)
    sources = sources or [("phantom", str(make_default_phantoms(folder, options)))]
    result = run_folds(folder, options, sources) if options.folds else run_once(folder, options, sources)
    print_summary(result, folder, time.monotonic() - began)


def default_folder(options: TrainOptions) -> str:
    """runs/default, or runs/<source names>."""
    names = [text.partition("=")[0] for text in options.source]
    return f"runs/{'+'.join(names)}" if names else "runs/default"


def make_default_phantoms(folder: Path, options: TrainOptions) -> Path:
    """Synthetic exams in the run's folder, made once."""
    from mammolibs.phantom import make_phantoms

    phantoms = (folder / "phantoms").resolve()
    made = phantoms / "phantom.json"
    wanted = {"seed": options.seed or 0, "exams": options.exams, "rows": options.rows}
    if made.is_file():
        there = json.loads(made.read_text())
        if any(there.get(name) != value for name, value in wanted.items()):
            raise BadConfig(f"{phantoms}: holds other phantoms than asked for ({wanted}); take another --run")
        return phantoms
    make_phantoms(phantoms, **wanted)
    return phantoms


def run_once(folder: Path, options: TrainOptions, sources: list[tuple[str, str]]) -> dict[str, Any]:
    """One run on one split; returns report.json."""
    run = open_run(folder, options, sources)
    make_data(run, options, sources)
    train_stages(run, options)
    return evaluate_run(PipelineEvalOptions(run=str(folder), precision=options.precision, workers=options.workers))


def run_folds(folder: Path, options: TrainOptions, sources: list[tuple[str, str]]) -> dict[str, Any]:
    """One run per fold under `<folder>/folds/<k>`, one report over all patients in `<folder>/report`; returns report.json."""
    predictions, facts, hashes = [], {}, []
    for fold in range(options.folds):
        fold_folder = folder / "folds" / str(fold)
        run = open_run(fold_folder, options, sources, fold=fold)
        if not (run.report / "report.json").is_file():
            print(f"fold {fold + 1} of {options.folds}", flush=True)
            make_fold_data(run, options, sources, folder / "data")
            train_stages(run, options)
            evaluate_run(PipelineEvalOptions(run=str(fold_folder), precision=options.precision, workers=options.workers))
        else:
            print(f"fold {fold + 1} of {options.folds}: finished before, skipped", flush=True)
        predictions += read_predictions(run.report / "predictions.parquet")
        report = json.loads((run.report / "report.json").read_text())
        facts = {"data": report["data"], "runtime": report["runtime"]}
        hashes.append(report["data"]["split_hash"])
    rows = read_catalog(folder / "data" / "catalog.parquet")
    write_predictions(folder / "report" / "predictions.parquet", predictions)
    return write_report(
        folder / "report",
        predictions=predictions,
        stages={},
        data=data_facts(rows, [(s["item"], s["reason"]) for s in facts["data"]["skipped"]]) | {"folds": options.folds, "fold_split_hashes": hashes},
        runtime=facts["runtime"],
        split_hash=split_hash(rows),
        history=histories(Run.open(folder / "folds" / "0")),
        command=command_line(),
    )


def train_stages(run: Run, options: TrainOptions) -> None:
    """Every stage in turn; a finished one is skipped, an interrupted one goes on."""
    for name in STAGES:
        if name == "patches" or (options.no_pretraining and name in ("encoder", "autoencoder")):
            continue
        standing = stage_progress(run.stage(name))
        if standing and standing.finished:
            print(f"{name}: finished before ({standing.iteration} iterations), skipped", flush=True)
            continue
        train_stage(name, stage_options(run, name, options))


def stage_options(run: Run, name: str, options: TrainOptions) -> StageOptions:
    """A stage's flags, from those of train.sh."""
    chosen = OPTIONS[name](
        run=str(run.folder), precision=options.precision, workers=options.workers, it=options.it, steps_per_it=options.steps_per_it
    )
    if options.no_pretraining and name == "unet" and not stage_progress(run.stage(name)):
        return replace(chosen, pretrain="no", from_scratch=True)
    return chosen
