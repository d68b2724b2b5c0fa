"""The stage-error ledger in a report: how many cancers each stage lost and how many false alarms it made, one by one and together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mammolibs.evaluate.analysis import Evidence, Part
from mammolibs.evaluate.bootstrap import Statistic, estimate_all
from mammolibs.evaluate.document import Item, Picture, Section, Table, Text
from mammolibs.evaluate.failing import failures, stage_figures
from mammolibs.evaluate.figures import COLOURS, dress, new_figure, to_png
from mammolibs.evaluate.ledger import (
    NOT_KNOWN,
    STAGES,
    Cuts,
    Fate,
    cuts_by_fold,
    false_alarms,
    malignant_lesions,
    missed_images,
    missed_lesions,
)  # fmt: skip
from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.result import block, show
from mammolibs.evaluate.sums import mean_statistic

LISTED = 20
TITLE = "Where cancers are lost and false alarms made"
STAGE_NAMES = {
    "crop": "crop", "segmentation": "segmentation (U-Net)", "grading": "patch grading (ResNet)",
    "aggregation": "aggregation (calibration, regions to image)", NOT_KNOWN: "not known",
}  # fmt: skip
RULES = (
    "A missed cancer is lost by the first stage that let it go. Crop: most of the lesion was not shown to any network. "
    "Segmentation: no region above the region cut hits it. Grading: none that does is graded above the malignancy cut. "
    "Aggregation: one is, and the image score still lies at or below its cut. Of several lesions of an image the one that came furthest counts. "
    "A false alarm is made by the image's most suspicious region. Grading: it is graded above the malignancy cut, as rejecting such regions is the "
    "second stage's work. Segmentation: it is not, lies on normal tissue and above the region cut. Aggregation: neither. "
    "All cuts were chosen on validation patients."
)
KINDS = {"missed_images": "malignant images", "missed_lesions": "malignant lesions", "false_alarms": "images that are not malignant"}


def ledger(evidence: Evidence) -> Part | None:
    """The ledger of all folds that have an image-score cut, each row at its own fold's cuts; None where nothing was chosen."""
    if not evidence.chosen:
        return None
    cuts = cuts_by_fold(evidence)
    rows = [p for p in evidence.held_out if p.fold in cuts]
    if not rows:
        reasons = {t.reason for c in evidence.chosen.values() for t in c.thresholds if t.name == "image_score" and t.reason}
        why = "; ".join(sorted(reasons)) or "none was chosen"
        told = f"No missed cancer and no false alarm can be told: there is no image-score cut ({why})."
        return Part(name="ledger", result={"reason": told}, sections=(Section(TITLE, (Text(told),)),))
    fates = {
        "missed_images": missed_images(rows, cuts),
        "missed_lesions": missed_lesions(rows, cuts),
        "false_alarms": false_alarms(rows, cuts),
    }
    stages = stage_figures(evidence, cuts)
    failed = failures(stages)
    statistics = {kind: _shares(kind, rows, fates[kind]) for kind in KINDS} | {"details": _details(rows, fates["missed_images"], cuts)}
    result: dict[str, Any] = {
        kind: block(estimate_all(of_kind, evidence.draws), evidence.split_hash) for kind, of_kind in statistics.items()
    }
    result["stages"] = block(stages, evidence.split_hash)
    result["failed"] = sorted(failed)
    result["grading_cuts"] = {str(fold): of_fold.grade.to_dict() for fold, of_fold in cuts.items()}
    result |= {f"list_of_{kind}": [_entry(fate) for fate in _worst_first(fates[kind])] for kind in ("missed_images", "false_alarms")}
    section = Section(TITLE, tuple(_items(result, fates, cuts)))
    return Part(name="ledger", result=result, sections=(section,), alarms=tuple(failed[stage] for stage in STAGES if stage in failed))


