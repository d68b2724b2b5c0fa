"""What the self-supervised stages reach on held-out patients, image by image."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from mammolibs.augment import Augment
from mammolibs.evaluate.probe import linear_probe
from mammolibs.models import from_run
from mammolibs.pipeline.image_values import ImageValues, Values
from mammolibs.pipeline.run import Run
from mammolibs.pipeline.train_stage import VALIDATION_BATCH, make_stage
from mammolibs.runtime import Runtime
from mammolibs.stream import Stream


def pretraining_values(run: Run, runtime: Runtime) -> Values:
    """encoder and autoencoder -> figure -> its values on held-out images, of the stages that were trained."""
    return {name: stage_values(run, name, runtime) for name in ("encoder", "autoencoder") if (run.stage(name) / "best.json").is_file()}


def stage_values(run: Run, name: str, runtime: Runtime, iteration: int | str = "best") -> dict[str, ImageValues]:
    """One self-supervised stage: a value per held-out image of each of its figures; for the encoder those of a linear probe too."""
    stage = make_stage(name, run)
    model = runtime.prepare(from_run(run.stage(name), iteration)).eval()
    stream = split_stream(run, "test", runtime, stage.views, Augment() if stage.views == "two" else None)
    with torch.no_grad(), runtime.autocast():
        values = stage.per_image(model, stream.batches(), runtime)
    patients = tuple(stream.index.text["patient_id"])
    methods = {figure: f"mean {figure.replace('_', ' ')}" for figure in values}
    methods["retrieval_top1"] = (
        f"share of images whose other view is the nearest of all {len(patients)} (by chance {1 / max(len(patients), 1):.3f})"
    )
    found = {
        figure: ImageValues(kind="mean", method=methods[figure], values=tuple(array.tolist()), patients=patients)
        for figure, array in values.items()
    }
    return found | ({"linear_probe_auc": probe(run, model, runtime)} if name == "encoder" else {})


def split_stream(run: Run, split: str, runtime: Runtime, views: str = "one", augment: Any = None) -> Stream:
    """All images of a split, once, in the order of its index."""
    return Stream(
        run.shards(split),
        global_batch=VALIDATION_BATCH * runtime.world,
        mode="evaluate",
        seed=run.settings.seed,
        views=views,
        augment=augment,
    )


def probe(run: Run, model: nn.Module, runtime: Runtime) -> ImageValues:
    """Scores of malignant images against the rest by a linear classifier on the encoder's pooled features."""
    (train, labels, patients), (test, truth, clusters) = (features(run, split, model, runtime) for split in ("train", "test"))
    scores = linear_probe(train, labels, patients, test)
    method = "AUC of a linear probe on frozen features, malignant against the rest, fitted on training patients"
    if scores is None:
        return ImageValues(kind="auc", method=method, reason="training labels hold one class only")
    known = truth >= 0
    return ImageValues(
        kind="auc",
        method=method,
        values=tuple(scores[known].tolist()),
        patients=tuple(clusters[known].tolist()),
        labels=tuple(truth[known].tolist()),
    )


def features(run: Run, split: str, model: nn.Module, runtime: Runtime) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pooled features (n, d), labels (n,) and patients (n,) of a split."""
    stream = split_stream(run, split, runtime)
    parts = []
    with torch.no_grad(), runtime.autocast():
        for batch in runtime.feed(stream.batches()):
            values, rows = runtime.gather_rows((model.embed(batch.images).float(), list(batch.rows)))
            parts += [value.numpy() for row, value in zip(rows, values) if row >= 0]
    return np.stack(parts), stream.index.numbers["label"].astype(int), np.array(stream.index.text["patient_id"])
