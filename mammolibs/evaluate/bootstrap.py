"""Patient-clustered bootstrap: one matrix of patient weights serves every figure of a report."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mammolibs.records import Estimate

ROUNDS = 2000
MINIMUM_PATIENTS = 5
BLOCK_ROUNDS = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class Statistic:
    """A figure that can be computed for any weighting of the patients.

    patients: sorted unique ids, str array P. evaluate: float32 weights (rounds, P) -> float64
    (rounds,), NaN where a round leaves it undefined; weight 1 for everybody gives the figure
    itself. independent: patients of the rarer kind, what a perfect score rests on. steps: how
    many steps there are between 0 and 1. is_count: a share of things counted, so never surer
    than half a binomial standard error. scale: "share" of what lies in [0, 1], "positive" of
    what lies at or above 0, "real" of any number. problem: why it cannot be computed, or empty.
    """

    unit: str
    n: int
    events: int
    patients: np.ndarray
    independent: int
    method: str
    evaluate: Callable[[np.ndarray], np.ndarray]
    steps: int
    is_count: bool = False
    scale: str = "share"
    problem: str = ""


class Draws:
    """`rounds` draws of patients with replacement, from one seed; the same for every figure that is given them."""

    def __init__(self, patients: Sequence[str], *, rounds: int = ROUNDS, seed: int = 0):
        self.patients = np.unique(np.asarray(patients, dtype=str))
        self.rounds = rounds
        self.seed = seed
        rng = np.random.default_rng(seed)
        count = len(self.patients)
        self._weights = np.zeros((rounds, count), np.uint16)
        for row in self._weights if count else ():
            row[:] = np.bincount(rng.integers(0, count, count), minlength=count)

    def blocks(self, patients: np.ndarray) -> Iterator[np.ndarray]:
        """Float32 weights (up to BLOCK_ROUNDS, P) for the named patients, block by block."""
        columns = np.searchsorted(self.patients, patients)
        if not np.array_equal(self.patients[np.minimum(columns, len(self.patients) - 1)], patients):
            raise ValueError("a statistic names patients that were not drawn from")
        for start in range(0, self.rounds, BLOCK_ROUNDS):
            yield self._weights[start : start + BLOCK_ROUNDS, columns].astype(np.float32)

    def values(self, *statistics: Statistic) -> np.ndarray:
        """The statistics, all over the same patients, in every round: float64 (statistics, rounds), NaN where undefined.

        All of them are asked with the same weights in turn, so that those of one `Ranked` count once.
        """
        patients = statistics[0].patients
        if any(other.patients is not patients and not np.array_equal(other.patients, patients) for other in statistics[1:]):
            raise ValueError("these statistics are not over the same patients")
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.concatenate([np.stack([one.evaluate(block) for one in statistics]) for block in self.blocks(patients)], axis=1)


def mean_over_folds(parts: Sequence[Statistic], groups: str = "folds") -> Statistic:
    """The mean of a figure over folds (or sources), each computed inside its own, so that scores of different models never meet.

    Those where it cannot be computed are left out, and counted in `method`.
    """
    usable = [part for part in parts if not part.problem]
    patients = np.unique(np.concatenate([part.patients for part in parts]))
    columns = [np.searchsorted(patients, part.patients) for part in usable]

    def evaluate(weights: np.ndarray) -> np.ndarray:
        values = np.stack([part.evaluate(weights[:, c]) for part, c in zip(usable, columns, strict=True)])
        known = np.isfinite(values)
        return np.where(known, values, 0).sum(axis=0) / known.sum(axis=0)

    methods = "; ".join(dict.fromkeys(part.method for part in usable or parts))
    note = "" if len(usable) == len(parts) else f", {len(parts) - len(usable)} {groups} without a figure left out"
    return replace(
        parts[0],
        n=sum(part.n for part in usable),
        events=sum(part.events for part in usable),
        patients=patients,
        independent=sum(part.independent for part in usable),
        steps=sum(part.steps for part in usable),
        evaluate=evaluate,
        method=f"mean over {len(usable)} {groups} of: {methods}{note}",
        problem="" if usable else parts[0].problem,
    )


def point(statistic: Statistic) -> float:
    """The figure itself: every patient once."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(statistic.evaluate(np.ones((1, len(statistic.patients)), np.float32))[0])


