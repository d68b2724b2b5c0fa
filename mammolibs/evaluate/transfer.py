"""What to expect at another site: the same cut where the disease is rarer or commoner, and cuts refitted there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mammolibs.evaluate.analysis import Evidence, Part
from mammolibs.evaluate.bootstrap import estimate_all
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
WHERE = "of exams above the cut chosen on validation exams"
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
    f"Where the cut is chosen again for {SPECIFICITY * 100:g} % specificity on labelled exams of the site: the median of what it then "
    "achieves, and between which figures 95 of 100 such choices lie. The labelled exams are drawn from the "
    "held-out patients, their mix as here."
)
NO_LABELS = (
    "Without labels: the cut is put where it recalls the share of exams that it recalled on validation patients (for one cut the same as "
    "matching quantiles of the scores). That is right only where the prevalence is that of the validation patients; the table says what it "
    f"gives elsewhere. Last column: the prevalence that {UNLABELLED:,} unlabelled exams seem to have by likelihood (EM, Saerens et al. "
    "2002: prior = mean posterior under it); how far the calibration is off is not in its interval, and where cancer is rare that decides. "
    "With it, a probability given at prevalence q becomes one at p by "
    "multiplying its odds by p / (1 - p) x (1 - q) / q."
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
        "few_labels": {str(n): block(refit_from_labels(calls.exams.ranked, n, seed=evidence.draws.seed), hash_) for n in LABELLED},
        "no_labels": _no_labels(calls, settings, evidence),
    }
    return Part(name="transfer", result=result, sections=(_section(result),))


def calls_of(rows: Sequence[Prediction], evidence: Evidence) -> Calls:
    """Which exams are recalled: those whose highest image score lies above their fold's own cut for exams."""
    found, called = [], []
    for fold in sorted({p.fold for p in rows}):
        cut = evidence.chosen[fold].cut("exam_score") if fold in evidence.chosen else None
        if cut is not None:
            found.append(scores_at("exam", [p for p in rows if p.fold == fold]))
            called.append(found[-1].scores > cut)
    if not found:
        return Calls(exams=scores_at("exam", []), called=np.zeros(0, bool))
    joined = {name: np.concatenate([getattr(part, name) for part in found]) for name in ("scores", "labels", "patients")}
    names = tuple(name for part in found for name in part.names)
    exams = Scores(unit="exam", names=names, unknown=sum(part.unknown for part in found), **joined)
    return Calls(exams=exams, called=np.concatenate(called))


def _figures(calls: Calls, prevalence: float, evidence: Evidence) -> dict[str, Estimate]:
    """Without a cut there is nothing to count, and that is the reason to give."""
    found = decide(calls.exams.ranked, calls.called, prevalence, WHERE, evidence.draws)
    if any(one.cut("exam_score") is not None for one in evidence.chosen.values()):
        return found
    return {name: replace(figure, reason="no cut for exams was chosen on validation patients") for name, figure in found.items()}


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
    return estimate_all(at_recall_rate(ranked, share, prevalence), evidence.draws)


def _section(result: Mapping[str, Any]) -> Section:
    sensitivity, specificity = (result["at_the_cut"][name] for name in ("sensitivity", "specificity"))
    lead = (
        "An exam is recalled where its highest image score lies above the cut chosen for exams on validation patients. On the held-out exams "
        f"({sensitivity['n']}, {sensitivity['events']} malignant): sensitivity {show(sensitivity)}, specificity {show(specificity)}."
    )
    share = result["no_labels"]["recalled_on_validation"]
    recalled = "none" if share is None else f"{share * 100:.3g} % of {result['no_labels']['validation_exams']} validation exams"
    items = (
        Text(lead), Text(ASSUMPTION, "warning"), _expected_table(result), Text(FORMULAS, "note"), Text(FEW_LABELS), _refit_table(result),
        Text(f"{NO_LABELS} Recall rate to match: {recalled}."), _bare_table(result),
    )  # fmt: skip
    return Section("Transfer card: what to expect at another site", items)


def _rows(result: Mapping[str, Any], part: str, shown: Sequence[tuple[str, int]]) -> tuple[tuple[str, ...], ...]:
    """A row per prevalence. shown: names of figures, and digits."""
    return tuple(
        (f"{name} ({setting['prevalence'] * 100:g} %)", *(show(result[part][name][figure], digits=digits) for figure, digits in shown))
        for name, setting in result["elsewhere"].items()
    )


def _expected_table(result: Mapping[str, Any]) -> Table:
    shown = (("recalled_per_1000", 0), ("found_per_1000", 1), ("ppv", 3), ("npv", 4))
    rows = _rows(result, "elsewhere", shown)
    return Table(("prevalence there", "recalled per 1,000 exams", "cancers found per 1,000", "PPV", "NPV"), rows)


def _refit_table(result: Mapping[str, Any]) -> Table:
    rows = [(f"{n} labelled exams", show(part["specificity"]), show(part["sensitivity"])) for n, part in result["few_labels"].items()]
    return Table(("cut chosen again on", "specificity achieved", "sensitivity achieved"), tuple(rows))


def _bare_table(result: Mapping[str, Any]) -> Table:
    shown = (("sensitivity", 2), ("specificity", 2), ("prevalence_found", 3))
    head = ("prevalence there", "sensitivity, recall rate matched", "specificity, recall rate matched", "prevalence found without labels")
    return Table(head, _rows(result, "no_labels", shown))
