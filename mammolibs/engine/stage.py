"""What the engine needs to know of a stage and of the data. Nothing else differs between stages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from mammolibs.records import Batch
from mammolibs.runtime import Runtime

if TYPE_CHECKING:
    from torch import Tensor, nn

Terms = dict[str, tuple["Tensor", "Tensor"]]
Validate = Callable[["nn.Module"], dict[str, Any]]


class Stage(Protocol):
    """One stage: its network, its loss, and the validation figure that decides which weights are best."""

    name: str
    monitor: str
    higher_is_better: bool

    def build(self) -> nn.Module:
        """A new network on the CPU, its weights drawn from torch's global generator."""

    def loss(self, model: nn.Module, batch: Batch, runtime: Runtime) -> tuple[Tensor, Terms]:
        """The loss of the global batch (formed with runtime.global_sum and global_cat), and named terms for the log.

        A term is (numerator, denominator), tensors without dimensions; the log shows the
        ratio of their sums over steps and hosts. The names are the same in every step.
        """

    def remark(self, history: list[dict[str, float]]) -> str:
        """What a person should be told once an iteration's row stands in the history; empty where there is nothing to say."""


class TrainStream(Protocol):
    """The training batches, a pure function of the step number."""

    global_batch: int
    steps_per_pass: int

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """This host's share of the batches of steps start to stop, stop exclusive."""
