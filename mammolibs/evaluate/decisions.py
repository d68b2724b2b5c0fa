"""What happens at one cut: right and wrong calls, and what they mean where the disease is rarer or more common.

Scores at or above the cut are called.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mammolibs.evaluate.bootstrap import Draws, Statistic, estimate_all
from mammolibs.evaluate.ranked import Ranked
from mammolibs.evaluate.sums import sums_statistic
from mammolibs.records import Estimate


def confusion(ranked: Ranked, cut: float) -> dict[str, int]:
    """Counts of the four kinds of calls."""
    called, ill = ranked.scores >= cut, ranked.labels == 1
    return {
        "true_positives": int(np.sum(called & ill)),
        "false_positives": int(np.sum(called & ~ill)),
        "false_negatives": int(np.sum(~called & ill)),
        "true_negatives": int(np.sum(~called & ~ill)),
    }


def at_cut(ranked: Ranked, cut: float, prevalence: float, told: str) -> dict[str, Statistic]:
    """`at_calls` of what scores at or above the cut. told: where the cut comes from, for the report."""
    return at_calls(ranked, ranked.scores >= cut, prevalence, f"at the cut {cut:.4g} ({told})")


def decide(ranked: Ranked, called: np.ndarray, prevalence: float, where: str, draws: Draws) -> dict[str, Estimate]:
    """The figures of `at_calls` with their intervals.

    Log odds of a predictive value are those of the prevalence and a likelihood ratio that no prevalence enters. So the interval is
    taken where half are positive and moved: where the disease is rare, one patient's step is larger than the value itself.
    """
    found = estimate_all(at_calls(ranked, called, prevalence, where), draws)
    even = estimate_all({name: at_calls(ranked, called, 0.5, where)[name] for name in ("ppv", "npv")}, draws)
    for name, right in (("ppv", prevalence), ("npv", 1 - prevalence)):
        if even[name].low is not None and even[name].high is not None:
            low, high = (share * right / (share * right + (1 - share) * (1 - right)) for share in (even[name].low, even[name].high))
            told = f"{found[name].method}; the interval taken at a prevalence of 0.5 and moved by Bayes' rule"
            found[name] = replace(found[name], low=low, high=high, method=told)
    return found


def at_calls(ranked: Ranked, called: np.ndarray, prevalence: float, where: str) -> dict[str, Statistic]:
    """Sensitivity, specificity, predictive values and recall rate of calls.

    called: bool (n,). prevalence: share of units that are positive where the system would be used, in (0, 1);
    predictive values and recall rate follow from it by Bayes' rule. where: at which cut, for the report.
    """
    ill = ranked.labels == 1
    columns = [called & ill, ill, ~called & ~ill, ~ill]
    of_ill, of_rest = ranked.patients_of_each_class
    there = f"at a prevalence of {prevalence:.4g}, {where}"

    def predicted(hits: np.ndarray, positives: np.ndarray, cleared: np.ndarray, negatives: np.ndarray) -> tuple[np.ndarray, ...]:
        found, spared = hits / positives * prevalence, cleared / negatives * (1 - prevalence)
        return found, prevalence - found, spared, 1 - prevalence - spared

    def figure(combine, method: str, independent: int) -> Statistic:
        return sums_statistic(
            columns, combine, ranked.patient_of, ranked.unit, method=method, events=ranked.events, independent=independent, is_count=True
        )

    def ppv(*sums: np.ndarray) -> np.ndarray:
        found, _, _, false = predicted(*sums)
        return found / (found + false)

    def npv(*sums: np.ndarray) -> np.ndarray:
        _, missed, spared, _ = predicted(*sums)
        return spared / (spared + missed)

    def recalled(*sums: np.ndarray) -> np.ndarray:
        found, _, _, false = predicted(*sums)
        return found + false

    figures = {
        "sensitivity": figure(lambda hits, positives, *_: hits / positives, f"sensitivity {where}", of_ill),
        "specificity": figure(lambda _h, _p, cleared, negatives: cleared / negatives, f"specificity {where}", of_rest),
        "ppv": figure(ppv, f"positive predictive value {there}", min(of_ill, of_rest)),
        "npv": figure(npv, f"negative predictive value {there}", of_ill),
        "recall_rate": figure(recalled, f"share recalled {there}", of_rest),
    }
    return {name: _with_problem(statistic, ranked) for name, statistic in figures.items()}


def _with_problem(statistic: Statistic, ranked: Ranked) -> Statistic:
    missing = "" if ranked.problem == "all scores are equal" else ranked.problem
    return replace(statistic, problem=statistic.problem or missing)
