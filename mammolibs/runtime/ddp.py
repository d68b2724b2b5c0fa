"""Several processes started by torchrun, each with its share of every batch: nccl on GPUs, gloo on CPUs."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mammolibs.errors import RuntimeUnavailable
from mammolibs.runtime.checksum import checksums
from mammolibs.runtime.norms import join_norms
from mammolibs.runtime.single import SingleRuntime

_PATIENCE = timedelta(minutes=30)


class DdpRuntime(SingleRuntime):
    """Runtime of one torchrun process; see `runtime.protocol.Runtime` for what each method promises.

    Losses are global figures, formed through `global_sum` and `global_cat`, so every host
    holds the same loss. The gradient of a collective is the sum over hosts of what comes
    back, so each host's gradient is a part of (hosts x the true one), and their mean is it.
    """

    kind = "ddp"

    def __init__(self, precision: str = "auto"):
        device, self.backend = self._own_device()
        super().__init__(precision, device=device)
        if not dist.is_initialized():
            _join(self.backend)
        self.hosts, self.host = dist.get_world_size(), dist.get_rank()
        self.world = self.hosts
        self.reason = f"torchrun's variables are set, {self.backend}"
        # Rows and flags lie in host memory, which devices' backends cannot send.
        self.host_group = dist.new_group(backend="gloo", timeout=_PATIENCE) if self.backend != "gloo" else None

    def _own_device(self) -> tuple[str, str]:
        """This process's device, and the backend that joins such devices. Raises RuntimeUnavailable where there are too few."""
        local, local_world = int(os.environ.get("LOCAL_RANK", 0)), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
        gpus = torch.cuda.device_count()
        if not gpus:
            return "cpu", "gloo"
        if gpus < local_world:
            raise RuntimeUnavailable(
                f"torchrun started {local_world} processes, this machine has {gpus} GPU(s); "
                f"use --nproc-per-node {gpus}, or CUDA_VISIBLE_DEVICES= for the CPU"
            )
        torch.cuda.set_device(local)
        return f"cuda:{local}", "nccl"

    def seed(self, value: int) -> None:
        torch.manual_seed(value + self.host)

    def prepare(self, model: nn.Module) -> nn.Module:
        model = super().prepare(model)
        for tensor in [*model.parameters(), *model.buffers()]:
            dist.broadcast(tensor.detach(), src=0)
        return join_norms(model, _GlobalSum.apply)

    def global_sum(self, tensor: Tensor) -> Tensor:
        return _GlobalSum.apply(tensor)

    def global_cat(self, tensor: Tensor) -> Tensor:
        return _GlobalCat.apply(tensor)

    def average_gradients(self, model: nn.Module) -> None:
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in gradients])
        dist.all_reduce(flat)
        flat /= self.hosts
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view(gradient.shape))

    def read(self, totals: Tensor) -> list[float]:
        summed = totals.detach().clone()
        dist.all_reduce(summed)
        return summed.tolist()

    def gather_rows(self, tree: Any) -> Any:
        shares: list[Any] = [None] * self.hosts
        dist.all_gather_object(shares, self.to_host(tree), group=self.host_group)
        return _join_rows(shares)

    def replicas(self, tensors: Iterable[Tensor]) -> list[list[int]]:
        shares: list[Any] = [None] * self.hosts
        dist.all_gather_object(shares, checksums(tensors).tolist(), group=self.host_group)
        return shares

    def agree(self, flag: bool) -> bool:
        said = torch.tensor([int(flag)])
        dist.all_reduce(said, group=self.host_group)
        return bool(said)

    def wait_for_hosts(self) -> None:
        self.agree(False)


class _GlobalSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tensor: Tensor) -> Tensor:
        summed = tensor.detach().clone(memory_format=torch.contiguous_format)
        dist.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return _GlobalSum.forward(ctx, gradient)


class _GlobalCat(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tensor: Tensor) -> Tensor:
        own = tensor.detach().contiguous()
        shares = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(shares, own)
        return torch.cat(shares)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return _GlobalSum.forward(ctx, gradient).chunk(dist.get_world_size())[dist.get_rank()]


def _join(backend: str) -> None:
    try:
        dist.init_process_group(backend, timeout=_PATIENCE)
    except (ValueError, RuntimeError) as error:
        said = str(error).splitlines()[0]
        remedy = "start them with torchrun --standalone --nproc-per-node N -- SCRIPT"
        raise RuntimeUnavailable(f"torchrun's processes do not find each other ({said}); {remedy}") from error
    atexit.register(_leave)


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def _join_rows(shares: list[Any]) -> Any:
    first = shares[0]
    if torch.is_tensor(first):
        return torch.cat(shares)
    if isinstance(first, dict):
        return {key: _join_rows([share[key] for share in shares]) for key in first}
    if any(torch.is_tensor(entry) or isinstance(entry, (dict, list, tuple)) for entry in first):
        return type(first)(_join_rows(list(parts)) for parts in zip(*shares, strict=True))
    return type(first)(row for share in shares for row in share)
