"""One training step: micro-batches in, one change of the weights out, nothing read from the device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields, replace

import torch

from mammolibs.engine.compiled import NoReads
from mammolibs.engine.options import FitOptions
from mammolibs.engine.run import Run
from mammolibs.engine.schedule import rate_at, step_seed
from mammolibs.engine.stage import Stage
from mammolibs.engine.watch import Watch
from mammolibs.records import Batch


def take_step(run: Run, stage: Stage, parts: list[Batch], options: FitOptions, watch: Watch) -> None:
    """Change the weights once, by the mean gradient of the parts; the step is handed to the device and not waited for."""
    runtime = run.runtime
    runtime.seed(step_seed(options.seed, run.step))
    run.set_rate(rate_at(run.step, run.leg))
    run.optimizer.zero_grad(set_to_none=True)
    for number, batch in enumerate(parts):
        if number:
            runtime.end_part()
        with NoReads(runtime.device.type):
            with runtime.autocast():
                loss, terms = stage.loss(run.model, batch, runtime)
            (loss / len(parts) if len(parts) > 1 else loss).backward()
            watch.add(loss, terms)
    runtime.average_gradients(run.model)
    if options.clip_norm:
        torch.nn.utils.clip_grad_norm_(run.model.parameters(), options.clip_norm)
    run.optimizer.step()
    run.average(options.ema)
    runtime.end_step()
    run.step += 1


def micro_batches(batches: Iterable[Batch], parts: int) -> Iterator[Batch]:
    """Each batch in `parts` equal ones, before they are placed: rows that lie on cores cannot be cut without moving them.

    Of several hosts each cuts its own share, so that the n-th parts of all together are
    the n-th part of the global batch.
    """
    for batch in batches:
        if parts == 1:
            yield batch
            continue
        rows = len(batch.ids) // parts
        for begin in range(0, rows * parts, rows):
            cut = slice(begin, begin + rows)
            yield replace(batch, **{f.name: getattr(batch, f.name)[cut] for f in fields(batch) if getattr(batch, f.name) is not None})
