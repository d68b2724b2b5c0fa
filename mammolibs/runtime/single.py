"""One process with one device: this machine's CPU, or one GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from mammolibs.records import Batch
from mammolibs.runtime.checksum import checksums
from mammolibs.runtime.norms import spare_cpu_norms
from mammolibs.runtime.precision import choose_precision
from mammolibs.runtime.trees import copy_to_host, map_batch, map_tensors


class SingleRuntime:
    """Runtime of one process; see `runtime.protocol.Runtime` for what each method promises."""

    kind = "single"
    undivided: frozenset[str] = frozenset()

    def __init__(self, precision: str = "auto", device: str | None = None):
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.hosts, self.host, self.world = 1, 0, 1
        self.precision, self.precision_reason = choose_precision(precision, self.device.type)
        self.reason = "neither PJRT_DEVICE nor torchrun's variables are set"
        if self.device.type == "cuda" and torch.cuda.device_count() > 1:
            self.reason += f"; torchrun --nproc-per-node {torch.cuda.device_count()} -- SCRIPT would use all GPUs"

    @property
    def is_main(self) -> bool:
        return self.host == 0

    def seed(self, value: int) -> None:
        torch.manual_seed(value)

    def prepare(self, model: nn.Module) -> nn.Module:
        if self.device.type == "cpu":
            model = spare_cpu_norms(model)
        return model.to(self.device, memory_format=torch.channels_last)

    def feed(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        return one_ahead(lambda batch: map_batch(self._place_rows, batch), batches)

    def place(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device)

    def autocast(self) -> AbstractContextManager:
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def global_sum(self, tensor: Tensor) -> Tensor:
        return tensor

    def global_cat(self, tensor: Tensor) -> Tensor:
        return tensor

    def average_gradients(self, model: nn.Module) -> None:
        return None

    def end_part(self) -> None:
        return None

    def end_step(self) -> None:
        return None

    def optimizer_options(self) -> dict[str, Any]:
        return {"capturable": False}

    def read(self, totals: Tensor) -> list[float]:
        return totals.tolist()

    def to_host(self, tree: Any) -> Any:
        return map_tensors(copy_to_host, tree)

    def gather_rows(self, tree: Any) -> Any:
        return self.to_host(tree)

    def agree(self, flag: bool) -> bool:
        return flag

    def wait_for_hosts(self) -> None:
        return None

    def checkpoint(self, function: Callable[..., Any], *inputs: Any) -> Any:
        from torch.utils.checkpoint import checkpoint

        return checkpoint(function, *inputs, use_reentrant=False)

    def replicas(self, tensors: Iterable[Tensor]) -> list[list[int]]:
        return [checksums(tensors).tolist()]

    def compile_count(self) -> int:
        return 0

    def operations(self) -> dict[str, int]:
        return {}

    def fallbacks(self) -> list[str]:
        return []

    def device_reads(self) -> int:
        return 0

    def _place_rows(self, tensor: Tensor) -> Tensor:
        if self.device.type == "cuda":
            # Only a copy from pinned memory leaves the host free to go on.
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)


def one_ahead(place: Callable[[Batch], Batch], batches: Iterable[Batch]) -> Iterator[Batch]:
    """Placed batches, each begun while the one before it is in use. Closing it closes the source."""
    source = iter(batches)
    try:
        waiting = None
        for batch in source:
            placed = place(batch)
            if waiting is not None:
                yield waiting
            waiting = placed
        if waiting is not None:
            yield waiting
    finally:
        if hasattr(source, "close"):
            source.close()
