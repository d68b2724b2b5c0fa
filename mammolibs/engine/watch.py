"""What is measured while a stage trains: the loss and its terms, whether they are numbers, and the time waited for input."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mammolibs.errors import BadData, MammolibsError
from mammolibs.records import Batch
from mammolibs.runtime import Runtime
from mammolibs.storage import write_json

if TYPE_CHECKING:
    from mammolibs.engine.stage import Terms

NONFINITE_NAME = "nonfinite.json"
_LOSS, _STEPS, _BAD, _CLEAN, _TERMS = 0, 1, 2, 3, 4
_Ids = list[tuple[int, tuple[str, ...]]]


class Watch:
    """Sums of the loss and its terms on the device, the ids of the batches in them, the time waited.

    `post` puts what was summed up aside without waiting for it, and fetches what was put
    aside before, which the device has long finished; `look` fetches all.
    """

    def __init__(self, runtime: Runtime, folder: Path):
        self.runtime, self.folder = runtime, folder
        self.names: tuple[str, ...] = ()
        self.totals: Tensor | None = None
        self.ids: _Ids = []
        self.posted: tuple[Tensor, _Ids] | None = None
        self.mean = math.nan
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

    def post(self) -> float:
        """The mean loss of the steps before the last call (the first time, before this one). Raises like `look`."""
        self._fetch()
        if self.totals is not None and self.ids:
            self.posted = self.totals, self.ids
            self.totals, self.ids = self.runtime.place(torch.zeros(len(self.totals))), []
        if math.isnan(self.mean):
            # The first time there is nothing to show yet, and "nan" would be taken for what it says.
            self._fetch()
        return self.mean

    def look(self) -> float:
        """Read all that was added; returns the mean loss since the last call of `post` or `look`.

        Raises MammolibsError where a loss was not finite, after writing the batch's image
        ids to nonfinite.json.
        """
        self.post()
        self._fetch()
        return self.mean

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

    def _fetch(self) -> None:
        if self.posted is None:
            return
        (totals, ids), self.posted = self.posted, None
        values = self.runtime.read(totals)
        if values[_BAD]:
            self._refuse(ids, round(values[_CLEAN] * len(ids) / values[_STEPS]))
        self._sum("loss", values[_LOSS], values[_STEPS])
        for i, name in enumerate(self.names):
            self._sum(f"term:{name}", values[_TERMS + 2 * i], values[_TERMS + 2 * i + 1])
        self.mean = values[_LOSS] / values[_STEPS]

    def _sum(self, name: str, top: float, bottom: float) -> None:
        pair = self.sums.setdefault(name, [0.0, 0.0])
        pair[0] += top
        pair[1] += bottom

    def _refuse(self, ids: _Ids, clean_batches: int) -> None:
        (first, own_ids), last = ids[min(clean_batches, len(ids) - 1)], ids[-1][0]
        names = [name for name in self.runtime.gather_rows(list(own_ids)) if name]
        path = self.folder / NONFINITE_NAME
        if self.runtime.is_main:
            write_json(path, {"step": first, "looked_at_after_step": last, "image_ids": names})
        shown = ", ".join(names[:4]) + (" ..." if len(names) > 4 else "")
        raise MammolibsError(
            f"the loss of step {first} is not finite (looked at after step {last}); its images are {shown} (all in {path}); "
            "look at them, or go on from the last state with a lower --lr and --pretrain N"
        )
