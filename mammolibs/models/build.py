"""From a network's description to the network, and back from bare tensors to the description."""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from mammolibs.errors import BadConfig

WHERE = {
    "Autoencoder": "mammolibs.models.networks",
    "PretrainEncoder": "mammolibs.models.networks",
    "ResNet": "mammolibs.models.resnet",
    "UNet": "mammolibs.models.networks",
}


def build(architecture: Mapping[str, Any]) -> nn.Module:
    """A network with random weights from its description, as `model.architecture` gives it.

    Raises BadConfig for an unknown name or arguments that the network does not take.
    """
    arguments = dict(architecture)
    name = arguments.pop("name", None)
    if name not in WHERE:
        raise BadConfig(f"architecture is {name!r}, allowed are {', '.join(WHERE)}")
    network = getattr(importlib.import_module(WHERE[name]), name)
    try:
        return network(**arguments)
    except TypeError as error:
        raise BadConfig(f"architecture {describe(architecture)} cannot be built: {error}") from error


def describe(architecture: Mapping[str, Any] | None) -> str:
    """The description as one would type it: UNet(width=32, depth=5, norm='group')."""
    if not architecture:
        return "an unknown network"
    arguments = ", ".join(f"{key}={value!r}" for key, value in architecture.items() if key != "name")
    return f"{architecture.get('name')}({arguments})"


def infer(state: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """The description of the network that bare tensors belong to, from their names and shapes; None if unknown.

    Where a square number of channels, above one, goes in and out, it is taken for one channel that is shuffled.
    A pretraining head of another make than ours leaves `out_features` out, and a ResNet of
    many classes has `classes`: such a description names the network but cannot be built.
    """
    if "encoder.conv1.0.weight" in state:
        return _infer_encoder_family(state)
    if "layer1.0.conv1.weight" in state and "fc.weight" in state:
        width, in_channels = state["conv1.weight"].shape[:2]
        norm = "batch" if "bn1.running_mean" in state else "group"
        classes = state["fc.weight"].shape[0]
        found = {"name": "ResNet", "in_channels": in_channels, "width": width, "norm": norm}
        return found if classes == 1 else {**found, "classes": classes}
    return None


def _infer_encoder_family(state: Mapping[str, Tensor]) -> dict[str, Any]:
    width, in_channels = state["encoder.conv1.0.weight"].shape[:2]
    depth = max(int(found[1]) for name in state if (found := re.match(r"encoder\.conv(\d+)\.", name)))
    norm = "batch" if "encoder.conv1.1.running_mean" in state else "group"
    shared = {"in_channels": in_channels, "width": width, "depth": depth, "norm": norm}
    if "decoder.conv.weight" in state:
        joined = state[f"decoder.conv{depth - 1}.0.weight"].shape[1] == width * 2 ** (depth - 1)
        out_channels, last = state["decoder.conv.weight"].shape[:2]
        shared["head"] = "narrow" if last == out_channels else "wide"
        side = math.isqrt(in_channels)
        if in_channels == out_channels > 1 and side**2 == in_channels:
            # As many channels in as out: one grey channel each, shuffled.
            shared |= {"in_channels": 1, "shuffle": side}
            out_channels = 1
        return {"name": "UNet" if joined else "Autoencoder", "out_channels": out_channels, **shared}
    if "head.2.weight" in state:
        shared["out_features"] = state["head.2.weight"].shape[0]
    return {"name": "PretrainEncoder", **shared}
