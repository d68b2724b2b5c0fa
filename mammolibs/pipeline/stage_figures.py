"""Figures of the self-supervised stages on held-out patients, with intervals where they are shares."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from mammolibs.evaluate import estimate, mean_statistic
from mammolibs.models import from_run
from mammolibs.pipeline.options import RunOptions
from mammolibs.pipeline.run import Run
from mammolibs.pipeline.train_stage import augmentation, make_stage
from mammolibs.records import Estimate
from mammolibs.runtime import Runtime
from mammolibs.stream import Stream

BATCH = 8


def pretraining_figures(run: Run, runtime: Runtime, options: RunOptions) -> dict[str, dict[str, Estimate]]:
    """encoder and autoencoder -> their figures on held-out patients, of those that were trained."""
    return {name: stage_figures(run, name, runtime) for name in ("encoder", "autoencoder") if (run.stage(name) / "best.json").is_file()}


def stage_figures(run: Run, name: str, runtime: Runtime, iteration: int | str = "best", split: str = "test") -> dict[str, Estimate]:
    """One self-supervised stage on one split: a mean over images for each figure, patients as clusters."""
    stage = make_stage(name, run)
    model = runtime.prepare(from_run(run.stage(name), iteration)).eval()
    stream = Stream(
        run.shards(split), global_batch=BATCH * runtime.world, mode="evaluate", seed=run.settings.seed, views=stage.views,
        augment=augmentation(name) if stage.views == "two" else None, hosts=runtime.hosts, host=runtime.host,
    )
    with torch.no_grad(), runtime.autocast():
        values = stage.per_image(model, stream.batches(), runtime)
    patients = np.array(stream.index.text["patient_id"])
    return {figure: _mean(figure, array, patients) for figure, array in values.items()}


def _mean(figure: str, values: np.ndarray, patients: np.ndarray) -> Estimate:
    if values.min() >= 0 and values.max() <= 1:
        return estimate(mean_statistic(values, patients, "image", method=f"mean {figure.replace('_', ' ')}"))
    return Estimate(value=float(values.mean()), n=len(values), unit="image", method="mean", reason="not a share in [0, 1]; no interval is formed")
