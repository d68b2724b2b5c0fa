"""Goodput under preemption, on a simulated clock: the share of wall time spent on steps that were kept.

That is the usual definition (docs.cloud.google.com/tpu/docs/goodput: the proportion of time
"spent making productive, preserved training progress"). Wall time counts everything from the
start of the first process to the end of the last save: starting, steps, steps done again
because a kill lost them, and the part of saving that holds the loop up.

Kills come at random on the wall clock (exponential, seeded), while starting and saving too.
An announced one is SIGTERM: the step is finished, a state written, the process ends, if all of
that fits into the grace period. An unannounced one is SIGKILL: all since the newest state that was
whole on disk is lost. The defaults are examples; give what was measured on the machine at hand.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from tqdm import tqdm

from mammolibs.engine.options import FitOptions
from mammolibs.engine.saving import save_interval

WANTED = 0.97
STEPS_BETWEEN_KILLS = (100, 1_000, 10_000)
# Announced kills lose no step, so that their best interval is the longest.
ROWS = [(apart, *kind) for apart in STEPS_BETWEEN_KILLS for kind in ((True, False), (False, False), (False, True))]
MOST_STEPS = 1_000_000
STUCK = 100
"""A simulation ends where it took this many times the wall time that its steps alone take."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a run pays, in seconds. start_s: from the start of a process, after a kill too, to its first step,
    a new machine included where one has to be found. save_blocking_s: of a save, while the loop waits;
    save_background_s: until it is whole on disk after that, while the loop goes on. save_every: steps from
    one save to the next. grace_s: from SIGTERM to the end of the machine."""

    step_s: float
    start_s: float
    save_blocking_s: float
    save_background_s: float
    save_every: int
    grace_s: float = 30.0


@dataclass(frozen=True, kw_only=True)
class Goodput:
    """Where the wall time of a simulated run went, in seconds. kept_steps: fewer than asked for where it got stuck."""

    kept_steps: int
    kills: int
    kept_s: float
    lost_s: float
    saving_s: float
    starting_s: float

    @property
    def wall_s(self) -> float:
        return self.kept_s + self.lost_s + self.saving_s + self.starting_s

    @property
    def share(self) -> float:
        """Goodput: from 0 to 1."""
        return self.kept_s / self.wall_s


class _Killed(Exception):
    """A simulated process ended."""


@dataclass
class _Run:
    """A run on the simulated clock. done: steps that the present process stands at; saved: steps of the newest state on
    disk; asked: steps of the newest state that a save was begun for; writing: steps and time of completion of a save in
    the background; kill_at: time of the present process's kill; spent: seconds by kind, the present life's included."""

    costs: Costs
    lives: Iterator[float]
    announced: bool
    now: float = 0.0
    kill_at: float = 0.0
    done: int = 0
    saved: int = 0
    asked: int = 0
    kills: int = 0
    writing: tuple[int, float] | None = None
    spent: dict[str, float] = field(default_factory=lambda: {"steps": 0.0, "saving": 0.0, "starting": 0.0})

    @property
    def told(self) -> bool:
        """Has SIGTERM come?"""
        return self.announced and self.now >= self.kill_at

    def start(self) -> None:
        self.kill_at = self.now + next(self.lives, math.inf)
        # A process that is still starting has nothing to finish: SIGTERM ends it at once.
        self._spend(self.costs.start_s, "starting", self.kill_at)

    def step(self) -> None:
        self._spend(self.costs.step_s, "steps", self._end())
        self.done += 1

    def save(self, and_wait: bool) -> None:
        """Begin a save, after the one before it is done; its background part too, where and_wait."""
        if self.writing:
            self._spend(max(0.0, self.writing[1] - self.now), "saving", self._end())
            self.saved, self.writing = self.writing[0], None
        if self.saved < self.done:
            self._spend(self.costs.save_blocking_s, "saving", self._end())
            self.asked, self.writing = self.done, (self.done, self.now + self.costs.save_background_s)
            if and_wait:
                self.save(and_wait=False)

    def die(self) -> None:
        """What is left of a process: what it had on disk."""
        self.kills += 1
        if self.writing and self.writing[1] <= self.now:
            self.saved = self.writing[0]
        self.done, self.asked, self.writing = self.saved, self.saved, None

    def _end(self) -> float:
        return self.kill_at + (self.costs.grace_s if self.announced else 0.0)

    def _spend(self, seconds: float, kind: str, end: float) -> None:
        killed = self.now + seconds > end
        seconds = end - self.now if killed else seconds
        self.spent[kind] += seconds
        self.now += seconds
        if killed:
            raise _Killed


def simulate(costs: Costs, *, steps: int, lives: Iterable[float] = (), announced: bool = False) -> Goodput:
    """Train so many steps, in as many processes as it takes; pure.

    lives: seconds from the start of each process to its kill (to its SIGTERM, where announced);
    where they run out, nothing is killed any more. The last step is followed by a save that is
    waited for. Ends early where the run does not get on (see STUCK).
    """
    run = _Run(costs, iter(lives), announced)
    limit = STUCK * (steps * costs.step_s + costs.start_s)
    while run.saved < steps and run.now < limit:
        try:
            run.start()
            while run.saved < steps and run.now < limit:
                if run.done < steps:
                    run.step()
                if run.done - run.asked >= costs.save_every:
                    run.save(and_wait=False)
                if run.done == steps or run.told:
                    run.save(and_wait=True)
                if run.told and run.saved < steps:
                    raise _Killed
        except _Killed:
            run.die()
    kept = run.saved * costs.step_s
    return Goodput(
        kept_steps=run.saved,
        kills=run.kills,
        kept_s=kept,
        lost_s=max(0.0, run.spent["steps"] - kept),
        saving_s=run.spent["saving"],
        starting_s=run.spent["starting"],
    )


def exponential_lives(mean_s: float, seed: int) -> Iterator[float]:
    """Seconds between kills that come at random, without end; mean_s: their mean."""
    draw = random.Random(seed)
    while True:
        yield draw.expovariate(1 / mean_s)


def young_daly_s(save_s: float, mean_between_kills_s: float) -> float:
    """Seconds of training between saves that lose least to saving and to kills together, to first order:
    sqrt(2 x save cost x mean time between failures) (J. W. Young 1974, J. T. Daly 2006)."""
    return math.sqrt(2 * save_s * mean_between_kills_s)


def expected(costs: Costs, mean_between_kills_s: float, announced: bool) -> float:
    """Goodput by formula, to check the simulation by.

    Unannounced kills: Daly's complete model (2006, section 3), where start, save and the steps between two saves
    must pass without a kill; what is still being written is lost too, as if the start were longer by it.
    Announced ones: a start that a kill breaks off is all that is lost, and each kill costs one more save.
    """
    mean, interval_s = mean_between_kills_s, costs.save_every * costs.step_s
    if not announced:
        # Beyond e^50 intervals between two saves the answer is nought in any case.
        with_save = math.expm1(min(50.0, (interval_s + costs.save_blocking_s) / mean))
        return interval_s / (mean * math.exp((costs.start_s + costs.save_background_s) / mean) * with_save)
    trained = mean * math.exp(-costs.start_s / mean) * interval_s / (interval_s + costs.save_blocking_s)
    return trained / (mean + costs.save_blocking_s + costs.save_background_s)


def longest_start_s(costs: Costs, mean_between_kills_s: float, announced: bool) -> float:
    """The longest start, in seconds, at which `expected` still gives WANTED; below 0 where none does."""
    return mean_between_kills_s * math.log(expected(replace(costs, start_s=0.0), mean_between_kills_s, announced) / WANTED)


def main(arguments: list[str]) -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(prog="bench.py goodput", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--step-seconds", type=float, default=1.0)
    parser.add_argument("--start-seconds", type=float, default=30.0, help="from the start of a process to its first step (default 30)")
    parser.add_argument("--save-blocking", type=float, default=0.2, help="seconds that a save holds the loop up (default 0.2)")
    parser.add_argument("--save-background", type=float, default=1.0, help="seconds until it is on disk after that (default 1)")
    parser.add_argument("--save-seconds", type=float, help="of training between saves (default: what the engine chooses for these costs)")
    parser.add_argument("--grace", type=float, default=30.0, help="seconds from SIGTERM to the end (default 30, preemptible machines)")
    parser.add_argument("--kills", type=int, default=300, help=f"kills to simulate in each row, at most {MOST_STEPS} steps (default 300)")
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse_args(arguments)
    print(
        f"{flags.step_seconds:g} s per step, {flags.start_seconds:g} s from start to first step, a save holds the loop up for "
        f"{flags.save_blocking:g} s and is on disk {flags.save_background:g} s later"
    )
    names = f"{'goodput':>9}{'formula':>9}{'lost':>8}{'saving':>8}{'starting':>10}{'kills':>7}"
    print(f"{'one kill per':>13}  {'':<12}{'save every':>26}{names}")
    for apart, announced, best in tqdm(ROWS, unit="row", leave=False):
        tqdm.write(line(flags, apart, announced, best))
    for announced in (True, False):
        print(verdict(flags, announced))


def line(flags: argparse.Namespace, apart: int, announced: bool, best: bool) -> str:
    """One row of the table; best: with the interval of Young and Daly in place of the one asked for."""
    costs, mean_s, steps = costs_of(flags, apart, best), apart * flags.step_seconds, min(flags.kills * apart, MOST_STEPS)
    found = simulate(costs, steps=steps, lives=exponential_lives(mean_s, flags.seed), announced=announced)
    lost, saving, starting = (seconds / found.wall_s for seconds in (found.lost_s, found.saving_s, found.starting_s))
    kind, saves = "announced" if announced else "unannounced", f"{costs.save_every} steps" + " (Young/Daly)" * best
    return (
        f"{apart:>7} steps  {kind:<12}{saves:>26}{found.share:>9.1%}{expected(costs, mean_s, announced):>9.1%}"
        f"{lost:>8.1%}{saving:>8.1%}{starting:>10.1%}{found.kills:>7}" + "  does not get on" * (found.kept_steps < steps)
    )


def verdict(flags: argparse.Namespace, announced: bool) -> str:
    """What a start may take for the goodput that is wanted at the highest rate of kills, with the best interval where it matters."""
    apart = STEPS_BETWEEN_KILLS[0]
    costs = costs_of(flags, apart, best=not announced)
    longest = longest_start_s(costs, apart * costs.step_s, announced)
    kind = "announced" if announced else "unannounced"
    case = f"One {kind} kill per {apart} steps, a save every {costs.save_every} steps, by the formula:"
    if longest <= 0:
        return f"{case} no start is short enough for a goodput of {WANTED:.0%}, saves and lost steps alone cost more"
    return f"{case} goodput is above {WANTED:.0%} where a start takes less than {longest:.2f} s ({longest / costs.step_s:.2f} steps)"


def costs_of(flags: argparse.Namespace, apart: int, best: bool) -> Costs:
    """The costs as given; a save every so many seconds of training, in whole steps, at least 1. best: the interval of Young and Daly, else the engine's."""
    usual_s = (
        save_interval(flags.save_blocking + flags.save_background, FitOptions().save_seconds)
        if flags.save_seconds is None
        else flags.save_seconds
    )
    interval_s = young_daly_s(flags.save_blocking, apart * flags.step_seconds) if best else usual_s
    return Costs(
        step_s=flags.step_seconds,
        start_s=flags.start_seconds,
        save_blocking_s=flags.save_blocking,
        save_background_s=flags.save_background,
        save_every=max(1, round(interval_s / flags.step_seconds)),
        grace_s=flags.grace,
    )
