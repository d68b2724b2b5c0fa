"""What is guarded while a stage trains: that replicas stay alike, that weights change, and the wish to stop."""

from __future__ import annotations

import signal
import threading

from torch import nn

from mammolibs.errors import MammolibsError
from mammolibs.runtime import Runtime


class Weights:
    """Do all replicas hold the same weights, and do steps change them? Told by checksums formed on the device.

    Replicas are compared at once, then wherever `check` finds `every` steps gone since the
    last time. Change is asked for once after the start and once after each `saved`.
    """

    def __init__(self, model: nn.Module, runtime: Runtime, *, step: int, every: int):
        self.runtime, self.every, self.model = runtime, every, model
        parameters = {name: p for name, p in model.named_parameters()}
        self.trained = [name for name, p in parameters.items() if p.requires_grad]
        self.tensors = parameters | {name: b for name, b in model.named_buffers() if b.is_floating_point()}
        self.step, self.told = step, False
        self.sums = self._compare(step)
        self.since = self.sums

    def check(self, step: int) -> None:
        """Raises MammolibsError where replicas differ, or where no weight has changed since the start or the last save."""
        if step == self.step or (self.since is None and step - self.step < self.every):
            return
        self.sums = self._compare(step)
        if self.since is not None:
            self._ask_for_change(step)

    def saved(self, step: int) -> None:
        """A state was written after this step; later steps must change what it holds. Raises like `check`."""
        if step != self.step:
            self.sums = self._compare(step)
        self.since = self.sums

    def _compare(self, step: int) -> dict[str, int]:
        self.step = step
        table = self.runtime.replicas(self.tensors.values())
        for replica, sums in enumerate(table):
            differ = [name for name, own, first in zip(self.tensors, sums, table[0], strict=True) if own != first]
            if differ:
                raise MammolibsError(
                    f"after step {step} replica {replica} of {len(table)} does not hold the weights of replica 0 ({_few(differ)}: {len(differ)} of "
                    f"{len(sums)} tensors); this run's later states are not to be trusted: start it again, and if it comes back look at that device"
                )
        return dict(zip(self.tensors, table[0], strict=True))

    def _ask_for_change(self, step: int) -> None:
        still = [name for name in self.trained if self.sums[name] == self.since[name]]
        if len(still) == len(self.trained):
            raise MammolibsError(f"no weight has changed after step {step}: the optimizer does not reach the network")
        if still and not self.told and self.runtime.is_main:
            print(f"Unchanged after step {step}: {_few(still)} ({len(still)} of {len(self.trained)} tensors)")
        self.since, self.told = None, True


def _few(names: list[str]) -> str:
    return ", ".join(names[:4]) + (" ..." if len(names) > 4 else "")


class StopSignal:
    """Notes SIGTERM and SIGINT while its block runs; a second SIGINT acts at once. Off the main thread it notes nothing."""

    def __init__(self) -> None:
        self.told = False
        self._earlier: dict[int, object] = {}

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is threading.main_thread():
            self._earlier = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: object) -> None:
        if self.told and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.told = True
