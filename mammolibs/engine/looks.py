"""When the hosts look up from their steps: at the log, at the clock, and whether one of them was told to stop."""

from __future__ import annotations

import statistics
import time

from mammolibs.engine.guards import StopSignal
from mammolibs.runtime import Runtime

# A spot machine has 30 seconds from the signal to its end. Within them the hosts must look, finish a step and save.
LONGEST_SECONDS = 10.0


class Looks:
    """Every `every` steps. Hosts that would need longer than LONGEST_SECONDS for them halve the number, all together, until they do not.

    One host alone sees at any step that it was told to stop; several must agree on the step.
    """

    def __init__(self, runtime: Runtime, stop: StopSignal, every: int):
        self.runtime, self.stop, self.every = runtime, stop, every
        self.took: list[float] = []
        self.last = time.perf_counter()

    def due(self, step: int) -> bool:
        """To be asked once after each step, on every host. The same on all of them."""
        now = time.perf_counter()
        self.took.append(now - self.last)
        self.last = now
        if step % self.every:
            return self.runtime.hosts == 1 and self.stop.told
        # The median: a step that compiles, or that was preceded by a validation, says nothing of the others.
        too_long = statistics.median(self.took) * self.every > LONGEST_SECONDS
        self.took.clear()
        if self.runtime.hosts > 1 and self.every > 1 and self.runtime.agree(too_long):
            self.every //= 2
        return True
