"""Other forms of torch's norm layers: same parameters, same values, same state_dict.

For XLA: torch lowers its norms to an operation that the partitioner cannot divide, so every
device would compute the whole batch from the first norm on. Written with means and
variances, each device keeps its own rows.

For the CPU: torch 2.9's backward pass of group norm in the channels_last layout ends the
process where its input needs no gradient (layers before it are frozen). The plain layout
does not, and costs one copy.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

from mammolibs.errors import BadConfig


class _GroupForward:
    """nn.GroupNorm for inputs N C ..., statistics in float32."""

    def forward(self, x: Tensor) -> Tensor:
        n, c = x.shape[:2]
        y = x.float().reshape(n, self.num_groups, c // self.num_groups, *x.shape[2:])
        y = _normalised(y, tuple(range(2, y.ndim)), self.eps).reshape(x.shape)
        return _scaled(y, self.weight, self.bias).to(x.dtype)


class _InstanceForward:
    """nn.InstanceNorm2d without running statistics."""

    def forward(self, x: Tensor) -> Tensor:
        return _scaled(_normalised(x.float(), (2, 3), self.eps), self.weight, self.bias).to(x.dtype)


class _BatchForward:
    """nn.BatchNorm2d with statistics of the global batch; the running variance is unbiased, as torch keeps it on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        y = x.float()
        if self.training or self.running_mean is None:
            variance, mean = torch.var_mean(y, dim=(0, 2, 3), unbiased=False)
            if self.training and self.running_mean is not None:
                self._remember(mean.detach(), variance.detach(), y.numel() // y.shape[1])
        else:
            variance, mean = self.running_var, self.running_mean
        y = (y - mean.view(1, -1, 1, 1)) * torch.rsqrt(variance + self.eps).view(1, -1, 1, 1)
        return _scaled(y, self.weight, self.bias).to(x.dtype)

    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        if self.momentum is None:
            raise BadConfig("batch norm with momentum None keeps a cumulative mean, which the sharded form does not; give a momentum")
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / max(1, count - 1)), self.momentum)


class _CpuGroupForward:
    """nn.GroupNorm that lives on inputs without gradients in any layout."""

    def forward(self, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled() or x.requires_grad:
            return super().forward(x)
        return super().forward(x.contiguous()).contiguous(memory_format=torch.channels_last if x.ndim == 4 else torch.contiguous_format)


def shard_norms(model: nn.Module) -> nn.Module:
    """The same model with all norms in the form that XLA can divide over the batch."""
    return _swap(model, {nn.GroupNorm: _GroupForward, nn.BatchNorm2d: _BatchForward, nn.InstanceNorm2d: _InstanceForward})


def spare_cpu_norms(model: nn.Module) -> nn.Module:
    """The same model with group norms in a form that a CPU survives."""
    return _swap(model, {nn.GroupNorm: _CpuGroupForward})


def _swap(model: nn.Module, forwards: dict[type, type]) -> nn.Module:
    for module in model.modules():
        for base, forward in forwards.items():
            if isinstance(module, base) and not isinstance(module, forward):
                module.__class__ = _with_forward(forward, type(module))
    return model


@functools.cache
def _with_forward(forward: type, norm: type) -> type:
    return type(f"{norm.__name__}{forward.__name__}", (forward, norm), {})


def _normalised(x: Tensor, dims: tuple[int, ...], eps: float) -> Tensor:
    variance, mean = torch.var_mean(x, dim=dims, keepdim=True, unbiased=False)
    return (x - mean) * torch.rsqrt(variance + eps)


def _scaled(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    if weight is None:
        return x
    return x * weight.view(1, -1, *[1] * (x.ndim - 2)) + bias.view(1, -1, *[1] * (x.ndim - 2))
