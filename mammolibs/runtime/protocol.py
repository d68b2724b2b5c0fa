"""What every runtime can do. The names show the lazy boundary: nothing is on the host before `read`, `to_host` or `gather_rows`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from mammolibs.records import Batch

if TYPE_CHECKING:
    from torch import Tensor, device, nn


class Runtime(Protocol):
    """One way of running the same program: `single`, `ddp` or `xla`.

    A host is one process with its own share of every batch; `world` counts the cores over
    all hosts. Under `single` and `xla` the program sees the global batch, under `ddp` the
    host's share of it: `global_sum` and `global_cat` make up the difference. `undivided` names
    operations (of `operations`) for which every core would compute the whole batch.
    """

    kind: str
    device: device
    hosts: int
    host: int
    is_main: bool
    world: int
    precision: str
    reason: str
    precision_reason: str
    undivided: frozenset[str]

    def seed(self, value: int) -> None:
        """Set every generator that layers draw from (dropout, initial weights); hosts of `ddp` differ."""

    def prepare(self, model: nn.Module) -> nn.Module:
        """The model on the device, equal on all hosts, with its parameters' names unchanged."""

    def feed(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The host's batches as global ones (`ddp`: as this host's share), on the device, one ahead of the step."""

    def place(self, tensor: Tensor) -> Tensor:
        """The tensor on the device, the same on every core."""

    def autocast(self) -> AbstractContextManager:
        """The precision of forward passes, as chosen. Losses are to be formed in float32."""

    def global_sum(self, tensor: Tensor) -> Tensor:
        """The sum over all hosts, elementwise, through which gradients flow."""

    def global_cat(self, tensor: Tensor) -> Tensor:
        """The rows of all hosts, in host order, through which gradients flow."""

    def average_gradients(self, model: nn.Module) -> None:
        """Make gradients equal on all hosts: right for a loss that is the same global figure on every host."""

    def end_part(self) -> None:
        """Hand a part of a step to the device (`engine.step.micro_batches`): what it kept for its backward pass is freed before the next one."""

    def end_step(self) -> None:
        """Hand the step to the device. What a step computed may be read afterwards, never before."""

    def optimizer_options(self) -> dict[str, Any]:
        """What torch's optimizers are to be told so that they suit the device."""

    def read(self, totals: Tensor) -> list[float]:
        """Numbers of a vector on the host, summed over hosts. Waits for the device."""

    def to_host(self, tree: Any) -> Any:
        """A copy of what is the same on every host (dicts, lists, tensors) in host memory. Waits for the device."""

    def gather_rows(self, tree: Any) -> Any:
        """Rows of the global batch in host memory, on every host, all in the same order: host after host.

        Tensors have a row per image, and so have lists or tuples of plain values (ids);
        dicts, lists and tuples of those keep their form. Waits for the device.
        """

    def agree(self, flag: bool) -> bool:
        """True on every host where any host says so. Every host must call it."""

    def wait_for_hosts(self) -> None:
        """Return when every host has come here."""

    def checkpoint(self, function: Callable[..., Any], *inputs: Any) -> Any:
        """function(*inputs), its inner activations computed again in the backward pass instead of kept."""

    def replicas(self, tensors: Iterable[Tensor]) -> list[list[int]]:
        """A checksum of each tensor (`runtime.checksum`) on each replica, the same table on every host.

        A replica is a core under `xla`, a host under `ddp`; `single` has one. Every host must call it. Waits for the device.
        """

    def compile_count(self) -> int:
        """Programs compiled so far in this process; 0 where nothing is compiled."""

    def operations(self) -> dict[str, int]:
        """How often each operation was recorded for compiling so far; empty where nothing is compiled."""

    def fallbacks(self) -> list[str]:
        """Operators that have run on the host because the device knows them not."""

    def device_reads(self) -> int:
        """Transfers from the device to the host so far; 0 where nobody counts them."""
