"""Whom the scores alone could rule out or rule in, with the promise made on validation patients, and whether held-out ones bear it out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mammolibs.evaluate.analysis import Evidence, Part
from mammolibs.evaluate.conformal import (
    DELTA,
    RULE_IN,
    RULE_OUT,
    Band,
    Cut,
    Sorted,
    choose_bands,
    missing_cuts,
    sort_patients,
    too_many_for_chance,
    too_many_for_the_level,
)  # fmt: skip
from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.result import block
from mammolibs.evaluate.rule_out_page import rule_out_section
from mammolibs.records import Estimate

LEVELS = (0.05, 0.10, 0.20)
SLICES = ("source", "maker", "density")
SURE = 0.01


def rule_out(evidence: Evidence) -> Part:
    """The analysis: cuts at each level, what they do on held-out patients, by slice too, and alarms where a promise is surely broken."""
    bands = {level: bands_at(evidence, level) for level in LEVELS}
    tables = {level: sort_patients(evidence.held_out, bands[level]) for level in LEVELS}
    main = main_level(bands)
    slices = slices_of(evidence.held_out, tables[main])
    checks = [check for level in LEVELS for check in checks_of(tables[level], bands[level], level, "all")]
    for name, members in slices.items():
        checks += checks_of(tables[main].part(members), bands[main], main, name)
    result = {
        "confidence": 1 - DELTA,
        "level": main,
        "levels": {f"{level:g}": block(figures_of(tables[level], bands[level]), evidence.split_hash) for level in LEVELS},
        "slices": {
            name: block(figures_of(tables[main].part(members), bands[main]), evidence.split_hash) for name, members in slices.items()
        },
        "cuts": [cut.to_dict() for of_level in bands.values() for band in of_level.values() for cut in (band.low, band.high)],
        "checks": [check.to_dict() for check in checks],
    }
    section = rule_out_section(result, evidence.validation, tables[main])
    return Part(name="rule_out", result=result, sections=(section,), alarms=alarms_of(checks, main))


def bands_at(evidence: Evidence, level: float) -> dict[int, Band]:
    """Fold -> its band at that level."""
    return choose_bands(evidence.validation, sorted({p.fold for p in (*evidence.held_out, *evidence.validation)}), level)


def main_level(bands: Mapping[float, Mapping[int, Band]]) -> float:
    """The strictest level at which every fold has a rule-out cut, which depends on how many cancers there are and not on their scores;
    else the least strict."""
    full = [level for level, of_level in bands.items() if of_level and all(band.low.value is not None for band in of_level.values())]
    return min(full, default=max(bands))


def figures_of(table: Sorted, bands: Mapping[int, Band]) -> dict[str, Estimate]:
    """Shares of held-out patients, each with its exact interval: patients are independent of each other."""
    cancer, both = table.labels == 1, table.has(RULE_OUT) & table.has(RULE_IN)
    low, high = ([getattr(band, side) for band in bands.values()] for side in ("low", "high"))
    cases = {
        "ruled_out": ("patients ruled out", table.out, table.has(RULE_OUT), low),
        "cancers_ruled_out": ("patients with cancer ruled out", table.out, table.has(RULE_OUT) & cancer, low),
        "ruled_in": ("patients ruled in", table.called, table.has(RULE_IN), high),
        "others_ruled_in": ("patients without cancer ruled in", table.called, table.has(RULE_IN) & ~cancer, high),
        "referred": ("patients between the cuts", ~table.out & ~table.called, both, [*low, *high]),
    }
    return {name: _share(what, hits[members], cuts) for name, (what, hits, members, cuts) in cases.items()}


def _share(what: str, hits: np.ndarray, cuts: Sequence[Cut] = ()) -> Estimate:
    """Share of hits, bool (n,), with its exact interval. cuts: whose absence may be why there is nothing to count."""
    from scipy.stats import binomtest

    method = f"{what} by cuts chosen on validation patients; exact interval (Clopper and Pearson 1934)"
    facts = {"n": len(hits), "events": int(hits.sum()), "unit": "patient", "method": method}
    if not len(hits):
        return Estimate(value=None, reason=missing_cuts(cuts) or "no such held-out patient with a known label", **facts)
    interval = binomtest(facts["events"], facts["n"]).proportion_ci(0.95, method="exact")
    return Estimate(value=float(hits.mean()), low=float(interval.low), high=float(interval.high), **facts)


@dataclass(frozen=True, kw_only=True)
class Check:
    """One promise against held-out patients. beyond, n: patients of the class beyond the cuts, and all that were cut. p_level:
    probability of as many where the share beyond is just `level`; p_chance: where they are like the validation patients, the luck
    in choosing the cut included; None where there is nothing to count."""

    group: str
    bound: str
    level: float
    beyond: int
    n: int
    p_level: float | None
    p_chance: float | None

    @property
    def verdict(self) -> str:
        if not self.n:
            return "not known"
        if self.beyond <= self.level * self.n:
            return "kept"
        return f"not kept; chance explains it (p {self.p_level:.2g})" if self.p_level > 0.05 else f"broken (p {self.p_level:.2g})"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"verdict": self.verdict}


def checks_of(table: Sorted, bands: Mapping[int, Band], level: float, group: str) -> list[Check]:
    """Both promises of a level on these patients."""
    found = []
    for bound, label, hits in ((RULE_OUT, 1, table.out), (RULE_IN, 0, table.called)):
        counted = table.has(bound) & (table.labels == label)
        counts = {fold: int(np.sum(counted & (table.folds == fold))) for fold in bands}
        cuts = {fold: band.low if bound == RULE_OUT else band.high for fold, band in bands.items() if counts[fold]}
        beyond, total = int(np.sum(hits & counted)), int(counted.sum())
        p = (None, None)
        if total:
            p = (
                too_many_for_the_level(beyond, total, level),
                too_many_for_chance(beyond, [counts[fold] for fold in cuts], list(cuts.values())),
            )
        found.append(Check(group=group, bound=bound, level=level, beyond=beyond, n=total, p_level=p[0], p_chance=p[1]))
    return found


def slices_of(held_out: Sequence[Prediction], table: Sorted) -> dict[str, np.ndarray]:
    """ "source mias" and the like -> bool (patients,), for each fact that has several values; a patient counts where any of her images does."""
    found: dict[str, np.ndarray] = {}
    for fact in SLICES:
        members: dict[str, set[str]] = defaultdict(set)
        for p in held_out:
            members[getattr(p, fact)].add(p.patient_id)
        if len(members) > 1:
            found |= {f"{fact} {name or 'unknown'}": np.isin(table.patients, sorted(members[name])) for name in sorted(members)}
    return found


def alarms_of(checks: Sequence[Check], main: float) -> tuple[str, ...]:
    """A sentence for each promise at the main level that is surely broken: more than the level allows and more than chance explains.

    Each test at SURE divided by how many there are (Bonferroni), so that reports of sound data have an alarm in at most SURE of cases.
    """
    tested = [check for check in checks if check.level == main and check.n]
    return tuple(_alarm(check) for check in tested if max(check.p_level, check.p_chance) <= SURE / len(tested))


def _alarm(check: Check) -> str:
    estimate = _share(check.bound, np.arange(check.n) < check.beyond)
    who, what = ("with cancer", "ruled out") if check.bound == RULE_OUT else ("without cancer", "ruled in")
    where = "" if check.group == "all" else f" ({check.group})"
    return (
        f"The promise of the {check.bound.replace(' ', '-')} cut is broken{where}: {check.beyond} of {check.n} held-out patients {who} are {what}, a share of "
        f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}] where at most {check.level:.2f} was promised. Validation patients {who} score "
        "otherwise than these: look for other sites, machines or labels among them, and for validation patients that training has seen."
    )
