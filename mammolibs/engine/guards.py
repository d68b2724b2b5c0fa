"""What is watched while a stage trains: numbers, learning, the loader, and the wish to stop."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mammolibs.errors import BadData, MammolibsError
from mammolibs.records import Batch
from mammolibs.runtime import Runtime
from mammolibs.storage import write_json

if TYPE_CHECKING:
    from mammolibs.engine.stage import Terms

NONFINITE_NAME = "nonfinite.json"
_LOSS, _STEPS, _BAD, _CLEAN, _TERMS = 0, 1, 2, 3, 4


class Watch:
    """Sums of the loss and its terms, on the device until `look`; the ids of the steps since then; time waited."""

    def __init__(self, runtime: Runtime, folder: Path):
        self.runtime, self.folder = runtime, folder
        self.names: tuple[str, ...] = ()
        self.totals: Tensor | None = None
        self.ids: list[tuple[int, tuple[str, ...]]] = []
        self.sums: dict[str, list[float]] = {}
        self.started, self.waited = time.perf_counter(), 0.0

    def next(self, batches: Iterator[Batch], step: int, last_step: int) -> Batch:
        """The next batch. An exception of the loader passes through; an early end raises BadData."""
        began = time.perf_counter()
        batch = next(batches, None)
        self.waited += time.perf_counter() - began
        if batch is None:
            raise BadData(f"the training batches ended before step {step} of {last_step}; the input pipeline is broken")
        self.ids.append((step, batch.ids))
        return batch

    def add(self, loss: Tensor, terms: Terms) -> None:
        """Count one step, without waiting for it."""
        if self.totals is None:
            self.names = tuple(terms)
            self.totals = self.runtime.place(torch.zeros(_TERMS + 2 * len(self.names)))
        loss, before = loss.detach().float(), self.totals
        one = torch.ones_like(loss)
        bad = before[_BAD] + one - torch.isfinite(loss).float()
        parts = [before[_LOSS] + loss, before[_STEPS] + one, bad, before[_CLEAN] + (bad == 0).float()]
        pairs = [part.detach().float().reshape(()) for name in self.names for part in terms[name]]
        self.totals = torch.cat([torch.stack(parts), before[_TERMS:] + torch.stack(pairs)]) if pairs else torch.stack(parts)

    def look(self) -> float:
        """Read what was added since the last look; returns the mean loss of those steps.

        Raises MammolibsError where a loss was not finite, after writing the batch's image
        ids to nonfinite.json.
        """
        if self.totals is None or not self.ids:
            return math.nan
        values = self.runtime.read(self.totals)
        if values[_BAD]:
            self._refuse(round(values[_CLEAN] * len(self.ids) / values[_STEPS]))
        self._sum("loss", values[_LOSS], values[_STEPS])
        for i, name in enumerate(self.names):
            self._sum(f"term:{name}", values[_TERMS + 2 * i], values[_TERMS + 2 * i + 1])
        self.totals = self.runtime.place(torch.zeros(len(values)))
        self.ids.clear()
        return values[_LOSS] / values[_STEPS]

    def pending(self) -> dict[str, list[float]]:
        """What the present iteration has summed up so far, for a state."""
        return self.sums | {"time": [time.perf_counter() - self.started, self.waited]}

    def restore(self, pending: dict[str, list[float]]) -> None:
        """Go on from what a state holds."""
        self.sums = {name: list(pair) for name, pair in pending.items() if name != "time"}
        seconds, self.waited = pending.get("time", (0.0, 0.0))
        self.started = time.perf_counter() - seconds

    def end_iteration(self) -> dict[str, float]:
        """Means over the iteration (`train_loss`, `train_<term>`, `seconds`, `wait_share`); the next one begins at nothing."""
        seconds = time.perf_counter() - self.started
        row = {f"train_{name.removeprefix('term:')}": top / bottom if bottom else math.nan for name, (top, bottom) in self.sums.items()}
        row |= {"seconds": seconds, "wait_share": self.waited / seconds}
        self.sums, self.started, self.waited = {}, time.perf_counter(), 0.0
        return row

    def _sum(self, name: str, top: float, bottom: float) -> None:
        pair = self.sums.setdefault(name, [0.0, 0.0])
        pair[0] += top
        pair[1] += bottom

    def _refuse(self, clean_steps: int) -> None:
        (first, own_ids), last = self.ids[min(clean_steps, len(self.ids) - 1)], self.ids[-1][0]
        ids = [name for name in self.runtime.gather_rows(list(own_ids)) if name]
        path = self.folder / NONFINITE_NAME
        if self.runtime.is_main:
            write_json(path, {"step": first, "looked_at_after_step": last, "image_ids": ids})
        shown = ", ".join(ids[:4]) + (" ..." if len(ids) > 4 else "")
        raise MammolibsError(
            f"the loss of step {first} is not finite (looked at after step {last}); its images are {shown} (all in {path}); "
            "look at them, or go on from the last state with a lower --lr and --pretrain N"
        )


class Learning:
    """Were the weights changed by the first steps? Looked at once."""

    def __init__(self, model: nn.Module, runtime: Runtime):
        self.runtime = runtime
        self.before: dict[str, Tensor] | None = runtime.to_host(_trainable(model))

    def check(self, model: nn.Module, step: int) -> None:
        """Raises MammolibsError where no weight has changed; names in one line those that have not."""
        if self.before is None:
            return
        now = self.runtime.to_host(_trainable(model))
        still = [name for name, tensor in now.items() if torch.equal(tensor, self.before[name])]
        if len(still) == len(now):
            raise MammolibsError(f"no weight has changed after step {step}: the optimizer does not reach the network")
        if still and self.runtime.is_main:
            print(f"Unchanged after step {step}: {', '.join(still[:4])}{' ...' if len(still) > 4 else ''} ({len(still)} of {len(now)} tensors)")
        self.before = None


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


def _trainable(model: nn.Module) -> dict[str, Tensor]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
