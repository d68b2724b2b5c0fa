"""The one training loop, for every stage, data set and device."""

from __future__ import annotations

import contextlib
from pathlib import Path

import torch

from mammolibs.engine.folder import claim
from mammolibs.engine.guards import Learning, StopSignal, Watch
from mammolibs.engine.iteration import Keeper, progress_bar
from mammolibs.engine.options import FitOptions, FitResult, Start
from mammolibs.engine.run import begin
from mammolibs.engine.schedule import rate_at, step_seed
from mammolibs.engine.stage import Stage, TrainStream, Validate
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
) -> FitResult:
    """Train one leg of a stage and leave its results in `folder`; returns where they are.

    validate(model) gives the figures of held-out patients, the same on every host; it is
    called after each iteration with the network in eval mode and without gradients.

    Raises RunInterrupted (state saved) on SIGTERM or SIGINT, BadConfig, BadFile and
    BadWeights for what does not fit, MammolibsError where a loss is not finite or nothing
    is learnt, and whatever the input pipeline raises.
    """
    options, start = options or FitOptions(), start or Start.fresh()
    check_batch(train.global_batch, runtime)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(claim(folder)) if runtime.is_main else Path(folder)
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stop = stack.enter_context(StopSignal())
        run = begin(stage, runtime, train, folder, card, options, start)
        keeper = Keeper(run, stage, card, options, validate)
        watch, learning = Watch(runtime, folder), Learning(run.model, runtime)
        watch.restore(run.pending)
        batches = stack.enter_context(contextlib.closing(runtime.feed(train.batches(run.step, run.leg.last_step))))
        bar = stack.enter_context(progress_bar(run, stage.name))
        while not run.why:
            batch = watch.next(batches, run.step, run.leg.last_step)
            runtime.seed(step_seed(options.seed, run.step))
            run.set_rate(rate_at(run.step, run.leg))
            with runtime.autocast():
                loss, terms = stage.loss(run.model, batch, runtime)
            run.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            runtime.average_gradients(run.model)
            if options.clip_norm:
                torch.nn.utils.clip_grad_norm_(run.model.parameters(), options.clip_norm)
            run.optimizer.step()
            run.average(options.ema)
            watch.add(loss, terms)
            runtime.end_step()
            run.step += 1
            bar.update(1)
            ended = run.leg.ends_iteration(run.step)
            if ended or run.step % options.log_every == 0 or (runtime.hosts == 1 and stop.told):
                bar.set_postfix(loss=f"{watch.look():.4f}", refresh=False)
                learning.check(run.model, run.step)
                if ended:
                    keeper.end_iteration(watch)
                interrupted = runtime.agree(stop.told)
                keeper.save_if_due(watch, at_once=interrupted or bool(run.why))
                if interrupted:
                    raise RunInterrupted(f"{stage.name}: told to stop after step {run.step}; its state is saved, start it again to go on")
    return keeper.result()
