"""Weights from one stage into the next network, with a report of what found its place."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from mammolibs.errors import BadWeights
from mammolibs.models.build import describe, infer
from mammolibs.models.weights import load_weights

SHOWN = 4


@dataclass(frozen=True, kw_only=True)
class TransferReport:
    """Names of tensors: `loaded` into the network; `missing` in the file; `reshaped`: there
    in another shape, so not loaded; `unused`: in the file, and not in the network. `notes`:
    what was done to tensors on the way."""

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    reshaped: tuple[str, ...]
    unused: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        total = len(self.loaded) + len(self.missing) + len(self.reshaped)
        parts = [f"loaded {len(self.loaded)} of {total} tensors"]
        parts += [f"{word} {_shorten(names)}" for word, names in self._rest() if names]
        return "; ".join((*parts, *self.notes))

    def _rest(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        return ("missing", self.missing), ("of another shape", self.reshaped), ("unused", self.unused)


def transfer(
    model: nn.Module,
    state: Mapping[str, Tensor],
    *,
    expected_missing: Collection[str] = (),
    source: Mapping[str, Any] | None = None,
) -> TransferReport:
    """Copy into the network every tensor of `state` that has its name and shape; returns the report.

    expected_missing: beginnings of names that may keep the values they have, as the stage
    that calls knows. source: the architecture the tensors come from, for the message.

    Raises BadWeights, and changes nothing, where any other tensor of the network is not in
    `state` with its shape, or where `state` comes from batch norm and the network has
    group norm, which would give other results without a word.
    """
    own = model.state_dict()
    missing = tuple(name for name in own if name not in state)
    reshaped = tuple(name for name in own if name in state and state[name].shape != own[name].shape)
    loaded = tuple(name for name in own if name in state and name not in set(reshaped))
    report = TransferReport(loaded=loaded, missing=missing, reshaped=reshaped, unused=tuple(name for name in state if name not in own))
    allowed = tuple(expected_missing)
    surprising = tuple(n for n in (*missing, *reshaped) if not n.startswith(allowed)) if allowed else (*missing, *reshaped)
    if surprising or not loaded or _other_norm(model, report):
        pair = f"weights of {describe(source or infer(state))} do not fit {describe(getattr(model, 'architecture', None))}"
        raise BadWeights(f"{pair}: {report}" if not _other_norm(model, report) else f"{pair}: batch norm's statistics have no place in it")
    with torch.no_grad():
        for name in loaded:
            own[name].copy_(state[name])
    return report


def usual_gaps(source: Mapping[str, Any] | None, target: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Beginnings of names that cannot come along from one of our networks to another; () for the same kind.

    PretrainEncoder -> any: all but the encoder. Autoencoder <-> UNet: the first convolution
    of each decoder block, which with skips takes twice the channels, and the output.
    ResNet of another number of classes -> ours: the output.
    """
    if not source or not target:
        return ()
    if source["name"] == target["name"]:
        return ("fc.",) if source.get("classes", 1) != 1 else ()
    pair = {source["name"], target["name"]}
    if "PretrainEncoder" in pair and "ResNet" not in pair:
        return "decoder.", "head."
    if pair == {"Autoencoder", "UNet"}:
        inputs = (f"decoder.conv{level}.0.weight" for level in range(2, target["depth"]))
        return *inputs, "decoder.conv1.", "decoder.conv."
    return ()


def load_model(model: nn.Module, path: str | os.PathLike, *, expected_missing: Collection[str] | None = None) -> TransferReport:
    """`load_into`, with one printed line on what loaded."""
    report = load_into(model, path, expected_missing=expected_missing)
    print(f"{os.fspath(path)}: {report}")
    return report


def load_into(model: nn.Module, path: str | os.PathLike, *, expected_missing: Collection[str] | None = None) -> TransferReport:
    """Load a weight file into a network; returns the report.

    path: .safetensors or .pth, ours or a published DLMammoClassifier checkpoint, or for a
    ResNet torchvision's resnet18: its stem is summed to one channel, which answers a grey
    image as the three do, and its 1,000 classes are left out. Such weights want norm
    "batch", which also absorbs that ours are not scaled as ImageNet's images were.
    expected_missing: as in `transfer`; None: what cannot come along from the kind of
    network in the file to this one (`usual_gaps`).

    Raises BadFile for a file that cannot be read, BadWeights for one that does not fit.
    """
    state, card = load_weights(path)
    source = card.architecture if card else infer(state)
    target = getattr(model, "architecture", None)
    if expected_missing is None:
        expected_missing = usual_gaps(source, target)
    state, notes = _grey_stem(state, target)
    if source and target and {source["name"], target["name"]} == {"Autoencoder", "UNet"}:
        state, notes = _without_output(state, model.state_dict())
    try:
        report = replace(transfer(model, state, expected_missing=expected_missing, source=source), notes=notes)
    except BadWeights as error:
        raise BadWeights(f"{os.fspath(path)}: {error}") from error
    return report


def _without_output(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> tuple[Mapping[str, Tensor], tuple[str, ...]]:
    """Tensors without an output layer that would fit: it answered another question.

    An autoencoder's output says how bright a pixel is. In a U-Net its negative weights on rectified
    features would hold every probability below sigmoid(bias), and its bias knows nothing of how rare lesions are.
    """
    fitting = [n for n in state if n.startswith("decoder.conv.") and n in own and own[n].shape == state[n].shape]
    return {n: t for n, t in state.items() if n not in fitting}, ("output layer not taken over",) if fitting else ()


def _grey_stem(state: Mapping[str, Tensor], target: Mapping[str, Any] | None) -> tuple[Mapping[str, Tensor], tuple[str, ...]]:
    stem = state.get("conv1.weight")
    if not target or target["name"] != "ResNet" or target["in_channels"] != 1 or stem is None or stem.ndim != 4 or stem.shape[1] != 3:
        return state, ()
    return {**state, "conv1.weight": stem.sum(1, keepdim=True)}, ("stem summed from 3 channels to 1",)


def _other_norm(model: nn.Module, report: TransferReport) -> bool:
    groups = {f"{name}.running_mean" for name, module in model.named_modules() if isinstance(module, nn.GroupNorm)}
    return not groups.isdisjoint(report.unused)


def _shorten(names: tuple[str, ...]) -> str:
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{len(names)} ({', '.join(names[:SHOWN])}{rest})"
