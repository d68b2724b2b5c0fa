"""Batch norm's running statistics, estimated anew on a site's images without any label (AdaBN, Li et al. 2018)."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mammolibs.errors import BadData

# Layer -> "mean" and "variance" of each of its channels.
Statistics = Mapping[str, Mapping[str, Sequence[float]]]


def running_norms(model: nn.Module) -> dict[str, nn.BatchNorm2d]:
    """The layers that normalise by statistics of the data they were trained on, by name; empty for group norm, which keeps none."""
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.BatchNorm2d) and layer.running_mean is not None}


@torch.no_grad()
def estimate_statistics(model: nn.Module, images: Sequence[np.ndarray], runtime: Any, batch: int = 8) -> Statistics:
    """Means and variances of every such layer over these canvas images (uint16 H W), in batches of one size; the model stays as it is.

    The last batch is filled up from the beginning: images of air alone would be counted as the site's. Raises BadData without images.
    """
    if not len(images):
        raise BadData("no image to estimate a network's statistics on")
    model = copy.deepcopy(model).eval()
    layers = running_norms(model)
    for number, start in enumerate(range(0, len(images), batch), 1):
        part = np.stack([images[(start + i) % len(images)].astype(np.float32) / 65535 for i in range(batch)])[:, None]
        for layer in layers.values():
            # So that what is kept is the mean over all batches so far.
            layer.training, layer.momentum = True, 1 / number
        with runtime.autocast():
            model(runtime.place(torch.from_numpy(part)))
    return {
        name: {"mean": _told(layer.running_mean, runtime), "variance": _told(layer.running_var, runtime)} for name, layer in layers.items()
    }


def with_statistics(model: nn.Module, statistics: Statistics) -> nn.Module:
    """A copy of the model with these statistics. Raises KeyError or RuntimeError where they are of another network."""
    model = copy.deepcopy(model)
    layers = running_norms(model)
    for name, values in statistics.items():
        for buffer, key in ((layers[name].running_mean, "mean"), (layers[name].running_var, "variance")):
            buffer.copy_(torch.tensor(values[key], dtype=buffer.dtype))
    return model


def _told(values: Tensor, runtime: Any) -> list[float]:
    return [float(value) for value in runtime.to_host(values).float()]
