"""One evaluation as `report.json`, `report.md` and one self-contained `report.html`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mammolibs.evaluate import figures as plots
from mammolibs.evaluate import sections as parts
from mammolibs.evaluate.analyses import analyse
from mammolibs.evaluate.analysis import Beside, Evidence, Part
from mammolibs.evaluate.bootstrap import ROUNDS, Draws, estimate_all
from mammolibs.evaluate.checklist import checklist_section, checklists
from mammolibs.evaluate.chosen import Chosen, at_thresholds
from mammolibs.evaluate.conclusions import conclusions, not_held_out
from mammolibs.evaluate.curves import HistoryFiles, as_runs, loss_figure
from mammolibs.evaluate.data_sections import data_sections
from mammolibs.evaluate.document import Picture
from mammolibs.evaluate.examples import Example
from mammolibs.evaluate.exclusions import exclusion_flow
from mammolibs.evaluate.flow import held_out_counts, held_out_rows
from mammolibs.evaluate.metrics import METRICS, measure_all, statistics_of
from mammolibs.evaluate.model_card import model_card, model_card_section
from mammolibs.evaluate.pages import write_pages
from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.result import DISCLAIMER, Figures, block
from mammolibs.evaluate.units import scores_at
from mammolibs.storage import write_json

FOLD_FIGURES = ("image_auc", "patient_auc", "dice", "lesion_sensitivity_at_1_fp")
STAGES = ("encoder", "autoencoder", "unet", "resnet")


def write_report(
    folder: str | Path,
    *,
    predictions: Sequence[Prediction],
    stages: Mapping[str, Figures],
    data: Mapping[str, Any],
    runtime: Mapping[str, Any],
    split_hash: str | None,
    provenance: Mapping[str, Any] | None = None,
    history: HistoryFiles | None = None,
    examples: Sequence[Example] = (),
    chosen: Mapping[int, Chosen] | None = None,
    comparisons: Mapping[str, Figures] | None = None,
    internal: Beside | None = None,
    adapted: Beside | None = None,
    command: str = "",
    prevalence: float | None = None,
    title: str = "Mammography pipeline: evaluation",
    rounds: int = ROUNDS,
    seed: int = 0,
) -> dict[str, Any]:
    """Write report.json, .md and .html, model_card.json, checklist.json and figures/*.png into `folder`; returns what stands in report.json.

    predictions: all rows; the figures use those of split "test". stages: further figures of
    each stage by name. data, runtime: facts, JSON types; data["synthetic"] true, or "synthetic"
    among data["truth"], where any of it is. provenance: what made the figures (weights, contract,
    thresholds, versions); what is in its "touched" is told first of all. history: stage -> history.csv, or name of the run -> history.csv.
    chosen: fold (-1 where there are none) -> what was chosen on its validation patients.
    comparisons: what was compared with -> figure -> paired difference (`paired_difference`). prevalence: share of malignant exams
    at a site that the transfer card is to tell of, in (0, 1). internal, adapted: as `Evidence` has them, where the test rows come
    from elsewhere.

    Raises BadData where a patient is held out and not held out in one fold.
    """
    folder = Path(folder)
    held_out = held_out_rows(predictions)
    draws = Draws([p.patient_id for p in held_out], rounds=rounds, seed=seed)
    result = build_result(held_out, draws, stages=stages, split_hash=split_hash)
    if comparisons:
        result["comparisons"] = {name: block(values, split_hash) for name, values in comparisons.items()}
    counts = {"held_out": held_out_counts(predictions, held_out), "flow": exclusion_flow(data, predictions, held_out)}
    result["data"] = {**data, **counts, "split_hash": split_hash}
    result |= {"runtime": dict(runtime), "provenance": dict(provenance or {}), "command": command, "disclaimer": DISCLAIMER}
    result["not_held_out"] = not_held_out(result["provenance"])
    result |= told_chosen(chosen or {})
    if chosen:
        result["at_the_chosen_thresholds"] = block(at_thresholds(held_out, chosen, draws), split_hash)
    validation = [p for p in predictions if p.split == "validation"]
    evidence = Evidence(
        held_out=held_out, validation=validation, draws=draws, chosen=chosen or {}, split_hash=split_hash, prevalence=prevalence,
        internal=internal, adapted=adapted,
    )  # fmt: skip
    found = _look_closer(result, evidence)
    sections = build_sections(result, held_out, draws, history or {}, examples, found)
    lead = f"Intervals: 95 %, {rounds} bootstrap rounds over whole patients, seed {seed}. Split {split_hash or 'not ours'}."
    _write_pages(folder, title, lead, sections)
    for name, told in (("model_card", model_card(result)), ("checklist", checklists(result)), ("report", result)):
        write_json(folder / f"{name}.json", told)
    return result


def _look_closer(result: dict[str, Any], evidence: Evidence) -> list[Part]:
    """The further analyses, put into the result with their alarms, and what may be concluded of it all."""
    found = analyse(evidence)
    result |= {part.name: dict(part.result) for part in found}
    result["alarms"] = [{"part": part.name, "alarm": alarm} for part in found for alarm in part.alarms]
    result["conclusions"] = conclusions(result)
    return found


def _write_pages(folder: Path, title: str, lead: str, sections: Sequence[parts.Section]) -> None:
    """report.md, report.html and figures/*.png; pictures of an earlier report go."""
    pictures = write_pages(folder, title, lead, sections)
    for left_over in (path for path in (folder / "figures").glob("*.png") if path.name not in pictures):
        left_over.unlink()  # of an earlier report: a reader of the folder would take it for one of these


def build_result(held_out: Sequence[Prediction], draws: Draws, *, stages: Mapping[str, Figures], split_hash: str | None) -> dict[str, Any]:
    """All result blocks as JSON: pipeline, unet and resnet from the predictions, beside what the stages give."""
    found: dict[str, dict[str, Any]] = {name: dict(values) for name, values in measure_all(held_out, draws).items()}
    for name in STAGES:
        found[name] = {**stages.get(name, {}), **found.get(name, {})}
    for name in stages:
        found.setdefault(name, dict(stages[name]))
    folds = sorted({p.fold for p in held_out})
    for groups, several in (("folds", len(folds) > 1), ("sources", len({p.source for p in held_out}) > 1)):
        for metric in FOLD_FIGURES if several else ():
            name = next(name for name, builders in METRICS.items() if metric in builders)
            inside = f"{metric}_within_{groups[:-1]}"
            found[name] |= estimate_all(statistics_of(held_out, [inside]), draws)
    result: dict[str, Any] = {name: block(values, split_hash) for name, values in found.items()}
    if len(folds) > 1:
        result["folds"] = {str(fold): _fold_block([p for p in held_out if p.fold == fold], split_hash, draws) for fold in folds}
    return result


def _fold_block(rows: Sequence[Prediction], split_hash: str | None, draws: Draws) -> dict[str, Any]:
    own = Draws([p.patient_id for p in rows], rounds=draws.rounds, seed=draws.seed)
    return block(estimate_all(statistics_of(rows, FOLD_FIGURES), own), split_hash)


def told_chosen(chosen: Mapping[int, Chosen]) -> dict[str, Any]:
    """All thresholds and calibrations as JSON; of several folds, under names that say which fold chose them."""

    def named(kind: str) -> list[dict[str, Any]]:
        return [
            item.to_dict() | {"name": f"{item.name}, fold {fold}" if len(chosen) > 1 else item.name}
            for fold, of_fold in chosen.items()
            for item in getattr(of_fold, kind)
        ]

    return {kind: named(kind) for kind in ("thresholds", "calibrations")}


def build_sections(
    result: Mapping[str, Any],
    held_out: Sequence[Prediction],
    draws: Draws,
    history: HistoryFiles,
    examples: Sequence[Example],
    found: Sequence[Part] = (),
) -> list[parts.Section]:
    """The report's sections in reading order, with their pictures drawn."""
    pictures = {
        "pipeline": [
            *_picture(
                "roc.png",
                plots.roc_figure([scores_at(level, held_out).ranked for level in ("image", "patient")], draws),
                "ROC over held-out images; band: pointwise 95 % over patients.",
            ),
            *_picture(
                "calibration.png",
                plots.calibration_figure(scores_at("image", held_out).ranked),
                "Image score against the share that is malignant, bins of equal count; bars: Wilson 95 %.",
            ),
        ],
        "unet": _picture("froc.png", plots.froc_figure(held_out, result["unet"]), "FROC over held-out images, region probability; bars: 95 % intervals."),
    }  # fmt: skip
    curves: list[Picture] = []
    for stage, entry in history.items():
        if runs := as_runs(entry):
            curves += _picture(f"loss_{_slug(stage)}.png", loss_figure(stage, runs), f"{stage}, from history.csv")
    grouped = {
        "Summary": [parts.headline(result), parts.reading(result)],
        "Data": data_sections(result),
        "Results": [
            *parts.stage_sections(result, pictures, [part.name for part in found]), *parts.fold_section(result), *parts.comparison_section(result),
        ],
        "Looking closer": [section for part in found for section in part.sections],
        "Images": parts.example_sections(examples, held_out),
        "How it was made": [*parts.curves_section(curves), *parts.closing_sections(result)],
        "For the record": [model_card_section(model_card(result)), checklist_section(checklists(result)), parts.last_words()],
    }  # fmt: skip
    return [replace(section, group=group) for group, sections in grouped.items() for section in sections]


def _slug(name: str) -> str:
    """The name as part of a file name: a Markdown link ends at a space."""
    return "_".join(re.findall(r"[a-z0-9]+", name.lower()))


def _picture(name: str, png: bytes | None, caption: str) -> list[Picture]:
    return [Picture(name, png, caption)] if png else []
