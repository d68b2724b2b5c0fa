"""The report of a table of scores: every figure that scores and truth alone allow, with its unit and interval."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mammolibs.evaluate import figures as plots
from mammolibs.evaluate.bootstrap import ROUNDS, Draws, Statistic, difference, estimate, estimate_all, mean_over_folds
from mammolibs.evaluate.confidence import confidence_section, judge_confidence
from mammolibs.evaluate.decisions import confusion, decide
from mammolibs.evaluate.document import Cards, Item, Picture, Section, Table, Text
from mammolibs.evaluate.pages import write_pages
from mammolibs.evaluate.paired import both_tests
from mammolibs.evaluate.probability import probability_figures, probability_problem
from mammolibs.evaluate.ranked import Ranked
from mammolibs.evaluate.ranking import auc, average_precision, partial_auc, sensitivity_at, specificity_at
from mammolibs.evaluate.result import DISCLAIMER, block, plural, show
from mammolibs.evaluate.score_table import ScoreTable
from mammolibs.evaluate.sections import figure_table, name_of, tests_table
from mammolibs.evaluate.slice_alarms import alarms_of
from mammolibs.evaluate.slice_tests import SOURCE, judge_slices, slices_by
from mammolibs.records import Estimate
from mammolibs.storage import write_json

TITLE = "Scores: evaluation"
OPERATING_SPECIFICITY = 0.9


def ranking_figures(ranked: Ranked) -> dict[str, Statistic]:
    """Everything that depends on the order of the scores alone."""
    return {
        "auc": auc(ranked, method=f"{ranked.unit} AUC"),
        "partial_auc": partial_auc(ranked),
        "average_precision": average_precision(ranked),
        "sensitivity_at_90_specificity": sensitivity_at(ranked, 0.90),
        "sensitivity_at_95_specificity": sensitivity_at(ranked, 0.95),
        "specificity_at_90_sensitivity": specificity_at(ranked, 0.90),
        "specificity_at_95_sensitivity": specificity_at(ranked, 0.95),
    }


def write_score_report(
    folder: str | Path,
    table: ScoreTable,
    *,
    threshold: float | None = None,
    prevalence: float | None = None,
    command: str = "",
    rounds: int = ROUNDS,
    seed: int = 0,
) -> dict[str, Any]:
    """Write report.json, report.md, report.html and figures/*.png into `folder`; returns what stands in report.json.

    threshold: scores at or above it are called; without one the cut is read off these scores' own curve at 90 %
    specificity, and the report says so. prevalence: share positive where the scores would be used, in (0, 1); that of the table by default.
    """
    folder = Path(folder)
    draws = Draws(table.patients, rounds=rounds, seed=seed)
    result = score_result(table, draws, threshold=threshold, prevalence=prevalence)
    result |= {"command": command, "disclaimer": DISCLAIMER}
    sections = _sections(result, table, draws)
    lead = f"Intervals: 95 %, {rounds} bootstrap rounds over whole patients, seed {seed}."
    write_pages(folder, TITLE, lead, sections)
    write_json(folder / "report.json", result)
    return result


def score_result(table: ScoreTable, draws: Draws, *, threshold: float | None, prevalence: float | None) -> dict[str, Any]:
    """All blocks as JSON: scores (by row), breasts and patients, decisions, sources, the comparison with the second score."""
    rows = table.ranked()
    blocks: dict[str, dict[str, Estimate]] = {"scores": estimate_all({**ranking_figures(rows), **probability_figures(rows)}, draws)}
    for level in table.levels[1:]:
        blocks[plural(level)] = estimate_all(ranking_figures(table.ranked(level)), draws)
    cut, told = _cut(rows, threshold)
    if cut is not None:
        share = rows.events / rows.n if prevalence is None else prevalence
        told_share = "" if prevalence is not None else ", the table's own prevalence"
        blocks["decisions"] = decide(rows, rows.scores >= cut, share, f"at the cut {cut:.4g} ({told}{told_share})", draws)
    if table.sources is not None and len(np.unique(table.sources)) > 1:
        blocks["sources"] = _by_source(table, draws)
    alarms: tuple[str, ...] = ()
    if not probability_problem(rows):
        found = judge_confidence(rows, draws)
        blocks["confidence"], alarms = dict(found.figures), found.alarms
    result: dict[str, Any] = {name: block(values, None) for name, values in blocks.items()}
    found = [("confidence", alarm) for alarm in alarms] + [("sources", alarm) for alarm in _source_alarms(table, draws)]
    result["alarms"] = [{"part": part, "alarm": alarm} for part, alarm in found]
    if cut is not None:
        result["confusion"] = {"cut": cut, "from": told, **confusion(rows, cut)}
    if table.second is not None:
        result["comparison"] = _comparison(table, draws)
    result["data"] = {
        "rows": rows.n, "unit": table.unit, "positive": rows.events, "patients": len(rows.patients),
        "patients_with_a_positive": rows.patients_of_each_class[0], "rows_of_unknown_truth_left_out": len(table.unread),
    }  # fmt: skip
    return result


def _cut(rows: Ranked, threshold: float | None) -> tuple[float | None, str]:
    if threshold is not None and rows.n:
        return threshold, "given"
    if rows.problem:
        return None, ""
    true, false = rows.counts(np.ones((1, len(rows.patients)), np.float32))
    allowed = np.flatnonzero(false[0] <= (1 - OPERATING_SPECIFICITY) * false[0, -1] + 1e-6)[-1]
    told = f"read off these scores' own curve at {OPERATING_SPECIFICITY * 100:g} % specificity, so flattered"
    return float(rows.cuts[allowed - 1]) if allowed else float(np.nextafter(rows.cuts[0], np.inf)), told


def _by_source(table: ScoreTable, draws: Draws) -> dict[str, Estimate]:
    """The AUC inside each source, and their mean: what pooling adds is the sources' recognition."""
    parts = {}
    for source in np.unique(table.sources):
        held = table.sources == source
        parts[f"AUC of {source}"] = auc(Ranked(table.scores[held], table.labels[held], table.patients[held], table.unit))
    return estimate_all(parts, draws) | {"auc_within_source": estimate(mean_over_folds(list(parts.values()), "sources"), draws)}


def _source_alarms(table: ScoreTable, draws: Draws) -> tuple[str, ...]:
    """As in the report of a run: a source that lies below the others, or whose labels look swapped."""
    if table.sources is None:
        return ()
    return alarms_of(judge_slices(slices_by(SOURCE, table.sources, table.scores, table.labels, table.patients, table.unit), draws))


def _comparison(table: ScoreTable, draws: Draws) -> dict[str, Any]:
    first, second = table.ranked(), table.ranked(scores=table.second)
    figures = {"auc_of_the_second": estimate(auc(second), draws), "auc_difference": difference(auc(first), auc(second), draws)}
    return block(figures, None) | {"tests": both_tests(first, second, seed=draws.seed)}


def _sections(result: Mapping[str, Any], table: ScoreTable, draws: Draws) -> list[Section]:
    data = result["data"]
    unit = data["unit"]
    wider = [name for name in ("breasts", "patients") if name in result]
    rows = table.ranked()
    text = f"{data['rows']} {plural(unit)} of {data['patients']} patients, {data['positive']} positive"
    if data["rows_of_unknown_truth_left_out"]:
        text += f"; {data['rows_of_unknown_truth_left_out']} rows of unknown truth left out"
    cards = [(f"{unit.capitalize()} AUC", result["scores"]["auc"])]
    cards += [("Sensitivity at 90 % specificity", result["scores"]["sensitivity_at_90_specificity"])]
    cards += [(f"{name[:-1].capitalize()} AUC", result[name]["auc"]) for name in wider]
    roc = plots.roc_figure([table.ranked(level) for level in table.levels], draws)
    pictures = [("roc.png", roc, "ROC; band: pointwise 95 % over patients.")]
    if result["scores"]["brier"]["value"] is not None:
        caption = "Score against the share that is positive, bins of equal count; bars: Wilson 95 %."
        pictures.append(("calibration.png", plots.calibration_figure(rows), caption))
    shown = tuple(Picture(name, png, caption) for name, png, caption in pictures if png)
    alarms = [Text(found["alarm"], "warning") for found in result["alarms"]]
    sections = [
        Section("Headline", (*alarms, Text(DISCLAIMER, "warning"), Text(text + "."), Cards(tuple(_card(*card) for card in cards)))),
        Section(f"By {unit}", (figure_table(result["scores"]), *shown)),
    ]
    for name in wider:
        rule = f"The highest score of a {name[:-1]} speaks for it; it is positive where any of its rows is, negative where all are"
        rule += " known not to be, and else left out."
        sections.append(Section(f"By {name[:-1]}", (Text(rule, "note"), figure_table(result[name]))))
    if "decisions" in result:
        sections.append(Section("At one cut", _decisions(result)))
    if "confidence" in result:
        sections.append(confidence_section(result["confidence"], [found["alarm"] for found in result["alarms"]]))
    if "sources" in result:
        note = "Where the pooled AUC lies above the mean within sources, part of it is telling the sources apart."
        sections.append(Section("By source", (Text(note, "note"), figure_table(result["sources"]))))
    if "comparison" in result:
        comparison = result["comparison"]
        sections.append(Section("Against the second score", (figure_table(comparison), tests_table(comparison["tests"]))))
    figures = [(n, v) for b in ("scores", "decisions") for n, v in result.get(b, {}).items() if isinstance(v, dict)]
    methods = dict.fromkeys(f"{name_of(name)}: {fields['method']}" for name, fields in figures)
    sections.append(Section("How each figure is computed", tuple(Text(m, "note") for m in methods)))
    sections.append(Section("How to make it again", (Text(result["command"] or "command not recorded", "command"),)))
    return sections


def _card(label: str, fields: Mapping[str, Any]) -> tuple[str, str, str, str]:
    value = "not known" if fields["value"] is None else f"{fields['value']:.2f}"
    missing = fields["value"] is None or fields["low"] is None
    interval = fields["reason"] if missing else f"95 %: {fields['low']:.2f} to {fields['high']:.2f}"
    return label, value, interval, f"{fields['n']} {plural(fields['unit'])}, {fields['events']} positive"


def _decisions(result: Mapping[str, Any]) -> tuple[Item, ...]:
    counts = result["confusion"]
    head = (f"score at or above {counts['cut']:.4g}", "positive", "negative")
    table = Table(head, (
        ("called", str(counts["true_positives"]), str(counts["false_positives"])),
        ("not called", str(counts["false_negatives"]), str(counts["true_negatives"])),
    ))  # fmt: skip
    return Text(f"The cut was {counts['from']}.", "note"), table, figure_table(result["decisions"])


def summary(result: Mapping[str, Any]) -> str:
    """The headline as lines of text."""
    data = result["data"]
    rows = f"{data['rows']} {plural(data['unit'])} of {data['patients']} patients, {data['positive']} positive"
    lines = [f"{rows}; intervals 95 %, over patients"]
    for name in ("scores", "breasts", "patients"):
        if name in result:
            unit = data["unit"] if name == "scores" else name[:-1]
            lines.append(f"  {unit} AUC: {show(result[name]['auc'], digits=3)}")
    lines += [f"  ALARM: {found['alarm']}" for found in result["alarms"]]
    return "\n".join(lines)
