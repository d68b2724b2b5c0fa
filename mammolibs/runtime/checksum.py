"""Checksums of tensors in whole numbers, formed where the tensors lie."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

_COARSE, _FINE = 2.0**8, 2.0**23


def checksums(tensors: Iterable[Tensor]) -> Tensor:
    """int32 vector, one number per tensor; sums wrap round, so that the order of adding does not count.

    Each value enters to within 2^-31, times an odd number that is its place's own: changes of
    opposite sign must not cancel. In two whole numbers, because sums of floats round small
    differences away, and XLA fetches a tensor to the host to show its bits.
    """
    return torch.stack([_checksum(tensor.detach()) for tensor in tensors])


def _checksum(tensor: Tensor) -> Tensor:
    scaled = tensor.float().reshape(-1) * _COARSE
    coarse = scaled.round()
    fine = ((scaled - coarse) * _FINE).round()
    places = torch.arange(len(scaled), dtype=torch.int32, device=tensor.device) * 2 + 1
    return ((coarse.to(torch.int32) * 31 + fine.to(torch.int32)) * places).sum(dtype=torch.int32)
