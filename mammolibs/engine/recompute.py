"""Activations computed again in the backward pass instead of kept: less memory, about a third more time (T. Chen et al. 2016)."""

from __future__ import annotations

import functools
from collections.abc import Callable

from torch import Tensor, nn

from mammolibs.errors import BadConfig
from mammolibs.runtime import Runtime


def recompute_blocks(model: nn.Module, runtime: Runtime) -> None:
    """Make every block of the network (its chains of layers that convolve) compute its inner activations again. Values stay the same.

    Raises BadConfig where the network has no such block.
    """
    blocks = [m for m in model.modules() if isinstance(m, nn.Sequential) and any(isinstance(layer, nn.Conv2d) for layer in m)]
    if not blocks:
        raise BadConfig("--recompute: this network has no blocks whose activations could be computed again; leave it out")
    for block in blocks:
        block.forward = functools.partial(_again, block, block.forward, runtime)


def _again(block: nn.Module, forward: Callable[[Tensor], Tensor], runtime: Runtime, x: Tensor) -> Tensor:
    # Without a gradient to its input, a block would be left without gradients to its weights on XLA.
    if not block.training or not x.requires_grad:
        return forward(x)
    runs = iter((forward, functools.partial(_without_memory, block, forward)))
    return runtime.checkpoint(lambda inputs: next(runs)(inputs), x)


def _without_memory(block: nn.Module, forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The second run of one step: batch norm must not count the batch twice."""
    norms = [m for m in block.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        return forward(x)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
