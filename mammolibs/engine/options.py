"""How a stage is trained, where it starts, and what comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mammolibs.engine.curves import check_tensorboard
from mammolibs.errors import BadConfig

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """One leg of training: so many iterations, with one learning-rate schedule over them.

    steps_per_iteration: None for one pass over the training rows. warmup_steps: at most a
    fifth of the leg. clip_norm: largest gradient norm, 0 for none. patience: iterations
    without a better validation figure after which the leg ends, 0 for never. ema: decay of
    the averaged weights that are then validated and saved, 0 for none. accumulate: parts that
    a global batch is cut into, one after the other, for devices that hold no more; losses and
    statistics are then each part's. recompute: activations are computed again in the backward
    pass instead of kept. check_every: steps between comparisons of the replicas' weights.
    save_seconds: longest time between states; cheap ones are saved more often (`engine.saving`).
    log_every: steps from one look at the device to the next; several hosts look more often where steps are long.
    tensorboard: also write event files of the history, which takes the tensorboard package.

    Raises BadConfig for what is out of range, and where that package is wanted and not there.
    """

    iterations: int = 20
    steps_per_iteration: int | None = None
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    warmup_steps: int = 20
    clip_norm: float = 1.0
    patience: int = 0
    keep_every: int = 10
    save_seconds: float = 180.0
    keep_states: int = 3
    log_every: int = 20
    seed: int = 0
    ema: float = 0.0
    accumulate: int = 1
    recompute: bool = False
    check_every: int = 200
    tensorboard: bool = False

    def __post_init__(self):
        for name in ("iterations", "keep_every", "keep_states", "log_every", "accumulate", "check_every"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        for name in ("weight_decay", "warmup_steps", "clip_norm", "patience", "save_seconds", "seed"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        _require(
            self.steps_per_iteration is None or self.steps_per_iteration >= 1, "steps_per_iteration", self.steps_per_iteration, "1 or more"
        )
        _require(0 < self.learning_rate < 1, "learning_rate", self.learning_rate, "between 0 and 1")
        _require(0 <= self.ema < 1, "ema", self.ema, "0 or more and less than 1")
        check_tensorboard(self.tensorboard)


@dataclass(frozen=True, kw_only=True)
class Start:
    """Where a stage starts: `fresh`, `resume` or `from_iteration`.

    init is called with the new network before it is placed; what it returns is printed.
    """

    mode: str
    iteration: int = 0
    init: Callable[[nn.Module], Any] | None = field(default=None, compare=False)

    @classmethod
    def fresh(cls, init: Callable[[nn.Module], Any] | None = None) -> Start:
        """A new run of the stage; earlier results of it are moved aside."""
        return cls(mode="fresh", init=init)

    @classmethod
    def resume(cls) -> Start:
        """Exactly where the newest readable state stands; the leg it was in is finished as it was planned."""
        return cls(mode="resume")

    @classmethod
    def from_iteration(cls, iteration: int) -> Start:
        """A new leg after this iteration: exactly where a state holds it, else from its weights; later ones are moved aside."""
        return cls(mode="iteration", iteration=iteration)


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """How a leg ended. weights, best_weights: the .safetensors files. why: "planned" or "patience"."""

    stage: str
    iteration: int
    steps: int
    why: str
    weights: Path
    best_iteration: int
    best_value: float | None
    best_weights: Path
    metrics: dict[str, Any]
    seconds: float


def _require(fine: bool, name: str, value: Any, allowed: str) -> None:
    if not fine:
        raise BadConfig(f"{name} is {value}, expected {allowed}")
