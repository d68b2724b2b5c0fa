"""What a simulated reader and the machine would do together. No reader has read these images.

The reader is two numbers, how many cancers she recalls and how many others she does not, taken from the literature. Who is recalled
follows patient by patient as a probability, so nothing is drawn for her, and the intervals are those of the machine's part alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np

from mammolibs.evaluate.analysis import Evidence, Part
from mammolibs.evaluate.bootstrap import Draws, Statistic, estimate_all
from mammolibs.evaluate.conformal import RULE_IN, RULE_OUT, Band, Sorted, missing_cuts, sort_patients
from mammolibs.evaluate.result import block
from mammolibs.evaluate.rule_out import LEVELS, bands_at, main_level
from mammolibs.evaluate.sums import sums_statistic
from mammolibs.evaluate.workflow_page import workflow_section
from mammolibs.records import Estimate

CORRELATIONS = (0.0, 0.3, 0.6)
Columns = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A reader as two shares in (0, 1), and the share of the women that she reads for who have cancer."""

    sensitivity: float = 0.87
    specificity: float = 0.89
    prevalence: float = 0.006
    source: str = "Breast Cancer Surveillance Consortium, digital screening 2007 to 2013 (Lehman et al. 2017)"


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """needs: the cuts that it works with. decide: sorted patients and the reader's probability of recalling each, float (n,) ->
    probability that she is recalled, and whether a reader reads her, float (n,) both."""

    needs: tuple[str, ...]
    decide: Callable[[Sorted, np.ndarray], Columns]


WORKFLOWS: Mapping[str, Workflow] = {
    "second_reader": Workflow(needs=(RULE_IN,), decide=lambda t, p: (np.where(t.called, 1.0, p), np.ones(len(p)))),
    "triage": Workflow(needs=(RULE_OUT,), decide=lambda t, p: (np.where(t.out, 0.0, p), np.where(t.out, 0.0, 1.0))),
    "decision_referral": Workflow(
        needs=(RULE_OUT, RULE_IN),
        decide=lambda t, p: (np.where(t.out, 0.0, np.where(t.called, 1.0, p)), np.where(t.out | t.called, 0.0, 1.0)),
    ),
}


def workflow(evidence: Evidence, reader: Reader = Reader()) -> Part:
    """The analysis: each way of working against the reader alone, where their errors are independent and where they are shared."""
    bands = {level: bands_at(evidence, level) for level in LEVELS}
    level = main_level(bands)
    table = sort_patients(evidence.held_out, bands[level])

    def of(correlation: float) -> dict[str, dict]:
        return {
            name: block(figures_of(table, bands[level], work, reader, correlation, evidence.draws), evidence.split_hash)
            for name, work in WORKFLOWS.items()
        }

    result = {
        "simulated": True,
        "reader": asdict(reader),
        "level": level,
        "reader_alone": block(reader_alone(reader), evidence.split_hash),
        "correlations": {f"{correlation:g}": of(correlation) for correlation in CORRELATIONS},
    }
    return Part(name="workflow", result=result, sections=(workflow_section(result),))


def reader_alone(reader: Reader) -> dict[str, Estimate]:
    """What is assumed of her, as figures without a count."""
    recalled = reader.prevalence * reader.sensitivity + (1 - reader.prevalence) * (1 - reader.specificity)
    told = {
        "unit": "patient",
        "method": f"assumed: {reader.source}",
        "reason": "an assumption, not measured on these patients: no count and no interval",
    }
    return {"sensitivity": Estimate(value=reader.sensitivity, **told), "recall_rate": Estimate(value=recalled, **told)}


def recall_probabilities(table: Sorted, reader: Reader, correlation: float) -> np.ndarray:
    """How likely she recalls each patient, float (n,) in (0, 1).

    Within each class her suspicion and the machine's score, by rank, are two normal variables of that correlation (the binormal
    model): at 0 she errs independently of the machine, at 1 on the very patients on whom it errs. On average over a class
    she recalls what `reader` says.
    """
    from scipy.stats import norm, rankdata

    found = np.zeros(len(table.labels))
    for label, share in ((1, reader.sensitivity), (0, 1 - reader.specificity)):
        members = table.labels == label
        suspicion = norm.ppf((rankdata(table.scores[members]) - 0.5) / max(int(members.sum()), 1))
        found[members] = norm.cdf((norm.ppf(share) + correlation * suspicion) / np.sqrt(1 - correlation**2))
    return found


def figures_of(
    table: Sorted, bands: Mapping[int, Band], work: Workflow, reader: Reader, correlation: float, draws: Draws
) -> dict[str, Estimate]:
    """Sensitivity and recall rate; cancers lost and gained against the reader alone and readings saved, but for what cannot be with these cuts."""
    probabilities = recall_probabilities(table, reader, correlation)
    members = np.all([table.has(bound) for bound in work.needs], axis=0)
    there, alone = table.part(members), probabilities[members]
    recalled, read = work.decide(there, alone)
    cuts = [band.low if bound == RULE_OUT else band.high for band in bands.values() for bound in work.needs]
    told = f"simulated reader, correlation {correlation:g} with the machine's score"
    figures = {
        "sensitivity": _of_cancers(there, recalled, f"share of cancers recalled, {told}", is_count=False),
        "recall_rate": _of_all(there, recalled, reader.prevalence, f"share of patients recalled, {told}", is_count=False),
    }
    if RULE_OUT in work.needs:
        lost = f"share of cancers that the reader alone would recall and this does not, {told}"
        figures["cancers_lost"] = _of_cancers(there, np.maximum(alone - recalled, 0), lost)
        figures["readings_saved"] = _of_all(there, 1 - read, reader.prevalence, "share of patients whom no reader reads")
    if RULE_IN in work.needs:
        gained = f"share of cancers recalled that the reader alone would not, {told}"
        figures["cancers_gained"] = _of_cancers(there, np.maximum(recalled - alone, 0), gained)
    problem = "" if len(there.labels) else missing_cuts(cuts) or "no held-out patient with a known label"
    return estimate_all({name: replace(statistic, problem=problem) for name, statistic in figures.items()}, draws)


def _of_cancers(table: Sorted, values: np.ndarray, method: str, *, is_count: bool = True) -> Statistic:
    cancers = int(np.sum(table.labels == 1))
    columns = [values * (table.labels == 1), table.labels == 1]
    return sums_statistic(
        columns, np.divide, table.patients, "patient", method=method, events=cancers, independent=cancers, is_count=is_count
    )


def _of_all(table: Sorted, values: np.ndarray, prevalence: float, method: str, *, is_count: bool = True) -> Statistic:
    """Mean over patients, reweighted by class to the prevalence."""
    ill = table.labels == 1

    def combine(of_ill: np.ndarray, count_ill: np.ndarray, of_rest: np.ndarray, count_rest: np.ndarray) -> np.ndarray:
        return prevalence * of_ill / count_ill + (1 - prevalence) * of_rest / count_rest

    return sums_statistic(
        [values * ill, ill, values * ~ill, ~ill], combine, table.patients, "patient", method=f"{method}, at a prevalence of {prevalence:g}",
        events=int(ill.sum()), independent=int(np.sum(~ill)), is_count=is_count,
    )  # fmt: skip
