"""Figures of the self-supervised stages on held-out patients, with intervals where they are shares."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from mammolibs.evaluate import auc_statistic, estimate, mean_statistic
from mammolibs.evaluate.probe import linear_probe
from mammolibs.models import from_run
from mammolibs.pipeline.run import Run
from mammolibs.pipeline.train_stage import augmentation, make_stage
from mammolibs.records import Estimate
from mammolibs.runtime import Runtime
from mammolibs.stream import Stream

BATCH = 8


def pretraining_figures(run: Run, runtime: Runtime) -> dict[str, dict[str, Estimate]]:
    """encoder and autoencoder -> their figures on held-out patients, of those that were trained."""
    return {name: stage_figures(run, name, runtime) for name in ("encoder", "autoencoder") if (run.stage(name) / "best.json").is_file()}


def stage_figures(run: Run, name: str, runtime: Runtime, iteration: int | str = "best") -> dict[str, Estimate]:
    """One self-supervised stage: means over held-out images, patients as clusters; for the encoder a linear probe too."""
    stage = make_stage(name, run)
    model = runtime.prepare(from_run(run.stage(name), iteration)).eval()
    stream = split_stream(run, "test", runtime, stage.views, augmentation(name) if stage.views == "two" else None)
    with torch.no_grad(), runtime.autocast():
        values = stage.per_image(model, stream.batches(), runtime)
    patients = np.array(stream.index.text["patient_id"])
    figures = {
        figure: estimate(mean_statistic(array, patients, "image", method=f"mean {figure.replace('_', ' ')}")) for figure, array in values.items()
    }
    return figures | ({"linear_probe_auc": probe(run, model, runtime)} if name == "encoder" else {})


def split_stream(run: Run, split: str, runtime: Runtime, views: str = "one", augment: Any = None) -> Stream:
    """All images of a split, once, in the order of its index."""
    return Stream(
        run.shards(split), global_batch=BATCH * runtime.world, mode="evaluate", seed=run.settings.seed, views=views,
        augment=augment, hosts=runtime.hosts, host=runtime.host,
    )


def probe(run: Run, model: nn.Module, runtime: Runtime) -> Estimate:
    """AUC of malignant images against the rest by a linear classifier on the encoder's pooled features."""
    (train, labels, patients), (test, truth, clusters) = (features(run, split, model, runtime) for split in ("train", "test"))
    scores = linear_probe(train, labels, patients, test)
    method = "AUC of a linear probe on frozen features, malignant against the rest, fitted on training patients"
    if scores is None:
        return Estimate(value=None, n=len(truth), unit="image", method=method, reason="training labels hold one class only")
    known = truth >= 0
    return estimate(auc_statistic(scores[known], truth[known], clusters[known], "image", method=method))


def features(run: Run, split: str, model: nn.Module, runtime: Runtime) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pooled features (n, d), labels (n,) and patients (n,) of a split."""
    stream = split_stream(run, split, runtime)
    parts = []
    with torch.no_grad(), runtime.autocast():
        for batch in runtime.feed(stream.batches()):
            values, rows = runtime.gather_rows((model.embed(batch.images).float(), list(batch.rows)))
            parts += [(row, value.numpy()) for row, value in zip(rows, values) if row >= 0]
    # Hosts take rows in turns, so what they gather is not in the order of the index.
    return np.stack([value for _, value in sorted(parts, key=lambda part: part[0])]), stream.index.numbers["label"].astype(int), np.array(stream.index.text["patient_id"])
