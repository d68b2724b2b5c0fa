"""Is a part of the units worse than the rest, and do the labels of a data set look swapped? Tests over whole patients, corrected for their number."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mammolibs.evaluate.bootstrap import Draws, Statistic, estimate_all, logit, point, problem_of
from mammolibs.evaluate.ranked import Ranked
from mammolibs.evaluate.ranking import auc
from mammolibs.records import Estimate

# The spread of draws is known to 3 % after so many; a family of some fifty slices is drawn for twice.
ROUNDS = 500
# One report in a hundred may flag a slice where none is worse: an alarm that is often false is not read.
FAMILY_ERROR = 0.01
# Of each kind that a figure rests on, in the slice and in the rest.
LEAST_PATIENTS = 10
SOURCE = "data set"
FIGURES = {
    "auc": "AUC",
    "sensitivity": "sensitivity at the chosen cut",
    "specificity": "specificity at the chosen cut",
    "lesion_sensitivity_at_1_fp": "lesion sensitivity at 1 false positive per image",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Slice:
    """The units of which a fact says `name`, and the rest of which it says something else.

    members: bool (units,), which are in it. inside, rest: names of FIGURES -> the figure in the slice, and in the rest.
    """

    fact: str
    name: str
    members: np.ndarray
    inside: Mapping[str, Statistic]
    rest: Mapping[str, Statistic]


@dataclass(frozen=True, kw_only=True)
class Test:
    """p: one-sided, that the slice lies no lower; corrected: for all tests made with it (Holm 1979). Both None where `reason` says why."""

    p: float | None
    corrected: float | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Verdict:
    """What was found of a slice. swapped: its labels look like those of the other class."""

    slice: Slice
    figures: Mapping[str, Estimate]
    tests: Mapping[str, Test]
    swapped: bool = False

    @property
    def low(self) -> dict[str, Test]:
        """The figures that lie below the rest."""
        return {name: test for name, test in self.tests.items() if test.corrected is not None and test.corrected < FAMILY_ERROR}


@dataclass(frozen=True, kw_only=True, eq=False)
class Slices:
    """All slices that were judged together, over the same draws. tested: how many tests the correction is for."""

    verdicts: Sequence[Verdict]
    draws: Draws
    tested: int


def slices_by(fact: str, names: np.ndarray, scores: np.ndarray, labels: np.ndarray, patients: np.ndarray, unit: str) -> list[Slice]:
    """A slice for each name with its AUC alone.

    names: str (n,), what the fact says of each unit; empty where it says nothing. scores: float (n,), higher means more suspicious.
    labels: int (n,), 1 or 0. patients: str (n,).
    """

    def figures(held: np.ndarray) -> dict[str, Statistic]:
        return {"auc": auc(Ranked(scores[held], labels[held], patients[held], unit), method=f"{unit} AUC")}

    known = names != ""
    return [
        Slice(fact=fact, name=str(name), members=names == name, inside=figures(names == name), rest=figures(known & (names != name)))
        for name in np.unique(names[known])
    ]


def judge_slices(slices: Sequence[Slice], draws: Draws) -> Slices:
    """Every figure of every slice against the rest, and the AUC of every data set against the mirror image of the others'.

    The gap on the logit scale over its spread in the same draws for both, against Student's t; Holm's correction over all that were tested.
    """
    few = Draws(draws.patients, rounds=min(ROUNDS, draws.rounds), seed=draws.seed)
    tests = [{name: _below(inside, one.rest[name], few) for name, inside in one.inside.items()} for one in slices]
    of_all = [test.p for of_slice in tests for test in of_slice.values()]
    corrected = iter(holm(of_all))
    tests = [{name: Test(p=test.p, corrected=next(corrected), reason=test.reason) for name, test in of.items()} for of in tests]
    half = [_below_half(one, few) if one.fact == SOURCE else None for one in slices]
    verdicts = [
        Verdict(slice=one, figures=estimate_all(one.inside, few), tests=of_slice, swapped=_is_swapped(one, of_slice, below_half))
        for one, of_slice, below_half in zip(slices, tests, holm(half), strict=True)
    ]
    return Slices(verdicts=verdicts, draws=few, tested=sum(p is not None for p in of_all))


def holm(values: Sequence[float | None]) -> list[float | None]:
    """p-values corrected so that the chance of any false one is no larger than each says (Holm 1979); None stays None and does not count."""
    known = sorted((p, place) for place, p in enumerate(values) if p is not None)
    corrected: list[float | None] = [None] * len(values)
    highest = 0.0
    for rank, (p, place) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * p))
        corrected[place] = highest
    return corrected


def _too_little(statistic: Statistic, where: str) -> str:
    if problem := problem_of(statistic):
        return f"{where}: {problem}"
    few = statistic.independent < LEAST_PATIENTS
    return f"{where}: {statistic.independent} of the rarer kind's {LEAST_PATIENTS} patients that a test needs" if few else ""


def _below(inside: Statistic, rest: Statistic, draws: Draws) -> Test:
    if reason := _too_little(inside, "in the slice") or _too_little(rest, "in the rest"):
        return Test(p=None, reason=reason)
    p = _p_value((inside, rest), draws)
    return Test(p=p, reason="" if p is not None else "undefined in most rounds")


def _below_half(one: Slice, draws: Draws) -> float | None:
    return None if _too_little(one.inside["auc"], "") else _p_value((one.inside["auc"],), draws)


def _p_value(statistics: Sequence[Statistic], draws: Draws) -> float | None:
    """One-sided, that the first, on the logit scale, is no lower than the second (or than 0.5); None where most rounds leave it undefined.

    A spread is never taken for less than half a binomial one, as draws of few patients may all agree. Degrees of freedom: Satterthwaite 1946.
    """
    from scipy.special import stdtr

    signs = np.array([1.0, -1.0])[: len(statistics)]
    shares, sizes = np.array([point(s) for s in statistics]), np.array([s.independent for s in statistics])
    value = float(signs @ [logit(share, s.steps) for share, s in zip(shares, statistics, strict=True)])
    rounds = np.stack([logit(draws.values(s)[0], s.steps) for s in statistics])
    rounds = rounds[:, np.isfinite(rounds).all(axis=0)]
    if rounds.shape[1] < draws.rounds / 2 or not math.isfinite(value):
        return None
    least = 0.25 * (1 / (shares * sizes + 0.5) + 1 / ((1 - shares) * sizes + 0.5))
    variances = np.maximum(np.var(rounds, axis=1, ddof=1), least)
    spread = math.sqrt(max(float(np.var(signs @ rounds, ddof=1)), float(least.sum())))
    freedom = float(variances.sum() ** 2 / np.sum(variances**2 / (sizes - 1)))
    return float(stdtr(freedom, value / spread))


def _is_swapped(one: Slice, tests: Mapping[str, Test], below_half: float | None) -> bool:
    """True where the AUC lies below 0.5, or below the rest's and nearer to its mirror image than to chance."""
    if one.fact != SOURCE:
        return False
    if below_half is not None and below_half < FAMILY_ERROR:
        return True
    corrected = tests["auc"].corrected
    if corrected is None or corrected >= FAMILY_ERROR:
        return False
    here, there = (float(logit(point(s["auc"]), s["auc"].steps)) for s in (one.inside, one.rest))
    return here < -there / 2 < 0