def problem_of(statistic: Statistic) -> str:
    """Why the figure cannot be computed, in words for the report; empty where it can."""
    if statistic.problem:
        return statistic.problem
    if len(statistic.patients) < MINIMUM_PATIENTS:
        return f"only {len(statistic.patients)} patients, at least {MINIMUM_PATIENTS} needed"
    return ""


def estimate(statistic: Statistic, draws: Draws | None = None) -> Estimate:
    """The figure with its 95 % interval; value None with the reason where there is none."""
    return estimate_all({"": statistic}, draws)[""]


def estimate_all(statistics: Mapping[str, Statistic], draws: Draws | None = None) -> dict[str, Estimate]:
    """Several figures at once, those over the same patients from one pass over the draws."""
    groups: dict[bytes, list[str]] = {}
    for name, statistic in statistics.items():
        if not problem_of(statistic):
            groups.setdefault("\0".join(statistic.patients).encode(), []).append(name)
    rounds: dict[str, np.ndarray] = {}
    for names in groups.values():
        members = [statistics[name] for name in names]
        own = draws or Draws(members[0].patients)
        rounds |= dict(zip(names, own.values(*members), strict=True))
    return {name: _estimate(statistic, rounds.get(name), draws) for name, statistic in statistics.items()}


def _estimate(statistic: Statistic, rounds: np.ndarray | None, draws: Draws | None) -> Estimate:
    facts = {"n": statistic.n, "events": statistic.events, "unit": statistic.unit}
    if rounds is None:
        return Estimate(value=None, method=statistic.method, reason=problem_of(statistic), **facts)
    value = point(statistic)
    if not math.isfinite(value):
        return Estimate(value=None, method=statistic.method, reason="cannot be computed: nothing to divide by", **facts)
    interval = logit_interval if statistic.scale == "share" else plain_interval
    low, high, reason = interval(value, rounds, statistic)
    told = f"{len(rounds)} rounds, seed {draws.seed if draws else 0}"
    return Estimate(value=value, low=low, high=high, method=_describe(statistic, told), reason=reason, **facts)


def difference(a: Statistic, b: Statistic, draws: Draws | None = None) -> Estimate:
    """a minus b over the same patients, with a 95 % interval from the same draws (normal, bootstrap standard error)."""
    facts = {"n": a.n, "events": a.events, "unit": a.unit}
    reason = problem_of(a) or problem_of(b)
    if not reason and not np.array_equal(a.patients, b.patients):
        reason = "the two are not over the same patients"
    if reason:
        return Estimate(value=None, method=f"difference of: {a.method}", reason=reason, **facts)
    draws = draws or Draws(a.patients)
    gaps = np.subtract(*draws.values(a, b))
    gaps = gaps[np.isfinite(gaps)]
    value = point(a) - point(b)
    method = f"paired difference of: {_describe(a, f'{draws.rounds} rounds, seed {draws.seed}', scale='plain scale')}"
    if len(gaps) < draws.rounds / 2:
        return Estimate(value=value, method=method, reason="undefined in most rounds, no interval", **facts)
    half = _quantile(a.independent) * float(np.std(gaps, ddof=1))
    if half == 0.0:
        reason = "no round told the two apart; the interval is a point" if value else "the two agree on every patient"
    most = 1.0 if a.scale == "share" else math.inf
    return Estimate(value=value, low=max(-most, value - half), high=min(most, value + half), method=method, reason=reason, **facts)


def logit(share: np.ndarray | float, steps: int) -> np.ndarray:
    """Log odds of shares that go from 0 to 1 in so many steps; half a step on both sides gives 0 and 1 a logit."""
    return np.log((np.asarray(share) * steps + 0.5) / ((1 - np.asarray(share)) * steps + 0.5))