def _shares(kind: str, rows: Sequence[Prediction], fates: Sequence[Fate]) -> dict[str, Statistic]:
    """The share of all such images or lesions that each stage lost, or called in vain; the shares of a kind add up to all that were."""
    unit = "lesion" if kind == "missed_lesions" else "image"
    wanted = 0 if kind == "false_alarms" else 1
    every = [(p, i) for p in rows for i in malignant_lesions(p)] if unit == "lesion" else [(p, -1) for p in rows if p.label == wanted]
    stage_of = {(f.prediction.image_id, f.lesion if unit == "lesion" else -1): f.stage for f in fates}
    own = [stage_of.get((p.image_id, i)) for p, i in every]
    verb = "called in vain by" if kind == "false_alarms" else "lost by"
    return {
        stage.replace(" ", "_"): _share(
            [of_this == stage for of_this in own], [p.patient_id for p, _ in every], unit,
            f"share of {KINDS[kind]} {verb}: {STAGE_NAMES[stage]}", f"no {KINDS[kind]}",
        )
        for stage in (*STAGES, NOT_KNOWN)
    }  # fmt: skip


def _details(rows: Sequence[Prediction], missed: Sequence[Fate], cuts: Mapping[int, Cuts]) -> dict[str, Statistic]:
    """What the stages alone do not say: grades lost with the region's place, and cancers called for another place."""
    graded = [f for f in missed if f.stage == "grading" and f.true_patch is not None]
    called = [p for p in rows if p.label == 1 and p.image_score > cuts[p.fold].image and malignant_lesions(p) and p.regions]
    return {
        "grading_passes_at_the_true_place": _share(
            [f.true_patch > cuts[f.prediction.fold].grade.value for f in graded], [f.prediction.patient_id for f in graded], "image",
            "of the images lost by grading, those where the patch round the lesion itself is graded above the cut", "no image lost by grading",
        ),
        "called_for_another_place": _share(
            [max(p.regions, key=lambda r: r.score).hit not in malignant_lesions(p) for p in called], [p.patient_id for p in called], "image",
            "of the malignant images above the cut, those whose most suspicious region hits no malignant lesion", "no malignant image above the cut",
        ),
    }  # fmt: skip


def _share(values: Sequence[bool], patients: Sequence[str], unit: str, method: str, nothing: str) -> Statistic:
    statistic = mean_statistic(np.array(values, float), np.array(patients, str), unit, events=int(sum(values)), method=method)
    return replace(statistic, is_count=True) if values else replace(statistic, problem=nothing)


def _worst_first(fates: Sequence[Fate]) -> list[Fate]:
    """Misses with the lowest scores, alarms with the highest."""
    return sorted(fates, key=lambda f: (f.prediction.image_score * (1 if f.prediction.label == 1 else -1), f.prediction.image_id))


def _entry(fate: Fate) -> dict[str, Any]:
    p = fate.prediction
    return {"image": p.image_id, "patient": p.patient_id, "fold": p.fold, "score": p.image_score, "stage": fate.stage, "why": fate.why}


def _items(result: Mapping[str, Any], fates: Mapping[str, Sequence[Fate]], cuts: Mapping[int, Cuts]) -> list[Item]:
    counts = {kind: Counter(f.stage for f in of_kind) for kind, of_kind in fates.items()}
    totals = {kind: result[kind]["crop"]["n"] for kind in KINDS}
    items: list[Item] = [Text(told) for told in conclusions(counts, totals)]
    if any(of_kind.total() for of_kind in counts.values()):
        items.append(Picture("ledger.png", _bars(counts, totals), "Missed cancers and false alarms by the stage that lost or made them."))
    items.append(_count_table(result, counts))
    items.append(Text(RULES, "note"))
    items += [Text(told) for told in _detail_sentences(result["details"])]
    items.append(Text("Each stage against what it would reach if it did nothing:"))
    items.append(Table(("stage", "figure", "value [95 % interval]", "unit", "n"), tuple(_stage_rows(result["stages"], result["failed"]))))
    for kind, title in (
        ("missed_images", "Missed malignant images, lowest scores first"),
        ("false_alarms", "False alarms, highest scores first"),
    ):
        items += _listing(title, _worst_first(fates[kind]), cuts)
    return items


