"""When a state is saved, and its writing while training goes on."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from mammolibs.engine.checkpoint import save_state
from mammolibs.engine.options import FitOptions
from mammolibs.engine.run import Run
from mammolibs.errors import MammolibsError, RuntimeUnavailable

# Saving may take this share of a run's time: dear states are saved less often. Where a state takes half a second
# and kills come unannounced, that is the best interval for one kill in 40 minutes (J. W. Young 1974, J. T. Daly 2006).
SAVING_SHARE = 0.01
LEAST_SECONDS = 10.0


def save_interval(cost_s: float, longest_s: float) -> float:
    """Seconds from one save to the next, where one takes cost_s seconds, holding up and writing together; at most longest_s."""
    return min(longest_s, max(LEAST_SECONDS, cost_s / SAVING_SHARE))


class StateWriter:
    """Copies a run's state to the host and writes it in a thread, one at a time.

    backup is called in that thread after each state: it brings the run's folder to where it outlives the machine.
    """

    def __init__(self, run: Run, options: FitOptions, backup: Callable[[], None]):
        self.run, self.options, self.backup = run, options, backup
        self.saved, self.cost_s = time.perf_counter(), 0.0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="state")
        self._writing: Future[float] | None = None
        self._held_up_s = 0.0

    def is_due(self) -> bool:
        """Is the last state old enough? The main host decides. Raises what went wrong with the last save."""
        if self._writing is not None and self._writing.done():
            self._finish()
        return self.run.runtime.is_main and time.perf_counter() - self.saved >= save_interval(self.cost_s, self.options.save_seconds)

    def save(self, pending: dict[str, list[float]], *, wait: bool) -> None:
        """Save the run as it stands; with `wait` return when it is on disk.

        Raises BadFile where this or the state before it cannot be written, and what `backup` raises; without `wait`
        a place that is not to be reached for the moment is only told, and the next state brings it up to date.
        """
        self._finish()
        began = time.perf_counter()
        state = self.run.state(pending)
        self.saved = time.perf_counter()
        self._held_up_s = self.saved - began
        if self.run.runtime.is_main:
            self._writing = self._thread.submit(self._write, state, wait)
        if wait:
            self._finish()

    def close(self, *, quietly: bool) -> None:
        """Finish what is being written. quietly: the run ends with an error of its own, which is the one to be told."""
        with contextlib.suppress(MammolibsError) if quietly else contextlib.nullcontext():
            self._finish()
        self._thread.shutdown()

    def _write(self, state: dict[str, Any], wait: bool) -> float:
        """Seconds that it took."""
        began = time.perf_counter()
        save_state(self.run.folder, state, self.options.keep_states)
        try:
            self.backup()
        except RuntimeUnavailable as error:
            if wait:
                raise
            print(f"{error} (the run goes on, its next state tries again)", file=sys.stderr, flush=True)
        return time.perf_counter() - began

    def _finish(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            self.cost_s = self._held_up_s + writing.result()
