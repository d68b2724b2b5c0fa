"""What to expect at another site: the same cut where the disease is rarer or commoner, and cuts refitted there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mammolibs.evaluate.analysis import Evidence, Part
from mammolibs.evaluate.bootstrap import estimate
from mammolibs.evaluate.decisions import decide
from mammolibs.evaluate.document import Section, Table, Text
from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.ranked import Ranked
from mammolibs.evaluate.ranking import at_recall_rate
from mammolibs.evaluate.refit import LABELLED, SPECIFICITY, UNLABELLED, exam_ratios, prevalence_found, refit_from_labels
from mammolibs.evaluate.result import block, show
from mammolibs.evaluate.units import Scores, scores_at
from mammolibs.records import Estimate

SETTINGS = {"screening, few": 0.005, "screening, many": 0.008, "diagnostic, few": 0.10, "diagnostic, many": 0.20}
WHERE = "of exams with an image above the cut chosen on validation patients"
ASSUMPTION = (
    "Assumed: among malignant exams, and among the others, scores are distributed there as here, and only the share of malignant exams "
    "differs (label shift). Other machines, other processing, other kinds of cancer or of women break it, and then nothing in this table "
    "holds: look at labelled exams of that site first."
)
FORMULAS = (
    "With prevalence p: recalled = p x sensitivity + (1 - p) x (1 - specificity); PPV = p x sensitivity / recalled; "
    "NPV = (1 - p) x specificity / (1 - recalled); found per 1,000 = 1,000 x p x sensitivity."
)
FEW_LABELS = (
    f"Where the cut is chosen again for {SPECIFICITY * 100:g} % specificity on labelled exams of the site: the median of what it then achieves, and "
    "between which figures 95 of 100 such choices lie. The labelled exams are drawn from the held-out patients, their mix as here."
)
NO_LABELS = (
    "Without labels: the cut is put where it recalls the share of exams that it recalled on validation patients (for one cut the same as matching "
    "quantiles of the scores). That is right only where the prevalence is that of the validation patients; the table says what it gives elsewhere. "
    f"Last column: the prevalence that {UNLABELLED:,} unlabelled exams seem to have by likelihood (EM, Saerens et al. 2002: prior = mean posterior under it). "
    "With it, a probability given at prevalence q becomes one at p by multiplying its odds by p / (1 - p) x (1 - q) / q."
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Calls:
    """Exams with a known label whose fold has a cut. called: bool (n,)."""

    exams: Scores
    called: np.ndarray


def transfer(evidence: Evidence) -> Part | None:
    """The transfer card; None where nothing was chosen or nothing held out."""
    if not evidence.held_out or not evidence.chosen:
        return None
    calls = calls_of(evidence.held_out, evidence)
    settings = ({"as asked": evidence.prevalence} if evidence.prevalence else {}) | SETTINGS
    hash_ = evidence.split_hash
    here = _figures(calls, 0.5, evidence)
    result = {
        "assumption": ASSUMPTION,
        "at_the_cut": block({name: here[name] for name in ("sensitivity", "specificity")}, hash_),
        "elsewhere": {name: {"prevalence": share} | block(_expected(calls, share, evidence), hash_) for name, share in settings.items()},
        "few_labels": {str(count): block(refit_from_labels(calls.exams.ranked, count, seed=evidence.draws.seed), hash_) for count in LABELLED},
        "no_labels": _no_labels(calls, settings, evidence),
    }
    return Part(name="transfer", result=result, sections=(_section(result),))


def calls_of(rows: Sequence[Prediction], evidence: Evidence) -> Calls:
    """Which exams are recalled: the highest image score above the fold's own cut."""
    found, called = [], []
    for fold in sorted({p.fold for p in rows}):
        cut = evidence.chosen[fold].cut("image_score") if fold in evidence.chosen else None
        if cut is not None:
            found.append(scores_at("exam", [p for p in rows if p.fold == fold]))
            called.append(found[-1].scores > cut)
    if not found:
        return Calls(exams=scores_at("exam", []), called=np.zeros(0, bool))
    joined = {name: np.concatenate([getattr(part, name) for part in found]) for name in ("scores", "labels", "patients")}
    exams = Scores(unit="exam", names=tuple(name for part in found for name in part.names), unknown=sum(part.unknown for part in found), **joined)
    return Calls(exams=exams, called=np.concatenate(called))