def unpaired_difference(a: Estimate, b: Estimate) -> Estimate:
    """a minus b of two sets that share no patient, with a 95 % interval from those of both (squares added: Newcombe 1998, method 10;
    Zou and Donner 2008).

    Each side brings its own interval, so the result is as lopsided as those are and never leaves what a difference can be.
    """
    facts = {"n": a.n + b.n, "events": None if None in (a.events, b.events) else a.events + b.events, "unit": a.unit}
    facts["method"] = f"difference of independent figures, squares of the intervals' arms added; of: {a.method}"
    if a.value is None or b.value is None:
        return Estimate(value=None, reason=a.reason if a.value is None else b.reason, **facts)
    value = a.value - b.value
    if None in (a.low, b.low):
        return Estimate(value=value, reason=a.reason if a.low is None else b.reason, **facts)
    low = value - math.hypot(a.value - a.low, b.high - b.value)
    high = value + math.hypot(a.high - a.value, b.value - b.low)
    return Estimate(value=value, low=low, high=high, **facts)


def logit_interval(value: float, rounds: np.ndarray, statistic: Statistic) -> tuple[float | None, float | None, str]:
    """Low, high and a reason where they are missing: value +- t x the rounds' standard deviation, on the logit scale.

    The percentile interval covers too little where patients are few (0.77 to 0.93 for a
    nominal 0.95 at 50 patients, 0.5 to 0.2 of them ill; this one 0.92 to 0.99). Half a step
    is added on both sides so that 0 and 1 have a logit. Where every round gives the same
    value, the exact binomial interval of the independent patients stands in (Clopper and
    Pearson 1934), so that a perfect score is not taken for certain.
    """
    rounds = rounds[np.isfinite(rounds)]
    if len(rounds) < 2:
        return None, None, "undefined in most rounds, no interval"
    count, steps = max(statistic.independent, 1), max(statistic.steps, 1)
    if np.ptp(rounds) < 1e-9:
        return *_exact(value, count), ""

    spread = float(np.std(logit(rounds, steps), ddof=1))
    if statistic.is_count:
        spread = max(spread, 0.5 * math.sqrt(1 / (value * count + 0.5) + 1 / ((1 - value) * count + 0.5)))
    half = _quantile(count) * spread
    low, high = (_unlogit(float(logit(value, steps)) + sign * half, steps) for sign in (-1, 1))
    return min(low, value), max(high, value), ""


def plain_interval(value: float, rounds: np.ndarray, statistic: Statistic) -> tuple[float | None, float | None, str]:
    """Low, high and a reason where they are missing: value +- t x the rounds' standard deviation; from 0 up where nothing lies below."""
    rounds = rounds[np.isfinite(rounds)]
    if len(rounds) < 2:
        return None, None, "undefined in most rounds, no interval"
    half = _quantile(statistic.independent) * float(np.std(rounds, ddof=1))
    low = max(0.0, value - half) if statistic.scale == "positive" else value - half
    return low, value + half, ""


def _exact(value: float, count: int) -> tuple[float, float]:
    from scipy.special import betaincinv

    hits = value * count
    low = 0.0 if hits <= 0 else float(betaincinv(hits, count - hits + 1, 0.025))
    high = 1.0 if hits >= count else float(betaincinv(hits + 1, count - hits, 0.975))
    return low, high


def _unlogit(logit: float, steps: int) -> float:
    share = 1 / (1 + math.exp(-logit))
    return min(1.0, max(0.0, (share * (steps + 1) - 0.5) / steps))


def _quantile(independent: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(max(independent - 1, 1), 0.975))


def _describe(statistic: Statistic, told: str, scale: str = "") -> str:
    scale = scale or ("logit scale" if statistic.scale == "share" else "plain scale")
    return f"{statistic.method}; bootstrap over {len(statistic.patients)} patients, {told}, standard error, {scale}"
