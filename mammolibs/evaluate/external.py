"""Rows from elsewhere: what the figures lose against home, and what an adaptation without labels changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mammolibs.evaluate.analysis import Beside, Evidence, Part
from mammolibs.evaluate.bootstrap import Draws, Statistic, difference, estimate_all, unpaired_difference
from mammolibs.evaluate.chosen import Chosen, statistics_at
from mammolibs.evaluate.document import Section, Table, Text
from mammolibs.evaluate.metrics import statistics_of
from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.result import block, is_figure, show
from mammolibs.evaluate.sections import name_of, reading_of
from mammolibs.records import Estimate

RANKED = ("image_auc", "patient_auc", "lesion_sensitivity_at_1_fp")
AT_THE_CUT = ("sensitivity", "specificity")
CUT_RULE = (
    "Sensitivity and specificity are those of images at the cut that was chosen on validation patients of the training data, "
    "and that is applied here as it is; the other figures look at the order of scores alone."
)
MIX = (
    "A drop says that the figures are lower here and not why: other machines, other patients, other lesions and labels made "
    "another way all lower them, and an easier set raises them."
)


def main_statistics(rows: Sequence[Prediction], chosen: Mapping[int, Chosen]) -> dict[str, Statistic]:
    """The figures that sites are compared by: ranking, and what the cuts chosen beforehand do."""
    at_cut = statistics_at(rows, chosen)
    return {**statistics_of(rows, RANKED), **{name: at_cut[name] for name in AT_THE_CUT}}


def drops(internal: Mapping[str, Estimate], external: Mapping[str, Estimate], shared: int = 0) -> dict[str, Estimate]:
    """Internal minus external figure by name, above 0 where it is worse elsewhere. shared: patients that stand in both sets."""
    found = {name: unpaired_difference(internal[name], external[name]) for name in external}
    if not shared:
        return found
    reason = f"{shared} patients stand in both sets, which have to be independent"
    return {
        name: Estimate(value=None, n=gap.n, events=gap.events, unit=gap.unit, method=gap.method, reason=reason)
        for name, gap in found.items()
    }


def beside_internal(evidence: Evidence) -> Part | None:
    """Figures elsewhere beside those on held-out patients of the training data, and the drop of each."""
    home = evidence.internal
    if home is None:
        return None
    patients = [p.patient_id for p in home.rows]
    own = Draws(patients, rounds=evidence.draws.rounds, seed=evidence.draws.seed)
    internal = estimate_all(main_statistics(home.rows, home.chosen), own)
    external = estimate_all(main_statistics(evidence.held_out, evidence.chosen), evidence.draws)
    shared = len(set(patients) & {p.patient_id for p in evidence.held_out})
    result = {
        "sources": sorted({p.source for p in evidence.held_out}),
        "internal_sources": sorted({p.source for p in home.rows}),
        "internal": block(internal, home.split_hash),
        "external": block(external, evidence.split_hash),
        "drop": block(drops(internal, external, shared), evidence.split_hash),
    }
    return Part(name="external", result=result, sections=(_external_section(result, home),))


def _external_section(result: Mapping[str, Any], home: Beside) -> Section:
    here, there = (", ".join(result[name]) for name in ("sources", "internal_sources"))
    head = ("figure", f"held out at home ({there})", f"elsewhere ({here})", "drop [95 % interval]", "reading")
    table = comparison_rows(result["internal"], result["external"], result["drop"], drop_reading)
    notes = tuple(Text(note) for note in home.notes)
    return Section("Elsewhere, beside home", (*notes, Table(head, table), Text(CUT_RULE, "note"), Text(MIX, "note")))


def comparison_rows(
    first: Mapping[str, Any], second: Mapping[str, Any], gap: Mapping[str, Any], reading: Any
) -> tuple[tuple[str, ...], ...]:
    """A row for each figure of three blocks: both values, their difference, its reading."""
    names = [name for name, fields in gap.items() if is_figure(fields)]
    return tuple((name_of(name), show(first[name]), show(second[name]), show(gap[name]), reading(gap[name])) for name in names)


def drop_reading(fields: Mapping[str, Any]) -> str:
    """What a drop with its interval says."""
    return {"higher": "worse elsewhere", "lower": "better elsewhere", "no difference shown": "no drop shown"}.get(
        reading_of(fields), "not known"
    )


def beside_adapted(evidence: Evidence) -> Part | None:
    """The same images before and after an adaptation without labels, with the paired difference of each figure."""
    adapted = evidence.adapted
    if adapted is None:
        return None
    before, after = main_statistics(evidence.held_out, evidence.chosen), main_statistics(adapted.rows, adapted.chosen)
    result = {
        "unchanged": block(estimate_all(before, evidence.draws), evidence.split_hash),
        "adapted": block(estimate_all(after, evidence.draws), evidence.split_hash),
        "difference": block({name: difference(after[name], before[name], evidence.draws) for name in before}, evidence.split_hash),
        "how": list(adapted.notes),
    }
    head = ("figure", "unchanged", "adapted", "adapted minus unchanged", "reading")
    table = Table(head, comparison_rows(result["unchanged"], result["adapted"], result["difference"], reading_of))
    aside = Text(
        "All other sections of this report are of the unchanged pipeline: an adaptation is applied only where it is asked for.", "note"
    )
    return Part(name="adaptation", result=result, sections=(Section("Adapted without labels", (*map(Text, adapted.notes), table, aside)),))
