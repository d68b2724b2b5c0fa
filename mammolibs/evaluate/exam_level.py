"""From views to breasts, exams and patients: the rule against the learned combiner, and which views there were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mammolibs.evaluate.analysis import Evidence, Part
from mammolibs.evaluate.bootstrap import Statistic, difference, estimate, mean_over_folds
from mammolibs.evaluate.chosen import Chosen
from mammolibs.evaluate.combiner import NAME, breast_scores
from mammolibs.evaluate.document import Item, Section, Table, Text
from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.ranking import auc
from mammolibs.evaluate.result import block, show
from mammolibs.evaluate.sections import reading_of
from mammolibs.evaluate.units import scores_at
from mammolibs.evaluate.views import view_patterns
from mammolibs.records import Estimate

COMBINED_LEVELS = ("breast", "exam", "patient")
NAMED_EXAMS = 3
ABOUT = (
    "The rule makes a breast's score of the image scores of its views, the combiner of these, of which views there are, and of the "
    "other breast; both were chosen on validation patients. The highest breast speaks for its exam and its patient. "
    "Each accepts any number of views."
)


def exam_level(evidence: Evidence) -> Part | None:
    """Breast, exam and patient AUC by the rule and by the combiner, each fold by its own, and the exams with odd views."""
    if not evidence.held_out:
        return None
    figures = combined_figures(evidence)
    patterns = view_patterns(evidence.held_out)
    rules = {str(fold): _told(chosen) for fold, chosen in evidence.chosen.items()}
    result = {"auc": block(figures, evidence.split_hash), "chosen": rules, "views": patterns}
    items: list[Item] = [Text(ABOUT), _figures_table(result["auc"])]
    for fold, told in rules.items():
        items += [Text(f"{'' if fold == '-1' else f'Fold {fold}: '}Rule: {told['rule']}. Combiner: {told['combiner']}.", "note")]
    rows = tuple((pattern, str(len(exams)), _some(exams)) for pattern, exams in patterns.items())
    items += [Table(("views of an exam", "exams", "patient and exam"), rows)]
    return Part(name="exam_level", result=result, sections=(Section("From views to breasts, exams and patients", tuple(items)),))


def combined_figures(evidence: Evidence) -> dict[str, Estimate]:
    """`<level>_auc_by_rule`, `..._by_combiner` and `..._difference` (combiner less rule); of folds also their means within folds."""
    rows, folds = evidence.held_out, sorted({p.fold for p in evidence.held_out})
    by_rule, by_combiner = _scores(evidence, combined=False), _scores(evidence, combined=True)
    passing = [reason for fold in folds if (reason := _passes(evidence.chosen.get(fold)))]
    absent = passing[0] if len(passing) == len(folds) else ""
    figures: dict[str, Estimate] = {}
    for level in COMBINED_LEVELS:
        pair = tuple(_statistic(level, rows, scores, name) for scores, name in ((by_rule, "rule"), (by_combiner, "combiner")))
        figures |= _compared(level, "", pair, absent, evidence)
        if len(folds) > 1:
            inside = tuple(
                mean_over_folds([_statistic(level, [p for p in rows if p.fold == fold], scores, name) for fold in folds])
                for scores, name in ((by_rule, "rule"), (by_combiner, "combiner"))
            )
            figures |= _compared(level, "_within_fold", inside, absent, evidence)
    return figures


def _compared(level: str, ending: str, pair: tuple[Statistic, Statistic], absent: str, evidence: Evidence) -> dict[str, Estimate]:
    first, second = pair
    names = [f"{level}_auc_{kind}{ending}" for kind in ("by_rule", "by_combiner", "difference")]
    found = {names[0]: estimate(first, evidence.draws)}
    if absent:
        none = Estimate(value=None, n=first.n, events=first.events, unit=level, method=second.method, reason=absent)
        return found | {names[1]: none, names[2]: none}
    return found | {names[1]: estimate(second, evidence.draws), names[2]: difference(second, first, evidence.draws)}


def _statistic(level: str, rows: Sequence[Prediction], breasts: Mapping[str, float], name: str) -> Statistic:
    method = f"{level} AUC by the {name} chosen on validation patients, highest breast"
    return auc(scores_at(level, rows, breasts=breasts).ranked, method=method)


def _scores(evidence: Evidence, *, combined: bool) -> dict[str, float]:
    found: dict[str, float] = {}
    for fold in sorted({p.fold for p in evidence.held_out}):
        chosen = evidence.chosen.get(fold, Chosen())
        rows = [p for p in evidence.held_out if p.fold == fold]
        found |= breast_scores(rows, chosen.view_rule.name, chosen.calibration(NAME) if combined else None)
    return found


def _passes(chosen: Chosen | None) -> str:
    """Why a fold has no combiner of its own; empty where it has."""
    combiner = chosen.calibration(NAME) if chosen else None
    if combiner is None:
        return "no combiner was fitted"
    return combiner.reason if combiner.is_identity else ""


def _told(chosen: Chosen) -> dict[str, Any]:
    combiner = chosen.calibration(NAME)
    pairs = zip(combiner.slopes, combiner.features, strict=True) if combiner else ()
    slopes = ", ".join(f"{slope:.2f} x {feature.replace('_', ' ')}" for slope, feature in pairs)
    counted = "" if not slopes else f" ({combiner.n} validation breasts, {combiner.events} malignant)"
    return {"rule": chosen.view_rule.choice, "combiner": f"{slopes}{counted}" if slopes else _passes(chosen)}


def _figures_table(figures: Mapping[str, Any]) -> Table:
    rows = []
    for level in COMBINED_LEVELS:
        for ending in ("", "_within_fold"):
            if f"{level}_auc_by_rule{ending}" in figures:
                rule, combiner, gap = (figures[f"{level}_auc_{kind}{ending}"] for kind in ("by_rule", "by_combiner", "difference"))
                within = ", mean within folds" if ending else ""
                count = f"{rule['n']} ({rule['events']})"
                told = ("none, see below",) * 3 if combiner["value"] is None else (show(combiner), show(gap, digits=3), reading_of(gap))
                rows.append((f"{level.capitalize()} AUC{within}", show(rule), *told, count))
    return Table(("figure", "by the rule", "by the combiner", "combiner less rule", "reading", "n (events)"), tuple(rows))


def _some(exams: Sequence[str]) -> str:
    more = f" and {len(exams) - NAMED_EXAMS} more" if len(exams) > NAMED_EXAMS else ""
    return "; ".join(exams[:NAMED_EXAMS]) + more
