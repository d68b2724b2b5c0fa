"""The one training loop, for every stage, data set and device."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import torch

from mammolibs.engine.compiled import Compiled
from mammolibs.engine.folder import claim
from mammolibs.engine.guards import StopSignal, Weights
from mammolibs.engine.iteration import Keeper, progress_bar
from mammolibs.engine.looks import Looks
from mammolibs.engine.options import FitOptions, FitResult, Start
from mammolibs.engine.run import begin
from mammolibs.engine.stage import Stage, TrainStream, Validate
from mammolibs.engine.step import micro_batches, take_step
from mammolibs.engine.watch import Watch
from mammolibs.errors import RunInterrupted
from mammolibs.records import RunCard
from mammolibs.runtime import Runtime, check_batch


def fit(
    stage: Stage,
    runtime: Runtime,
    *,
    train: TrainStream,
    validate: Validate,
    folder: Path | str,
    card: RunCard,
    options: FitOptions | None = None,
    start: Start | None = None,
    backup: Callable[[], None] = lambda: None,
) -> FitResult:
    """Train one leg of a stage and leave its results in `folder`; returns where they are.

    validate(model) gives the figures of held-out patients, the same on every host; it is
    called after each iteration with the network in eval mode and without gradients.
    backup is called in a thread of the main host after each state is written (`engine.saving`).

    Raises RunInterrupted (state saved) on SIGTERM or SIGINT, BadConfig, BadFile and
    BadWeights for what does not fit, MammolibsError where a guard (`watch`, `guards`,
    `compiled`) finds the run broken, and whatever the input pipeline raises.
    """
    options, start = options or FitOptions(), start or Start.fresh()
    check_batch(train.global_batch, runtime, options.accumulate)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(claim(folder)) if runtime.is_main else Path(folder)
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stop = stack.enter_context(StopSignal())
        run = begin(stage, runtime, train, folder, card, options, start)
        watch, compiled, looks = Watch(runtime, folder), Compiled(runtime), Looks(runtime, stop, options.log_every)
        watch.restore(run.pending)
        with compiled.during("checksums", run.step):
            weights = Weights(run.model, runtime, step=run.step, every=options.check_every)
        keeper = stack.enter_context(Keeper(run, stage, card, options, validate, backup))
        source = micro_batches(train.batches(run.step, run.leg.last_step), options.accumulate)
        batches = stack.enter_context(contextlib.closing(runtime.feed(source)))
        bar = stack.enter_context(progress_bar(run, stage.name))
        while not run.why:
            parts = [watch.next(batches, run.step, run.leg.last_step) for _ in range(options.accumulate)]
            with compiled.during("step", run.step, parts[0]):
                take_step(run, stage, parts, options, watch)
            bar.update(1)
            ended = run.leg.ends_iteration(run.step)
            if looks.due(run.step) or ended:
                interrupted = runtime.agree(stop.told)
                save = runtime.agree(keeper.states.is_due()) or interrupted
                with compiled.during("log", run.step):
                    bar.set_postfix(loss=f"{watch.look() if ended or save else watch.post():.4f}", refresh=False)
                with compiled.during("checksums", run.step):
                    weights.check(run.step)
                if ended:
                    with compiled.during("validation", run.step):
                        keeper.end_iteration(watch)
                if save or run.why:
                    keeper.states.save(watch.pending(), wait=interrupted or bool(run.why))
                    weights.saved(run.step)
                if interrupted:
                    raise RunInterrupted(f"{stage.name}: told to stop after step {run.step}; its state is saved, start it again to go on")
    return keeper.result()
