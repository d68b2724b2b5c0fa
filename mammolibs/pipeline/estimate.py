"""What a run would cost on this machine: steps timed here, disk and memory from sizes."""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mammolibs.catalog import build_catalog
from mammolibs.catalog.make import group_options
from mammolibs.pipeline.data import EXAMS, ROWS, check_lesions, check_sources, named_options
from mammolibs.pipeline.options import TrainOptions
from mammolibs.pipeline.presets import default_preset
from mammolibs.pipeline.progress import progress
from mammolibs.pipeline.run import Run, RunSettings
from mammolibs.pipeline.train_stage import make_stage
from mammolibs.records import Batch
from mammolibs.runtime import Runtime, get_runtime

TRAINED = ("encoder", "autoencoder", "unet", "resnet")
KEPT_WEIGHTS = 4
STATES = 3
# Validation after each iteration, saving, starting: what was seen over the steps themselves.
OVERHEAD = 1.35
SECONDS_PER_IMAGE = {"prepare": 0.15, "judge": 0.6}


def print_estimate(folder: Path, options: TrainOptions, sources: list[tuple[str, str]]) -> None:
    """Print time, disk and memory of the run that these options ask for. Writes nothing but temporary files."""
    run = Run(folder, RunSettings(preset=options.preset or default_preset(), seed=0, contract={}))
    sizes = run.preset
    runtime = get_runtime(precision=options.precision, seed=0)
    images, phantom_seconds = count_images(options, sources)
    # Seeds share their samples; folds, and runs that leave a source out, do not.
    parts = next(
        (part for part in ("fold", "seed") if getattr(options, f"{part}s")), "source left out" if options.leave_one_source_out else ""
    )
    sets = options.folds or (len({name for name, _ in sources}) if options.leave_one_source_out else 1)
    runs = options.seeds or sets
    print(f"{folder}: {images} images" + (f", {runs} runs, one per {parts}" if parts else ""))
    total = phantom_seconds + images * (sets * SECONDS_PER_IMAGE["prepare"] + runs * SECONDS_PER_IMAGE["judge"])
    disk = images * sets * sizes.canvas[0] * sizes.canvas[1] * 1.2
    for name in progress(TRAINED, "timing steps", unit="stage"):
        if options.no_pretraining and name in ("encoder", "autoencoder"):
            continue
        stage = sizes.stages[name]
        per_step, parameters = time_step(name, run, stage.batch, runtime)
        steps = options.it * (options.steps_per_it or stage.steps_per_it or max(1, round(0.6 * images / stage.batch)))
        minutes = steps * per_step * OVERHEAD / 60
        print(
            f"  {name:12} {steps:6} steps of {stage.batch} at {per_step:6.2f} s: {minutes:7.1f} minutes"
            + (f" per {parts}" if parts else "")
        )
        total += runs * steps * per_step * OVERHEAD
        disk += runs * parameters * 4 * (2 * KEPT_WEIGHTS + 3 * STATES)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"  time    about {total / 60:.0f} minutes on this machine as busy as it is now")
    print(f"  disk    about {disk / 1e9:.1f} GB in {folder}, beside the source data")
    print(f"  memory  about {memory + 0.5:.1f} GB")


def count_images(options: TrainOptions, sources: list[tuple[str, str]]) -> tuple[int, float]:
    """Images to train and test on, and the seconds that making phantoms would take."""
    with tempfile.TemporaryDirectory() as folder:
        if sources:
            rows = build_catalog(sources, unpack_folder=folder, options=group_options(named_options(options))).rows
            check_lesions(rows)
            if options.leave_one_source_out:
                check_sources(rows)
            return len(rows), 0.0
        from mammolibs.phantom import make_phantoms

        exams, start = options.exams or EXAMS, time.perf_counter()
        make_phantoms(Path(folder) / "one", exams=2, rows=options.rows or ROWS, progress=False)
        return 4 * exams, (time.perf_counter() - start) / 2 * exams


def time_step(name: str, run: Run, batch: int, runtime: Runtime) -> tuple[float, int]:
    """Seconds of one training step (the faster of two) and the number of weights."""
    stage = make_stage(name, run)
    model = runtime.prepare(stage.build()).train()
    optimizer = torch.optim.AdamW(model.parameters())
    shape = (run.preset.patch_px,) * 2 if name == "resnet" else run.preset.canvas
    rows = _random_batch(batch, shape, stage.views)
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        for placed in runtime.feed([rows]):
            _step(stage, model, optimizer, placed, runtime)
        seconds.append(time.perf_counter() - start)
    return min(seconds), sum(p.numel() for p in model.parameters())


def _step(stage: Any, model: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch, runtime: Runtime) -> None:
    with runtime.autocast():
        loss, _ = stage.loss(model, batch, runtime)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    runtime.end_step()
    runtime.to_host(loss)


def _random_batch(batch: int, shape: tuple[int, int], views: str) -> Batch:
    images = torch.rand(batch, 1, *shape)
    hidden = (torch.rand(batch, 1, *shape) > 0.5).float()
    return Batch(
        images=images,
        second=images.flip(2) if views == "two" else None,
        hidden=hidden if views == "masked" else None,
        breast=None if views == "two" else torch.ones_like(images),
        masks=None if views == "two" else hidden,
        mask_known=torch.ones(batch),
        labels=(torch.arange(batch) % 2).float(),
        weights=torch.ones(batch),
        ids=tuple(map(str, range(batch))),
        rows=tuple(range(batch)),
    )