def _figures(calls: Calls, prevalence: float, evidence: Evidence) -> dict[str, Estimate]:
    """Without a cut there is nothing to count, and that is the reason to give."""
    found = decide(calls.exams.ranked, calls.called, prevalence, WHERE, evidence.draws)
    if any(one.cut("image_score") is not None for one in evidence.chosen.values()):
        return found
    return {name: replace(figure, reason="no image-score cut was chosen on validation patients") for name, figure in found.items()}


def _expected(calls: Calls, prevalence: float, evidence: Evidence) -> dict[str, Estimate]:
    found = _figures(calls, prevalence, evidence)
    return {
        "recalled_per_1000": _times(found["recall_rate"], 1000, "per 1,000 exams"),
        "found_per_1000": _times(found["sensitivity"], 1000 * prevalence, f"times {1000 * prevalence:g} malignant exams per 1,000"),
        "ppv": found["ppv"],
        "npv": found["npv"],
    }


def _times(figure: Estimate, factor: float, told: str) -> Estimate:
    scaled = {name: None if (value := getattr(figure, name)) is None else value * factor for name in ("value", "low", "high")}
    return replace(figure, method=f"{figure.method}; {told}", **scaled)


def _no_labels(calls: Calls, settings: Mapping[str, float], evidence: Evidence) -> dict[str, Any]:
    before = calls_of(evidence.validation, evidence)
    share = float(before.called.mean()) if len(before.called) else None
    ranked = calls.exams.ranked
    ratios, problem = exam_ratios(evidence.held_out, evidence.validation)
    result: dict[str, Any] = {"recalled_on_validation": share, "validation_exams": len(before.called)}
    for name, prevalence in settings.items():
        figures = _matched(ranked, share, prevalence, evidence)
        figures["prevalence_found"] = prevalence_found(ratios, problem, ranked, calls.exams.names, prevalence, seed=evidence.draws.seed)
        result[name] = block(figures, evidence.split_hash)
    return result


def _matched(ranked: Ranked, share: float | None, prevalence: float, evidence: Evidence) -> dict[str, Estimate]:
    if share is None:
        facts = {"n": ranked.n, "events": ranked.events, "unit": "exam", "method": "at the cut that matches the recall rate"}
        none = Estimate(value=None, reason="no validation exam with a cut: no recall rate to match", **facts)
        return {"sensitivity": none, "specificity": none}
    return {name: estimate(statistic, evidence.draws) for name, statistic in at_recall_rate(ranked, share, prevalence).items()}


def _section(result: Mapping[str, Any]) -> Section:
    here = result["at_the_cut"]
    sensitivity, specificity = here["sensitivity"], here["specificity"]
    lead = (
        f"An exam is recalled where any of its images scores above the cut chosen on validation patients. On the held-out exams ({sensitivity['n']}, "
        f"{sensitivity['events']} malignant): sensitivity {show(sensitivity)}, specificity {show(specificity)}."
    )
    expected = tuple(
        (f"{name} ({part['prevalence'] * 100:g} %)", show(part["recalled_per_1000"], digits=0), show(part["found_per_1000"], digits=1),
         show(part["ppv"], digits=3), show(part["npv"], digits=4))
        for name, part in result["elsewhere"].items()
    )  # fmt: skip
    refits = tuple((f"{count} labelled exams", show(part["specificity"]), show(part["sensitivity"])) for count, part in result["few_labels"].items())
    bare = result["no_labels"]
    matched = tuple(
        (f"{name} ({part['prevalence'] * 100:g} %)", show(bare[name]["sensitivity"]), show(bare[name]["specificity"]), show(bare[name]["prevalence_found"], digits=3))
        for name, part in result["elsewhere"].items()
    )  # fmt: skip
    share = bare["recalled_on_validation"]
    recalled = "none" if share is None else f"{share * 100:.3g} % of {bare['validation_exams']} validation exams"
    return Section("Transfer card: what to expect at another site", (
        Text(lead), Text(ASSUMPTION, "warning"),
        Table(("prevalence there", "recalled per 1,000 exams", "cancers found per 1,000", "PPV", "NPV"), expected), Text(FORMULAS, "note"),
        Text(FEW_LABELS), Table(("cut chosen again on", "specificity achieved", "sensitivity achieved"), refits),
        Text(f"{NO_LABELS} Recall rate to match: {recalled}."),
        Table(("prevalence there", "sensitivity, recall rate matched", "specificity, recall rate matched", "prevalence found without labels"), matched),
    ))  # fmt: skip
