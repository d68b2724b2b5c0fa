"""A leg of training and its learning rate: pure functions of the step number."""

from __future__ import annotations

import math
from dataclasses import dataclass

_FLOOR = 0.01


@dataclass(frozen=True, kw_only=True)
class Leg:
    """The stretch that one command planned. Steps and iterations count from the stage's first."""

    start_iteration: int
    start_step: int
    iterations: int
    steps_per_iteration: int
    learning_rate: float
    warmup_steps: int

    @property
    def last_iteration(self) -> int:
        return self.start_iteration + self.iterations

    @property
    def last_step(self) -> int:
        return self.start_step + self.iterations * self.steps_per_iteration

    def iteration_at(self, step: int) -> int:
        """Iterations completed after this many steps."""
        return self.start_iteration + (step - self.start_step) // self.steps_per_iteration

    def ends_iteration(self, step: int) -> bool:
        """True where the step count is the end of an iteration of this leg."""
        return step > self.start_step and (step - self.start_step) % self.steps_per_iteration == 0


def rate_at(step: int, leg: Leg) -> float:
    """The learning rate of a step: a linear warm-up, then a half cosine down to a hundredth. Never 0.

    XLA bakes an exact 0 into the program and compiles once more for it.
    """
    done, planned = step - leg.start_step, leg.last_step - leg.start_step
    warmup = min(leg.warmup_steps, planned // 5)
    if done < warmup:
        return leg.learning_rate * (done + 1) / (warmup + 1)
    share = (done - warmup) / max(1, planned - warmup)
    return leg.learning_rate * (_FLOOR + (1 - _FLOOR) * 0.5 * (1 + math.cos(math.pi * share)))


def step_seed(seed: int, step: int) -> int:
    """The seed of what layers draw in this step, so that a resumed run draws the same."""
    return (seed * 1_000_003 + step * 7_919 + 12_345) % (2**31 - 1)
