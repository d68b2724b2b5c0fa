"""How the simulated ways of working are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mammolibs.evaluate.document import Section, Table, Text
from mammolibs.evaluate.result import show

TITLE = "A reader and the machine: a simulation"
NAMES = {
    "second_reader": "machine as second reader: who either recalls is recalled",
    "triage": "triage: the machine rules out, the reader reads the rest",
    "decision_referral": "decision referral: the machine decides where it is sure, the reader reads the rest",
}


def workflow_section(result: Mapping[str, Any]) -> Section:
    """result: as `workflow` gives it."""
    reader, alone, first = result["reader"], result["reader_alone"], next(iter(result["correlations"].values()))
    warning = "Simulated. No reader has read these images, and nothing here is a finding about readers."
    if all(figures["sensitivity"]["value"] is None for figures in first.values()):
        reasons = "; ".join(dict.fromkeys(figures["sensitivity"]["reason"] for figures in first.values()))
        return Section(TITLE, (Text(warning, "warning"), Text(f"No way of working can be simulated: {reasons}.")))
    lead = (
        f"The reader recalls {100 * reader['sensitivity']:g} % of cancers and {100 * (1 - reader['specificity']):.3g} % of the others "
        f"(assumed: {reader['source']}), in a population of which {100 * reader['prevalence']:g} % have cancer. "
        f"The machine uses the cuts for at most {100 * result['level']:g} % of the section before."
    )
    rows = [("the reader alone (assumed)", "none", show(alone["sensitivity"]), "none", "none", show(alone["recall_rate"]))]
    shown = ("readings_saved", "sensitivity", "cancers_lost", "cancers_gained", "recall_rate")
    rows += [(NAMES[name], *(_cell(figures.get(figure)) for figure in shown)) for name, figures in first.items()]
    head = ("way of working", "readings saved", "sensitivity", "cancers lost", "cancers gained", "recall rate")
    return Section(TITLE, (
        Text(warning, "warning"), Text(lead), Table(head, tuple(rows)),
        Text("Sensitivity where reader and machine tend to err on the same patients:"), _shared_errors(result), Text(_assumptions(result), "note"),
    ))  # fmt: skip


def _shared_errors(result: Mapping[str, Any]) -> Table:
    head = ("way of working", *(f"correlation {correlation}" for correlation in result["correlations"]))
    rows = [(words, *(_cell(of[name]["sensitivity"]) for of in result["correlations"].values())) for name, words in NAMES.items()]
    return Table(head, tuple(rows))


def _cell(fields: Mapping[str, Any] | None) -> str:
    if fields is None:
        return "none"  # nor can there be any
    return "no cut" if fields["value"] is None and fields["reason"].startswith("no cut") else show(fields)


def _assumptions(result: Mapping[str, Any]) -> str:
    return (
        "Assumed: in the first table that reader and machine err independently once it is known who has cancer, which they hardly do (both find "
        "faint lesions in dense breasts hard); the second table gives a range, within each class a correlation of the reader's suspicion with the rank of "
        "the machine's score. The reader does not change by what the machine says, no second human arbitrates, and benign "
        "lesions among these patients stand for those of screening. Readings saved and recall rate are reweighted to that prevalence. "
        "Decision referral after Leibig et al. 2022. Intervals: patients drawn anew, so the machine's part only; they hold nothing of the reader's two numbers."
    )
