"""Other forms of torch's norm layers: same parameters, same values, same state_dict.

For XLA: torch lowers its norms to an operation that the partitioner cannot divide, so every
device would compute the whole batch from the first norm on. Written with means and
variances, each device keeps its own rows.

For several hosts: torch's batch norm takes the statistics of one host's rows, so that results
would depend on how many there are, and its SyncBatchNorm knows no CPU.

For the CPU: torch 2.9's backward pass of group norm in the channels_last layout ends the
process where its input needs no gradient (layers before it are frozen). The plain layout
does not, and costs one copy.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

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
            mean, variance, correction = self._moments(y)
            if self.training and self.running_mean is not None:
                self._remember(mean.detach(), variance.detach() * correction)
        else:
            variance, mean = self.running_var, self.running_mean
        y = (y - mean.view(1, -1, 1, 1)) * torch.rsqrt(variance + self.eps).view(1, -1, 1, 1)
        return _scaled(y, self.weight, self.bias).to(x.dtype)

    def _moments(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor | float]:
        """Mean and biased variance per channel, and the factor that makes the variance unbiased."""
        variance, mean = torch.var_mean(y, dim=(0, 2, 3), unbiased=False)
        count = y.numel() // y.shape[1]
        return mean, variance, count / max(1, count - 1)

    def _remember(self, mean: Tensor, unbiased: Tensor) -> None:
        if self.momentum is None:
            raise BadConfig("batch norm with momentum None keeps a cumulative mean, which the sharded form does not; give a momentum")
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(unbiased, self.momentum)


class _HostsBatchForward(_BatchForward):
    """nn.BatchNorm2d with statistics over the rows of all hosts."""

    global_sum: Callable[[Tensor], Tensor]

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if self.training else nn.BatchNorm2d.forward(self, x)

    def _moments(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor | float]:
        own = y.new_full((1,), y.numel() // y.shape[1])
        sums = self.global_sum(torch.cat((y.sum((0, 2, 3)), own)))
        count = sums[-1].detach()
        mean = sums[:-1] / count
        variance = self.global_sum((y - mean.view(1, -1, 1, 1)).square().sum((0, 2, 3))) / count
        return mean, variance, count / (count - 1).clamp_min(1)


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


def join_norms(model: nn.Module, global_sum: Callable[[Tensor], Tensor]) -> nn.Module:
    """The same model with the statistics of batch norm over all hosts; global_sum: adds a tensor up over them."""
    model = _swap(model, {nn.BatchNorm2d: _HostsBatchForward})
    for module in model.modules():
        if isinstance(module, _HostsBatchForward):
            module.global_sum = global_sum
    return model


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
