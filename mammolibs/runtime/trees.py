"""Nested dicts, lists, tuples and batches of tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import torch

from mammolibs.records import Batch


def map_tensors(function: Callable[[torch.Tensor], Any], tree: Any) -> Any:
    """The same tree with function applied to each tensor; everything else as it is."""
    if torch.is_tensor(tree):
        return function(tree)
    if isinstance(tree, dict):
        return {key: map_tensors(function, value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(map_tensors(function, value) for value in tree)
    return tree


def map_batch(function: Callable[[torch.Tensor], torch.Tensor], batch: Batch) -> Batch:
    """The same batch with function applied to each array; host fields as they are."""
    arrays = {f.name: getattr(batch, f.name) for f in fields(batch) if f.name not in ("ids", "rows")}
    return replace(batch, **{k: function(torch.as_tensor(v)) for k, v in arrays.items() if v is not None})


def copy_to_host(tensor: torch.Tensor) -> torch.Tensor:
    """A copy in host memory that shares nothing with the tensor."""
    return tensor.detach().to("cpu", copy=True)