def conclusions(counts: Mapping[str, Counter], totals: Mapping[str, int]) -> list[str]:
    """What the ledger says, in sentences."""
    sentences = []
    for kind, one, verb in (("missed_images", "malignant images", "missed"), ("false_alarms", "images that are not malignant", "called")):
        missed = counts[kind].total()
        if not totals[kind]:
            sentences.append(f"There are no {one} that could be {verb}.")
            continue
        parts = [f"{counts[kind][stage]} by {STAGE_NAMES[stage]}" for stage in STAGES if counts[kind][stage]]
        if counts[kind][NOT_KNOWN]:
            parts.append(f"{counts[kind][NOT_KNOWN]} cannot be attributed, since no malignant lesion of theirs has a known place")
        by = f": {', '.join(parts)}." if parts else "."
        sentences.append(f"{verb.capitalize()}: {missed} of {totals[kind]} {one}{by}")
    return sentences


def _detail_sentences(details: Mapping[str, Any]) -> list[str]:
    passes, elsewhere = details["grading_passes_at_the_true_place"], details["called_for_another_place"]
    sentences = []
    if passes["n"]:
        share = f"{passes['events']} of {passes['n']}"
        sentences.append(
            f"Lost by grading: in {share} images the patch round the lesion itself passes the cut; there the region's place lost it."
        )
    if elsewhere["n"]:
        share = f"{elsewhere['events']} of {elsewhere['n']}"
        sentences.append(
            f"Called for another place: in {share} malignant images above the cut the most suspicious region hits no malignant lesion."
        )
    return sentences


def _count_table(result: Mapping[str, Any], counts: Mapping[str, Counter]) -> Table:
    rows = []
    for stage in (*STAGES, NOT_KNOWN):
        cells = [f"{counts[kind][stage]}: {show(result[kind][stage.replace(' ', '_')])}" for kind in KINDS]
        rows.append((STAGE_NAMES[stage], *cells))
    return Table(("stage", *(f"{kind.replace('_', ' ')}: count, share of all {what}" for kind, what in KINDS.items())), tuple(rows))


def _stage_rows(stages: Mapping[str, Any], failed: Sequence[str]) -> list[tuple[str, ...]]:
    told = {
        "lesions_cropped_away": ("crop", "lesions mostly not shown to the networks"),
        "lesions_found": ("segmentation", "lesions hit above the region cut"),
        "lesions_found_by_chance": ("segmentation", "the same with regions of other patients' images"),
        "grading_auc": ("grading", "patch AUC, malignant against the rest"),
        "auc_lost_by_aggregation": ("aggregation", "AUC of the best region minus that of the image score"),
    }
    return [
        (
            STAGE_NAMES[stage] + (": FAILS" if stage in failed else ""),
            what,
            show(stages[name]),
            stages[name]["unit"],
            str(stages[name]["n"]),
        )
        for name, (stage, what) in told.items()
    ]


def _listing(title: str, fates: Sequence[Fate], cuts: Mapping[int, Cuts]) -> list[Item]:
    if not fates:
        return []
    rows = tuple(
        (f.prediction.image_id, f"{f.prediction.image_score:.3f} (cut {cuts[f.prediction.fold].image:.3f})", f.stage, f.why)
        for f in fates[:LISTED]
    )
    items: list[Item] = [Text(f"{title}:"), Table(("image", "score", "stage", "why"), rows)]
    if rest := Counter(f.stage for f in fates[LISTED:]):
        by = ", ".join(f"{count} by {stage}" for stage, count in rest.items())
        items.append(Text(f"And {rest.total()} more: {by}. All stand in report.json.", "note"))
    return items


def _bars(counts: Mapping[str, Counter], totals: Mapping[str, int]) -> bytes:
    """A bar per kind, in parts by stage."""
    figure, (axes,) = new_figure(8.2, 2.6)
    names = [f"{kind.replace('_', ' ')} ({counts[kind].total()} of {totals[kind]})" for kind in KINDS]
    left = np.zeros(len(KINDS))
    for stage, colour in zip((*STAGES, NOT_KNOWN), COLOURS, strict=True):
        width = np.array([counts[kind][stage] for kind in KINDS], float)
        axes.barh(names, width, left=left, color=colour, label=STAGE_NAMES[stage], height=0.6)
        for place, (start, wide) in enumerate(zip(left, width, strict=True)):
            if wide:
                axes.text(start + wide / 2, place, f"{wide:.0f}", ha="center", va="center", fontsize=8, color="white")
        left += width
    dress(axes, "Errors by stage", "count", "")
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    figure.legend(fontsize=8, frameon=False, loc="outside lower center", ncols=3)
    return to_png(figure)
