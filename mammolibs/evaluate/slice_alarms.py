"""What is said of slices that lie below the rest, and of data sets whose labels look swapped."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mammolibs.evaluate.bootstrap import Draws, estimate_all, problem_of
from mammolibs.evaluate.result import figure, plural, show
from mammolibs.evaluate.slice_tests import FIGURES, Slice, Slices, Verdict

# Slices that share so much of what either holds are one finding.
SAME_UNITS = 0.8


def alarms_of(found: Slices) -> tuple[str, ...]:
    """A sentence per swapped data set, then one per slice below the rest; slices of nearly the same units share it."""
    told: list[tuple[Verdict, list[Verdict]]] = [(v, []) for v in found.verdicts if v.swapped]
    for verdict in sorted((v for v in found.verdicts if v.low and not v.swapped), key=lambda v: min(t.p for t in v.low.values())):
        same = next((others for first, others in told if _overlap(first.slice, verdict.slice) >= SAME_UNITS), None)
        if same is None:
            told.append((verdict, []))
        else:
            same.append(verdict)
    return tuple((_swapped_alarm if first.swapped else _low_alarm)(first, found) + _same(others) for first, others in told)


def _overlap(a: Slice, b: Slice) -> float:
    return float(np.sum(a.members & b.members) / max(np.sum(a.members | b.members), 1))


def _same(others: Sequence[Verdict]) -> str:
    return f" Nearly the same units: {', '.join(f'{v.slice.fact} {v.slice.name}' for v in others)}." if others else ""


def _against(verdict: Verdict, names: Sequence[str], draws: Draws) -> str:
    rest = estimate_all({name: verdict.slice.rest[name] for name in names}, draws)
    return "; ".join(f"{FIGURES[name]} {show(figure(verdict.figures[name]))} against {show(figure(rest[name]))}" for name in names)


def _units(verdict: Verdict) -> str:
    facts = verdict.figures["auc"]
    return f"{facts.n} {plural(facts.unit)}, {facts.events} positive"


def _swapped_alarm(verdict: Verdict, found: Slices) -> str:
    name, alone = verdict.slice.name, bool(problem_of(verdict.slice.rest["auc"]))
    told = f"AUC {show(figure(verdict.figures['auc']))}" if alone else f"{_against(verdict, ['auc'], found.draws)} on the other data sets"
    return (
        f"The labels of data set {name} look swapped: {told} ({_units(verdict)}), as if positive and negative had changed places. "
        "Look at how its table says malignant and benign; where all data sets are so, at the sign of the score."
    )


def _low_alarm(verdict: Verdict, found: Slices) -> str:
    low = verdict.low
    p = max(test.corrected for test in low.values())
    return (
        f"Scores are worse where {verdict.slice.fact} is {verdict.slice.name} ({_units(verdict)}) than on the rest: "
        f"{_against(verdict, list(low), found.draws)} (p {p:.2g} after correction for {found.tested} tests). "
        f"Look at these {plural(verdict.figures['auc'].unit)}, their labels, and how many of their kind were trained on."
    )
