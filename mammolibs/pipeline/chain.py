"""The whole pipeline, as train/train.sh runs it: data, stages, report; once, once per fold, per seed, or without each source."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mammolibs.engine import claim
from mammolibs.engine import progress as stage_progress
from mammolibs.errors import BadConfig, MammolibsError
from mammolibs.models.runs import weights_hash
from mammolibs.pipeline.data import EXAMS, ROWS, make_data, make_fold_data, named_sources, open_run
from mammolibs.pipeline.estimate import print_estimate
from mammolibs.pipeline.evaluate_run import evaluate_run
from mammolibs.pipeline.fold_report import is_judged, read_report, write_fold_report
from mammolibs.pipeline.given_data import has_given_data, open_on_data
from mammolibs.pipeline.left_out import WITHOUT, print_joint_summary, run_without_each
from mammolibs.pipeline.options import (
    AutoencoderOptions,
    EncoderOptions,
    PipelineEvalOptions,
    ResNetOptions,
    StageOptions,
    TrainOptions,
    UNetOptions,
)  # fmt: skip
from mammolibs.pipeline.places import unplaced
from mammolibs.pipeline.presets import STAGES
from mammolibs.pipeline.run import Run, local_folder, read_settings
from mammolibs.pipeline.seed_report import write_seed_report
from mammolibs.pipeline.summary import print_seeds, print_summary
from mammolibs.pipeline.train_stage import train_stage
from mammolibs.runtime import Runtime, get_runtime
from mammolibs.storage import mirror_of

SCRIPTS = {
    "encoder": "train/unet/encoder/train_encoder.py",
    "autoencoder": "train/unet/autoencoder/train_autoencoder.py",
    "unet": "train/unet/finetune.py",
    "resnet": "train/resnet/train_resnet.py",
}
OPTIONS = {"encoder": EncoderOptions, "autoencoder": AutoencoderOptions, "unet": UNetOptions, "resnet": ResNetOptions}


def run_chain(options: TrainOptions) -> None:
    """Everything that train.sh does; finished parts are skipped and said so.

    Raises BadConfig where the run is there already and a flag contradicts it.
    """
    began = time.monotonic()
    folder = local_folder(options.run or default_folder(options))
    on_data = has_given_data(folder, options)
    options = remembered(folder, options)
    sources = named_sources(options)
    if options.dry_run:
        print_estimate(folder, options, sources)
        return
    runtime = get_runtime(precision=options.precision, seed=options.seed or 0, one_process=True)
    with claim(folder):
        if not sources and not on_data:
            sources = [("phantom", str(make_default_phantoms(folder, options)))]
        if on_data:
            result = trained_and_judged(open_on_data(folder, options), options)
        elif options.seeds:
            result = run_seeds(folder, options, sources, runtime)
        elif options.leave_one_source_out:
            result = run_without_each(folder, options, sources, runtime, train_stages)
        else:
            result = run_folds(folder, options, sources, runtime) if options.folds else run_once(folder, options, sources)
        if mirror := mirror_of(folder):
            mirror.send()
    took_s = time.monotonic() - began
    if options.seeds:
        print_seeds(result, folder, took_s)
    elif options.leave_one_source_out:
        print_joint_summary(result, folder, took_s)
    else:
        print_summary(result, folder, folder / "folds" / "0" if options.folds else folder, took_s)


def remembered(folder: Path, options: TrainOptions) -> TrainOptions:
    """The options, with what the run in that folder remembers in the place of flags that were not given."""
    firsts = {"": folder / "run.json"} | {parts: folder / parts / "0" / "run.json" for parts in ("folds", "seeds")}
    firsts["leave_one_source_out"] = next(iter(sorted((folder / WITHOUT).glob("*/run.json"))), folder / WITHOUT)
    kind = next((kind for kind, path in firsts.items() if path.is_file()), None)
    if kind is None:
        return options
    kept = read_settings(firsts[kind])
    for asked, told in (("folds", "without folds"), ("seeds", "without seeds"), ("leave_one_source_out", "that leaves no source out")):
        if getattr(options, asked) and asked != kind:
            raise BadConfig(f"{folder}: holds a run {told}; take another --run")
    own_phantoms = kept.sources in ((("phantom", str((folder / "phantoms").resolve())),), (("phantom", ""),))
    lacking = (
        [] if own_phantoms else unplaced(() if options.source else kept.sources, () if options.source_options else kept.source_options)
    )
    if lacking:
        raise BadConfig(f"{folder}: what it was made of is not all known on this machine; give {' and '.join(lacking)}")
    return replace(
        options,
        preset=options.preset or kept.preset,
        seed=kept.seed if options.seed is None else options.seed,
        spacing_mm=kept.spacing_mm if options.spacing_mm is None else options.spacing_mm,
        source=options.source or (() if own_phantoms else tuple(f"{name}={path}" for name, path in kept.sources)),
        source_options=options.source_options or kept.source_options,
        folds=options.folds or (kept.fold[1] if kept.fold else None),
        seeds=max(options.seeds or 0, len(list(folder.glob("seeds/*/run.json")))) or None,
        leave_one_source_out=bool(kept.left_out),
        no_pretraining=options.no_pretraining or not kept.pretraining,
    )


def default_folder(options: TrainOptions) -> str:
    """runs/default, runs/<source names>, or runs/<last part of the data's place>."""
    if options.data:
        return f"runs/{options.data.rstrip('/').rpartition('/')[2] or 'default'}"
    names = [text.partition("=")[0] for text in options.source]
    return f"runs/{'+'.join(names)}" if names else "runs/default"


