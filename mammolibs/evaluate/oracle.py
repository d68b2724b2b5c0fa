"""What perfect segmentation would bring: the same second stage and calibration, given the true lesions in place of the regions found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mammolibs.evaluate.analysis import Evidence, Part
from mammolibs.evaluate.bootstrap import Draws, Statistic, difference, estimate_all
from mammolibs.evaluate.document import Section, Table, Text
from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.ranking import auc_statistic
from mammolibs.evaluate.result import block, show
from mammolibs.records import Estimate

TITLE = "What perfect segmentation would bring"
NOTE = (
    "True regions: every lesion with a known place that the networks were shown, with probability 1 (a calibrated probability is the "
    "share of such regions that are lesions), graded by the same ResNet on the patch round it, scored by the same calibration; nothing else "
    "is put in. Images whose lesions are not all known by place are left out of both sides. Nobody could reach this score without the truth: "
    "it says where to work, not how good the pipeline is."
)
TRAINED_ON = (
    "The ResNet is trained on patches of both kinds: round each true lesion of the training patients, and round the strongest regions that "
    "the U-Net finds on their images, labelled by the lesion that they hit or as normal tissue. That U-Net has seen those images, so its "
    "regions may lie better there than on held-out ones. The gap says what grading loses by the regions found: over lesions that were found and "
    "regions on normal tissue, the same patches but for where each lesion's was cut."
)
NAMES = {
    "image_auc_found_regions": "image AUC, regions found", "image_auc_true_regions": "image AUC, true regions",
    "gain_of_perfect_segmentation": "the difference: what perfect segmentation would bring",
    "patch_auc_true_regions": "patch AUC, lesion patches cut round the truth",
    "patch_auc_found_regions": "patch AUC, lesion patches cut round the regions found",
    "grading_gap": "the gap between grading true and found regions",
}  # fmt: skip


def oracle(evidence: Evidence) -> Part | None:
    """The image AUC with found and with true regions, the patch AUC on both; None for a table that says nothing of true regions."""
    rows = evidence.held_out
    if not any(p.oracle_score is not None or any(q.lesion >= 0 for q in p.patches) for p in rows):
        return None
    figures = _image_figures(rows, evidence.draws) | _patch_figures(rows, evidence.draws)
    result = block(figures, evidence.split_hash)
    table = Table(("figure", "value [95 % interval]", "unit", "n", "events"), tuple(_row(name, result[name]) for name in NAMES))
    told = [Text(sentence) for sentence in conclusions(result)]
    return Part(name="oracle", result=result, sections=(Section(TITLE, (*told, table, Text(NOTE, "note"), Text(TRAINED_ON, "note"))),))


def conclusions(result: Mapping[str, Any]) -> list[str]:
    """What the substitution says, in sentences."""
    gain, gap = result["gain_of_perfect_segmentation"], result["grading_gap"]
    sentences = []
    if gain["value"] is None:
        sentences.append(f"What perfect segmentation would bring cannot be computed: {gain['reason']}.")
    else:
        true, found = (result[f"image_auc_{kind}_regions"]["value"] for kind in ("true", "found"))
        reading = _reading(
            gain, "perfect segmentation would help", "perfect segmentation alone would not help, look at grading and aggregation"
        )
        start = f"With the true lesions in place of the regions found the image AUC is {true:.2f} instead of {found:.2f}"
        sentences.append(f"{start}, a difference of {show(gain)}: {reading}.")
    if gap["value"] is None:
        sentences.append(f"The gap between grading true and found regions cannot be computed: {gap['reason']}.")
    else:
        reading = _reading(gap, "regions that lie better would be graded better", "the regions found are graded no worse than true ones")
        start = f"Patches round true lesions are graded with an AUC that differs by {show(gap)} from that of patches round the regions that found them"
        sentences.append(f"{start}: {reading}.")
    return sentences


def _reading(fields: Mapping[str, Any], above: str, below: str) -> str:
    if fields["low"] is None:
        return f"no interval, {fields['reason']}"
    if fields["low"] > 0:
        return above
    return below if fields["high"] <= 0 or fields["low"] == fields["high"] else "the interval holds 0, so no difference is shown"


def _row(name: str, fields: Mapping[str, Any]) -> tuple[str, ...]:
    return NAMES[name], show(fields), fields["unit"], str(fields["n"]), "" if fields["events"] is None else str(fields["events"])


def _image_figures(rows: Sequence[Prediction], draws: Draws) -> dict[str, Estimate]:
    own = [p for p in rows if p.oracle_score is not None and p.label >= 0]
    kinds = {"found": [p.image_score for p in own], "true": [p.oracle_score for p in own]}
    told = {"found": "with the regions found", "true": "with the true lesions in place of the regions found"}
    labels, patients = [p.label for p in own], [p.patient_id for p in own]
    left = sum(p.label >= 0 for p in rows) - len(own)
    where = f" (images whose lesions are all known by place, {left} left out)"
    statistics = {kind: _auc(scores, labels, patients, "image", f"image AUC {told[kind]}{where}") for kind, scores in kinds.items()}
    return _both(statistics, ("image_auc_found_regions", "image_auc_true_regions", "gain_of_perfect_segmentation"), draws)


def _patch_figures(rows: Sequence[Prediction], draws: Draws) -> dict[str, Estimate]:
    """Each found lesion twice, by the patch round it and by that round its strongest region; regions on normal tissue the same in both."""
    true, found, labels, patients = [], [], [], []
    for p in rows:
        regions: dict[int, float] = {}
        for q in p.patches:
            if q.origin == "region":
                regions.setdefault(q.lesion, q.score)
        pairs = [(q.score, regions[q.lesion], q.label) for q in p.patches if q.origin == "lesion" and q.lesion in regions]
        pairs += [(q.score, q.score, q.label) for q in p.patches if q.origin == "region" and q.lesion < 0]
        for at_truth, at_region, label in pairs:
            if label >= 0:
                true.append(at_truth)
                found.append(at_region)
                labels.append(label)
                patients.append(p.patient_id)
    what = "patch AUC, malignant lesions that were found against benign ones that were and regions on normal tissue, lesions cut round"
    statistics = {
        "found": _auc(found, labels, patients, "patch", f"{what} their strongest region"),
        "true": _auc(true, labels, patients, "patch", f"{what} the truth"),
    }  # fmt: skip
    return _both(statistics, ("patch_auc_found_regions", "patch_auc_true_regions", "grading_gap"), draws)


def _auc(scores: Sequence[float], labels: Sequence[int], patients: Sequence[str], unit: str, method: str) -> Statistic:
    statistic = auc_statistic(np.array(scores, float), np.array(labels, int), np.array(patients, str), unit, method=method)
    return statistic if scores else replace(statistic, problem=f"no {unit} for which both are known")


def _both(statistics: Mapping[str, Statistic], names: tuple[str, str, str], draws: Draws) -> dict[str, Estimate]:
    """Found, true, and true minus found."""
    found, true = statistics["found"], statistics["true"]
    return estimate_all({names[0]: found, names[1]: true}, draws) | {names[2]: difference(true, found, draws)}
