"""The figures by name: what each counts, over which units, as a `Statistic` or an `Estimate`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mammolibs.errors import BadConfig, BadData
from mammolibs.evaluate.bootstrap import ROUNDS, Draws, Statistic, difference, estimate, estimate_all, mean_over_folds
from mammolibs.evaluate.detection import collect, froc_area_statistic, lesion_precision_statistic, lesion_sensitivity_statistic
from mammolibs.evaluate.overlap_figures import overlap
from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.probability import PROBABILITY_FIGURES, probability_figures
from mammolibs.evaluate.ranked import Ranked
from mammolibs.evaluate.ranking import auc, auc_statistic, average_precision, partial_auc, sensitivity_at, specificity_at
from mammolibs.evaluate.units import scores_at
from mammolibs.records import Estimate


class Judged:
    """Predictions with what all figures of one report count along, made once: scores of each level, in order."""

    def __init__(self, predictions: Sequence[Prediction]):
        self.predictions = predictions
        self._levels: dict[str, tuple[Ranked, int]] = {}

    def ranked(self, level: str) -> tuple[Ranked, int]:
        """The units of a level in order, and how many were left out for want of a label or side."""
        if level not in self._levels:
            scores = scores_at(level, self.predictions)
            self._levels[level] = scores.ranked, scores.unknown
        return self._levels[level]


Builder = Callable[[Judged], Statistic]


def _ranking(level: str, figure: Callable[..., Statistic], *arguments: float) -> Builder:
    def build(judged: Judged) -> Statistic:
        ranked, unknown = judged.ranked(level)
        statistic = figure(ranked, *arguments)
        rule = "" if level == "image" else ", highest image score"
        left = f" ({unknown} without a known label or side left out, unit {level})" if unknown else ""
        return replace(statistic, method=f"{statistic.method}, malignant against the rest{rule}{left}")

    return build


def _auc(level: str) -> Builder:
    return _ranking(level, lambda ranked: auc(ranked, method=f"{level} AUC"))


def _probability(name: str) -> Builder:
    return lambda judged: probability_figures(judged.ranked("image")[0])[name]


def _lesions(figure: Callable[..., Statistic], pathology: str = "", **how: float) -> Builder:
    def build(judged: Judged) -> Statistic:
        found = collect(judged.predictions, wanted=lambda lesion: not pathology or lesion.pathology == pathology)
        return figure(found, name=f"{pathology} lesion".strip(), **how)

    return build


def _overlap(name: str) -> Builder:
    return lambda judged: overlap(name, judged.predictions)


def _patch_auc(judged: Judged) -> Statistic:
    rows = [(q.score, q.label, p.patient_id) for p in judged.predictions for q in p.patches if q.label >= 0]
    scores, labels, patients = zip(*rows, strict=True) if rows else ((), (), ())
    method = (
        "patch AUC, malignant against the rest (patches round true lesions and round proposed regions, so a lesion may count several times)"
    )
    statistic = auc_statistic(np.asarray(scores), np.asarray(labels, int), np.asarray(patients, str), "patch", method=method)
    return statistic if rows else replace(statistic, problem="no judged patch with a known label")


METRICS: dict[str, dict[str, Builder]] = {
    "pipeline": {
        "image_auc": _auc("image"),
        "breast_auc": _auc("breast"),
        "exam_auc": _auc("exam"),
        "patient_auc": _auc("patient"),
        "partial_auc": _ranking("image", partial_auc),
        "average_precision": _ranking("image", average_precision),
        "sensitivity_at_90_specificity": _ranking("image", sensitivity_at, 0.90),
        "sensitivity_at_95_specificity": _ranking("image", sensitivity_at, 0.95),
        "specificity_at_90_sensitivity": _ranking("image", specificity_at, 0.90),
        **{name: _probability(name) for name in PROBABILITY_FIGURES},
    },
    "unet": {
        "dice": _overlap("dice"),
        "iou": _overlap("iou"),
        "surface_distance_mm": _overlap("surface_mm"),
        "hausdorff95_mm": _overlap("hausdorff95_mm"),
        "lesion_sensitivity_at_0.5_fp": _lesions(lesion_sensitivity_statistic, false_per_image=0.5),
        "lesion_sensitivity_at_1_fp": _lesions(lesion_sensitivity_statistic, false_per_image=1.0),
        "lesion_sensitivity_at_2_fp": _lesions(lesion_sensitivity_statistic, false_per_image=2.0),
        "malignant_lesion_sensitivity_at_1_fp": _lesions(lesion_sensitivity_statistic, "malignant", false_per_image=1.0),
        "froc_area": _lesions(froc_area_statistic),
        "lesion_average_precision": _lesions(lesion_precision_statistic),
    },
    "resnet": {"patch_auc": _patch_auc},
}


def builder_of(name: str) -> Builder:
    """The builder of a figure by its name in report.json, those within folds or sources too. Raises BadConfig for a name that is not there."""
    for groups in ("folds", "sources"):
        if name.endswith(f"_within_{groups[:-1]}"):
            return lambda judged: within(groups, judged.predictions, name.removesuffix(f"_within_{groups[:-1]}"))
    for block in METRICS.values():
        if name in block:
            return block[name]
    names = ", ".join(sorted(n for block in METRICS.values() for n in block))
    raise BadConfig(f"no figure named {name!r}; there are {names}")


def statistics_of(predictions: Sequence[Prediction], names: Iterable[str]) -> dict[str, Statistic]:
    """Several figures by name, counted along one ranking of the predictions. Raises as `builder_of`."""
    judged = Judged(predictions)
    return {name: builder_of(name)(judged) for name in names}


def measure(predictions: Sequence[Prediction], metric: str, *, rounds: int = ROUNDS, seed: int = 0) -> Estimate:
    """One figure by name, with its interval."""
    statistic = builder_of(metric)(Judged(predictions))
    return estimate(statistic, Draws(statistic.patients, rounds=rounds, seed=seed))


def measure_all(predictions: Sequence[Prediction], draws: Draws | None = None) -> dict[str, dict[str, Estimate]]:
    """Every figure of the pipeline, the U-Net and the ResNet, all over the same draws of patients."""
    draws = draws or Draws([p.patient_id for p in predictions])
    return {block: estimate_all(statistics_of(predictions, names), draws) for block, names in METRICS.items()}


def paired_difference(a: Sequence[Prediction], b: Sequence[Prediction], metric: str, *, rounds: int = ROUNDS, seed: int = 0) -> Estimate:
    """Figure of a minus figure of b on the same images, with an interval from the same draws of patients.

    Raises BadData where the two do not hold the same images.
    """
    images_a, images_b = {p.image_id for p in a}, {p.image_id for p in b}
    if images_a != images_b:
        odd = sorted(images_a ^ images_b)
        raise BadData(f"the two sets of predictions differ in {len(odd)} images, {odd[0]} first; compare them on the same images")
    build = builder_of(metric)
    draws = Draws([p.patient_id for p in a], rounds=rounds, seed=seed)
    return difference(build(Judged(a)), build(Judged(b)), draws)


def within(groups: str, predictions: Sequence[Prediction], metric: str) -> Statistic:
    """Mean of a figure over "folds" or "sources", each computed inside its own: what pooling scores may hide or add."""
    build = builder_of(metric)
    group_of = {"folds": lambda p: p.fold, "sources": lambda p: p.source}[groups]
    members: dict[Any, list[Prediction]] = {}
    for p in predictions:
        members.setdefault(group_of(p), []).append(p)
    return mean_over_folds([build(Judged(members[name])) for name in sorted(members)], groups)