def make_default_phantoms(folder: Path, options: TrainOptions) -> Path:
    """Synthetic exams in the run's folder, made once."""
    from mammolibs.phantom import make_phantoms
    from mammolibs.phantom.make import read_phantoms

    phantoms = (folder / "phantoms").resolve()
    asked = {"seed": options.seed, "exams": options.exams, "rows": options.rows}
    if (phantoms / "phantom.json").is_file():
        there = read_phantoms(phantoms).settings
        if any(value is not None and there.get(name) != value for name, value in asked.items()):
            raise BadConfig(f"{phantoms}: holds other phantoms than asked for ({asked}); take another --run")
        return phantoms
    defaults = {"seed": 0, "exams": EXAMS, "rows": ROWS}
    make_phantoms(phantoms, **{name: defaults[name] if value is None else value for name, value in asked.items()})
    return phantoms


def run_once(folder: Path, options: TrainOptions, sources: list[tuple[str, str]]) -> dict[str, Any]:
    """One run on one split; returns report.json."""
    new = [] if (folder / "run.json").is_file() else [folder]
    run = open_run(folder, options, sources)
    make_first_data(run, options, sources, new)
    return trained_and_judged(run, options)


def trained_and_judged(run: Run, options: TrainOptions) -> dict[str, Any]:
    """All stages of a run whose data are there; returns report.json."""
    train_stages(run, options)
    if is_judged(run):
        print(
            f"report: made before of these weights, skipped; to make it anew: python eval/pipeline_eval.py --run {run.folder}", flush=True
        )
        return read_report(run)
    return evaluate_run(PipelineEvalOptions(run=str(run.folder), precision=options.precision, workers=options.workers))


def make_first_data(run: Run, options: TrainOptions, sources: list[tuple[str, str]], new: Sequence[Path]) -> None:
    """Catalog and shards; where they cannot be made, the `new` runs on them are none."""
    try:
        make_data(run, options, sources)
    except MammolibsError:
        for folder in new:
            # A run that never had data must not hold the place against the corrected command.
            (folder / "run.json").unlink(missing_ok=True)
        raise


def run_seeds(folder: Path, options: TrainOptions, sources: list[tuple[str, str]], runtime: Runtime) -> dict[str, Any]:
    """One run per seed under `<folder>/seeds/<k>`, all on the data and the split of `<folder>/data`; how far their figures lie apart in
    `<folder>/report`. Returns its report.json."""
    places = [folder / "seeds" / str(k) for k in range(options.seeds)]
    new = [place for place in places if not (place / "run.json").is_file()]
    runs = [
        open_run(place, replace(options, seed=(options.seed or 0) + k), sources, data="../../data", first=places[0])
        for k, place in enumerate(places)
    ]
    if not all(map(is_judged, runs)):
        make_first_data(runs[0], options, sources, new)
    for k, run in enumerate(runs):
        if is_judged(run):
            print(f"seed {k + 1} of {options.seeds}: finished before, skipped", flush=True)
            continue
        print(f"seed {k + 1} of {options.seeds}", flush=True)
        train_stages(run, options)
        evaluate_run(PipelineEvalOptions(run=str(run.folder), precision=options.precision, workers=options.workers))
    return write_seed_report(folder, runs, runtime)


def run_folds(folder: Path, options: TrainOptions, sources: list[tuple[str, str]], runtime: Runtime) -> dict[str, Any]:
    """One run per fold under `<folder>/folds/<k>`, one report over all patients in `<folder>/report`; returns report.json."""
    runs = []
    for fold in range(options.folds):
        run = open_run(folder / "folds" / str(fold), options, sources, fold=fold, first=folder / "folds" / "0")
        runs.append(run)
        if is_judged(run):
            print(f"fold {fold + 1} of {options.folds}: finished before, skipped", flush=True)
            continue
        print(f"fold {fold + 1} of {options.folds}", flush=True)
        make_fold_data(run, options, sources, folder / "data")
        train_stages(run, options)
        evaluate_run(PipelineEvalOptions(run=str(run.folder), precision=options.precision, workers=options.workers))
    return write_fold_report(folder, runs, runtime, options.workers)


def train_stages(run: Run, options: TrainOptions) -> None:
    """Every stage in turn; a finished one is skipped, an interrupted one goes on."""
    for name in STAGES:
        if name == "patches" or (options.no_pretraining and name in ("encoder", "autoencoder")):
            continue
        standing = stage_progress(run.stage(name))
        if standing and standing.finished:
            print(f"{name}: finished before ({standing.iteration} iterations), skipped{stale_parents(run, name)}", flush=True)
            continue
        train_stage(name, stage_options(run, name, options))


def stale_parents(run: Run, name: str) -> str:
    """A note where a finished stage was made from other weights than the earlier stages' best of today, else ""."""
    noted = run.settings.notes.get(name, {}).get("parents", {})
    own = [parent for parent in noted if parent != name and (run.stage(parent) / "best.json").is_file()]
    changed = [parent for parent in own if weights_hash(run.stage(parent), "best") != noted[parent]]
    again = f"python {SCRIPTS[name]} --run {run.folder} --pretrain no"
    return f"; note: it was made from another {' and '.join(changed)} than the best one now; to make it anew: {again}" if changed else ""


def stage_options(run: Run, name: str, options: TrainOptions) -> StageOptions:
    """A stage's flags, from those of train.sh."""
    chosen = OPTIONS[name](
        run=str(run.folder),
        precision=options.precision,
        workers=options.workers,
        it=options.it,
        steps_per_it=options.steps_per_it,
        tensorboard=options.tensorboard,
    )
    if options.no_pretraining and name == "unet" and not stage_progress(run.stage(name)):
        return replace(chosen, pretrain="no", from_scratch=True)
    return chosen
