"""What the self-supervised stages reach on held-out patients: a value per image first, so that folds can be pooled, then figures."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Sequence

import numpy as np
import torch
from torch import nn

from mammolibs.errors import BadFile
from mammolibs.evaluate import auc_statistic, estimate, mean_statistic
from mammolibs.evaluate.probe import linear_probe
from mammolibs.models import from_run
from mammolibs.pipeline.run import Run
from mammolibs.pipeline.train_stage import VALIDATION_BATCH, augmentation, make_stage
from mammolibs.records import Estimate
from mammolibs.runtime import Runtime
from mammolibs.storage import write_json
from mammolibs.stream import Stream

VALUES_NAME = "pretraining.json"


@dataclass(frozen=True, kw_only=True)
class ImageValues:
    """A figure before it is one: a value per held-out image, its patient, and for an AUC its label (1 malignant, 0 not).

    reason: why there are no values, where there are none.
    """

    method: str
    values: tuple[float, ...]
    patients: tuple[str, ...]
    labels: tuple[int, ...] = ()
    reason: str = ""

    def estimate(self) -> Estimate:
        """The mean, or the AUC where there are labels, with patients as clusters."""
        values, patients = np.array(self.values), np.array(self.patients)
        if self.reason:
            return Estimate(value=None, n=len(values), unit="image", method=self.method, reason=self.reason)
        if self.labels:
            return estimate(auc_statistic(values, np.array(self.labels), patients, "image", method=self.method))
        return estimate(mean_statistic(values, patients, "image", method=self.method))


Values = dict[str, dict[str, ImageValues]]


def pretraining_values(run: Run, runtime: Runtime) -> Values:
    """encoder and autoencoder -> figure -> its values on held-out images, of the stages that were trained."""
    return {name: stage_values(run, name, runtime) for name in ("encoder", "autoencoder") if (run.stage(name) / "best.json").is_file()}


def pretraining_figures(values: Values) -> dict[str, dict[str, Estimate]]:
    """encoder and autoencoder -> figure -> estimate."""
    return {stage: {name: v.estimate() for name, v in found.items()} for stage, found in values.items()}


def pooled_values(folds: Sequence[Values]) -> Values:
    """The folds' values as one set; each patient is held out in one fold only."""
    pooled: Values = {}
    for stage, name in dict.fromkeys((stage, name) for values in folds for stage, found in values.items() for name in found):
        parts = [values[stage][name] for values in folds if name in values.get(stage, {})]
        whole = {field: tuple(x for part in parts for x in getattr(part, field)) for field in ("values", "patients", "labels")}
        reasons = sorted({part.reason for part in parts if part.reason})
        pooled.setdefault(stage, {})[name] = ImageValues(method=f"{parts[0].method}; folds pooled", reason="; ".join(reasons), **whole)
    return pooled


def save_values(path: Path, values: Values) -> None:
    """Keep the values beside the report that stands on them."""
    write_json(path, {stage: {name: asdict(v) for name, v in found.items()} for stage, found in values.items()})


def read_values(path: Path) -> Values:
    """Raises BadFile where they are not there or damaged."""
    try:
        found = json.loads(path.read_text())
        return {
            stage: {name: ImageValues(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}) for name, fields in figures.items()}
            for stage, figures in found.items()
        }
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BadFile(path, f"cannot be read ({error})", f"make it again: python eval/pipeline_eval.py --run {path.parent.parent}") from error


def stage_values(run: Run, name: str, runtime: Runtime, iteration: int | str = "best") -> dict[str, ImageValues]:
    """One self-supervised stage: a value per held-out image of each of its figures; for the encoder those of a linear probe too."""
    stage = make_stage(name, run)
    model = runtime.prepare(from_run(run.stage(name), iteration)).eval()
    stream = split_stream(run, "test", runtime, stage.views, augmentation(name) if stage.views == "two" else None)
    with torch.no_grad(), runtime.autocast():
        values = stage.per_image(model, stream.batches(), runtime)
    patients = tuple(stream.index.text["patient_id"])
    found = {
        figure: ImageValues(method=f"mean {figure.replace('_', ' ')}", values=tuple(array.tolist()), patients=patients)
        for figure, array in values.items()
    }
    return found | ({"linear_probe_auc": probe(run, model, runtime)} if name == "encoder" else {})


def split_stream(run: Run, split: str, runtime: Runtime, views: str = "one", augment: Any = None) -> Stream:
    """All images of a split, once, in the order of its index."""
    return Stream(
        run.shards(split), global_batch=VALIDATION_BATCH * runtime.world, mode="evaluate", seed=run.settings.seed, views=views,
        augment=augment, hosts=runtime.hosts, host=runtime.host,
    )


def probe(run: Run, model: nn.Module, runtime: Runtime) -> ImageValues:
    """Scores of malignant images against the rest by a linear classifier on the encoder's pooled features."""
    (train, labels, patients), (test, truth, clusters) = (features(run, split, model, runtime) for split in ("train", "test"))
    scores = linear_probe(train, labels, patients, test)
    method = "AUC of a linear probe on frozen features, malignant against the rest, fitted on training patients"
    if scores is None:
        return ImageValues(method=method, values=(), patients=(), reason="training labels hold one class only")
    known = truth >= 0
    return ImageValues(
        method=method, values=tuple(scores[known].tolist()), patients=tuple(clusters[known].tolist()), labels=tuple(truth[known].tolist())
    )


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
