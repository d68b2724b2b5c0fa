"""The figures by name: what each counts, over which units, as a `Statistic` or an `Estimate`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mammolibs.errors import BadConfig, BadData
from mammolibs.evaluate.bootstrap import ROUNDS, Draws, Statistic, difference, estimate, estimate_all, mean_over_folds
from mammolibs.evaluate.detection import collect, lesion_sensitivity_statistic
from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.ranking import auc_statistic, sensitivity_statistic
from mammolibs.evaluate.sums import mean_statistic
from mammolibs.evaluate.units import scores_at
from mammolibs.records import Estimate

Builder = Callable[[Sequence[Prediction]], Statistic]


def _auc(level: str) -> Builder:
    def build(predictions: Sequence[Prediction]) -> Statistic:
        s = scores_at(level, predictions)
        method = f"{level} AUC, malignant against the rest" + ("" if level == "image" else ", highest image score")
        return auc_statistic(s.scores, s.labels, s.patients, level, method=_with_unknown(method, s.unknown, level))

    return build


def _sensitivity(specificity: float) -> Builder:
    def build(predictions: Sequence[Prediction]) -> Statistic:
        s = scores_at("image", predictions)
        return sensitivity_statistic(s.scores, s.labels, s.patients, "image", specificity=specificity)

    return build


def _with_unknown(method: str, unknown: int, level: str) -> str:
    return f"{method} ({unknown} without a known label or side left out, unit {level})" if unknown else method


def _lesions(false_per_image: float, pathology: str = "") -> Builder:
    def build(predictions: Sequence[Prediction]) -> Statistic:
        found = collect(predictions, wanted=lambda lesion: not pathology or lesion.pathology == pathology)
        return lesion_sensitivity_statistic(found, false_per_image=false_per_image, name=f"{pathology} lesion".strip())

    return build


def _overlap(name: str) -> Builder:
    def build(predictions: Sequence[Prediction]) -> Statistic:
        scored = [p for p in predictions if getattr(p, name) is not None]
        statistic = mean_statistic(
            np.asarray([getattr(p, name) for p in scored]),
            np.asarray([p.patient_id for p in scored], str),
            "image",
            method=f"mean {name} over images with a lesion mask, on the canvas, cut chosen on validation patients",
        )
        return statistic if scored else replace(statistic, problem="no image with a lesion mask")

    return build


def _patch_auc(predictions: Sequence[Prediction]) -> Statistic:
    rows = [(q.score, q.label, p.patient_id) for p in predictions for q in p.patches if q.label >= 0]
    scores, labels, patients = zip(*rows, strict=True) if rows else ((), (), ())
    method = "patch AUC, malignant against the rest (patches round true lesions and round proposed regions, so a lesion may count several times)"
    statistic = auc_statistic(np.asarray(scores), np.asarray(labels, int), np.asarray(patients, str), "patch", method=method)
    return statistic if rows else replace(statistic, problem="no judged patch with a known label")


METRICS: dict[str, dict[str, Builder]] = {
    "pipeline": {
        "image_auc": _auc("image"),
        "breast_auc": _auc("breast"),
        "patient_auc": _auc("patient"),
        "sensitivity_at_90_specificity": _sensitivity(0.90),
        "sensitivity_at_95_specificity": _sensitivity(0.95),
    },
    "unet": {
        "dice": _overlap("dice"),
        "iou": _overlap("iou"),
        "lesion_sensitivity_at_0.5_fp": _lesions(0.5),
        "lesion_sensitivity_at_1_fp": _lesions(1.0),
        "lesion_sensitivity_at_2_fp": _lesions(2.0),
        "malignant_lesion_sensitivity_at_1_fp": _lesions(1.0, "malignant"),
    },
    "resnet": {"patch_auc": _patch_auc},
}


def metric_builder(name: str) -> Builder:
    """The builder of a figure by its name in report.json, those within folds or sources too. Raises BadConfig for a name that is not there."""
    for groups in ("folds", "sources"):
        if name.endswith(f"_within_{groups[:-1]}"):
            return lambda predictions: within(groups, predictions, name.removesuffix(f"_within_{groups[:-1]}"))
    for block in METRICS.values():
        if name in block:
            return block[name]
    names = ", ".join(sorted(n for block in METRICS.values() for n in block))
    raise BadConfig(f"no figure named {name!r}; there are {names}")


def measure(predictions: Sequence[Prediction], metric: str, *, rounds: int = ROUNDS, seed: int = 0) -> Estimate:
    """One figure by name, with its interval."""
    statistic = metric_builder(metric)(predictions)
    return estimate(statistic, Draws(statistic.patients, rounds=rounds, seed=seed))


def measure_all(predictions: Sequence[Prediction], draws: Draws | None = None) -> dict[str, dict[str, Estimate]]:
    """Every figure of the pipeline, the U-Net and the ResNet, all over the same draws of patients."""
    draws = draws or Draws([p.patient_id for p in predictions])
    return {
        block: estimate_all({name: build(predictions) for name, build in builders.items()}, draws)
        for block, builders in METRICS.items()
    }


def paired_difference(
    a: Sequence[Prediction], b: Sequence[Prediction], metric: str, *, rounds: int = ROUNDS, seed: int = 0
) -> Estimate:
    """Figure of a minus figure of b on the same images, with an interval from the same draws of patients.

    Raises BadData where the two do not hold the same images.
    """
    images_a, images_b = {p.image_id for p in a}, {p.image_id for p in b}
    if images_a != images_b:
        odd = sorted(images_a ^ images_b)
        raise BadData(f"the two sets of predictions differ in {len(odd)} images, {odd[0]} first; compare them on the same images")
    build = metric_builder(metric)
    draws = Draws([p.patient_id for p in a], rounds=rounds, seed=seed)
    return difference(build(a), build(b), draws)


def within(groups: str, predictions: Sequence[Prediction], metric: str) -> Statistic:
    """Mean of a figure over "folds" or "sources", each computed inside its own: what pooling scores may hide or add."""
    build = metric_builder(metric)
    group_of = {"folds": lambda p: p.fold, "sources": lambda p: p.source}[groups]
    members: dict[Any, list[Prediction]] = {}
    for p in predictions:
        members.setdefault(group_of(p), []).append(p)
    return mean_over_folds([build(members[name]) for name in sorted(members)], groups)
