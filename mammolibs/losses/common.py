"""What the losses share: hooks, full precision, shape checks, a safe ratio."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.nn import functional as F

from mammolibs.errors import BadConfig

Hook = Callable[[Tensor], Tensor]


def identity(tensor: Tensor) -> Tensor:
    """The hook of a program that sees the whole global batch."""
    return tensor


def full_precision(tensor: Tensor) -> AbstractContextManager:
    """A context in which autocast leaves float32 alone: sums over a batch need its digits."""
    kind = tensor.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()


def cross_entropy(logits: Tensor, targets: Tensor, pos_weight: float) -> Tensor:
    """Binary cross-entropy of sigmoid(logits) per element, positives counted pos_weight times.

    As torch's, but pos_weight stays a number of the program and is no tensor to carry over.
    """
    return (1 - targets) * logits - (1 + (pos_weight - 1) * targets) * F.logsigmoid(logits)


def ratio(numerator: Tensor, denominator: Tensor, global_sum: Hook) -> Tensor:
    """Numerator over denominator, both summed over the global batch; 0 where nothing counts."""
    top, bottom = global_sum(torch.stack((numerator, denominator))).unbind()
    return top / torch.where(bottom > 0, bottom, torch.ones_like(bottom))


def same_shape(**tensors: Tensor) -> None:
    """Raise BadConfig where tensors that belong together differ in shape."""
    (first, reference), *others = tensors.items()
    for name, tensor in others:
        if tensor.shape != reference.shape:
            raise BadConfig(f"{name} has shape {tuple(tensor.shape)}, {first} has {tuple(reference.shape)}; they must agree")


def per_image(weights: Tensor, images: Tensor, name: str = "weights") -> Tensor:
    """Weights of shape (B,) as float32 of shape (B, 1, 1, ...) beside `images`.

    Raises BadConfig where there is not one weight per image.
    """
    if weights.shape != images.shape[:1]:
        raise BadConfig(f"{name} has shape {tuple(weights.shape)}, expected one per image: {tuple(images.shape[:1])}")
    return weights.float().reshape(-1, *[1] * (images.ndim - 1))
