"""Does a stage of the pipeline fail? Each is held against what it would reach if it did nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from mammolibs.evaluate.analysis import Evidence
from mammolibs.evaluate.bootstrap import Statistic, difference, estimate_all, mean_over_folds
from mammolibs.evaluate.ledger import Cuts
from mammolibs.evaluate.matching import match_regions
from mammolibs.evaluate.predictions import LesionTruth, Prediction
from mammolibs.evaluate.ranking import auc_statistic
from mammolibs.evaluate.result import figure, show
from mammolibs.evaluate.sums import mean_statistic
from mammolibs.records import Estimate

# How many other images lend their regions to each lesion, so that chance is known well enough.
PARTNERS = 10
# A share of lesions cut away, a gain over chance, an AUC and a loss of AUC: a stage that is certainly worse fails.
MOST_CROPPED, LEAST_GAIN, LEAST_AUC, MOST_LOST = 0.05, 0.2, 0.7, 0.05
ALL_EQUAL = "all scores are equal"
# Four stages are looked at: the normal quantile of 1 - 0.025 / 4 over that of 1 - 0.025 (Bonferroni).
WIDER = 2.498 / 1.960


def stage_figures(evidence: Evidence, cuts: Mapping[int, Cuts]) -> dict[str, Estimate]:
    """One figure per stage, and what the segmentation would reach by chance. cuts: of the folds that have any."""
    rows = [p for p in evidence.held_out if p.fold in cuts]
    raw, calibrated = (_image_auc(rows, name) for name in ("raw_score", "image_score"))
    figures = estimate_all(
        {"lesions_cropped_away": _cropped(rows), "lesions_found": _found(rows, cuts), "lesions_found_by_chance": _chance(rows, cuts),
         "grading_auc": _grading_auc(rows)},
        evidence.draws,
    )  # fmt: skip
    lost = difference(raw, calibrated, evidence.draws)
    told = f"AUC of the highest probability x malignancy minus that of the image score; {lost.method}"
    return figures | {"auc_lost_by_aggregation": replace(lost, method=told)}


def failures(figures: Mapping[str, Estimate]) -> dict[str, str]:
    """Stage -> what is wrong with it, a sentence. A stage that nobody can judge yet, for want of data, does not fail.

    The intervals are widened for four looks, and must lie wholly on the bad side of a margin; a stage that is measured against
    chance must also hold chance.
    """
    found = {}
    cropped, seen, grading, lost = (figures[n] for n in ("lesions_cropped_away", "lesions_found", "grading_auc", "auc_lost_by_aggregation"))
    chance = figures["lesions_found_by_chance"].value or 0.0
    if _known(cropped) and _wide(cropped)[0] > MOST_CROPPED:
        found["crop"] = (
            f"The crop fails: {_told(cropped)} of the lesions lie mostly outside what the networks are shown. "
            "Look at the images that the ledger names, at how the breast was found there, and whether the outlines belong to these images."
        )
    if _known(seen) and _wide(seen)[0] <= chance and _wide(seen)[1] < chance + LEAST_GAIN:
        found["segmentation"] = (
            f"The segmentation (U-Net) fails: {_told(seen)} of the lesions shown to it are hit by a region above its cut, and regions of "
            f"other images laid over them hit {chance:.2f}. Look at the overlays, at the U-Net's losses and at the weights that were taken."
        )
    if _known(grading) and _wide(grading)[0] <= 0.5 and _wide(grading)[1] < LEAST_AUC:
        found["grading"] = (
            f"The patch grading (ResNet) fails: it tells patches of malignant lesions from the rest with an AUC of {_told(grading)}, "
            "where 0.5 is chance. Look at its losses, its patches and their labels."
        )
    if grading.reason == ALL_EQUAL:
        found["grading"] = (
            f"The patch grading (ResNet) fails: it gives all {grading.n} patches the same score. "
            "Look at its losses and at the weights that were taken."
        )
    if _known(lost) and _wide(lost)[0] > MOST_LOST:
        found["aggregation"] = (
            f"The aggregation fails: the image score's AUC is {_told(lost)} below that of the regions that it is made from. "
            "Look at the calibration of image scores and at the validation patients that it was fitted on."
        )
    return found


def _known(estimate: Estimate) -> bool:
    return estimate.value is not None and estimate.low is not None


def _wide(estimate: Estimate) -> tuple[float, float]:
    return tuple(estimate.value + WIDER * (end - estimate.value) for end in (estimate.low, estimate.high))


def _told(estimate: Estimate) -> str:
    return show(figure(estimate))


def _share(values: Sequence[float], patients: Sequence[str], method: str, problem: str, *, is_count: bool = True) -> Statistic:
    events = int(round(sum(values)))
    statistic = mean_statistic(np.array(values, float), np.array(patients, str), "lesion", events=events, method=method)
    return replace(statistic, is_count=is_count) if values else replace(statistic, problem=problem)


def _lesions(rows: Sequence[Prediction]) -> Iterator[tuple[Prediction, int, LesionTruth]]:
    return ((p, index, lesion) for p in rows for index, lesion in enumerate(p.lesions) if lesion.placed)


def _cropped(rows: Sequence[Prediction]) -> Statistic:
    known = [(not lesion.shown, p.patient_id) for p, _, lesion in _lesions(rows) if lesion.on_canvas is not None]
    gone, patients = zip(*known, strict=True) if known else ((), ())
    return _share(gone, patients, "lesions of which less than half was shown to the networks", "no lesion with a known place")


def _found(rows: Sequence[Prediction], cuts: Mapping[int, Cuts]) -> Statistic:
    seen = [
        (any(r.hit == index and r.probability > cuts[p.fold].region for r in p.regions), p.patient_id)
        for p, index, lesion in _lesions(rows) if lesion.shown
    ]  # fmt: skip
    hits, patients = zip(*seen, strict=True) if seen else ((), ())
    return _share(hits, patients, "lesions shown to the networks that a region above the region cut hits", "no lesion with a known place")


def _chance(rows: Sequence[Prediction], cuts: Mapping[int, Cuts]) -> Statistic:
    """How often regions of other patients' images of the same side and view, laid over a lesion, would hit it."""
    alike: dict[tuple[int, str, str], list[Prediction]] = {}
    for p in sorted(rows, key=lambda p: p.image_id):
        alike.setdefault((p.fold, p.laterality, p.view), []).append(p)
    shares, patients = [], []
    for group in alike.values():
        places = {p.image_id: place for place, p in enumerate(group)}
        for p, _, lesion in _lesions(group):
            start = places[p.image_id] + 1
            others = [q for q in (*group[start:], *group[:start]) if q.patient_id != p.patient_id][:PARTNERS] if lesion.shown else []
            if others:
                shares.append(float(np.mean([_would_hit(q, p, lesion, cuts[q.fold].region) for q in others])))
                patients.append(p.patient_id)
    method = "the same with the regions of other patients' images of the same side and view laid over the lesion"
    return _share(shares, patients, method, "no other patient's image of the same side and view", is_count=False)


def _would_hit(lender: Prediction, p: Prediction, lesion: LesionTruth, cut: float) -> bool:
    across = p.width / lender.width if p.width and lender.width else 1.0
    down = p.height / lender.height if p.height and lender.height else 1.0
    moved = [
        replace(
            r, hit=-1, centre_x=r.centre_x * across, centre_y=r.centre_y * down,
            box=(r.box[0] * across, r.box[1] * down, r.box[2] * across, r.box[3] * down),
        )
        for r in lender.regions if r.probability > cut
    ]  # fmt: skip
    return any(r.hit == 0 for r in match_regions(moved, (lesion,), p.spacing_mm, height=p.height))


def _grading_auc(rows: Sequence[Prediction]) -> Statistic:
    """Patches round lesions that were shown, and round regions."""
    judged = [
        (q.score, q.label, p.patient_id)
        for p in rows for q in p.patches if q.label >= 0 and not (0 <= q.lesion < len(p.lesions) and not p.lesions[q.lesion].shown)
    ]  # fmt: skip
    scores, labels, patients = zip(*judged, strict=True) if judged else ((), (), ())
    method = "patch AUC, malignant against the rest, lesions that were cropped away left out"
    return auc_statistic(np.asarray(scores, float), np.asarray(labels, int), np.asarray(patients, str), "patch", method=method)


def _image_auc(rows: Sequence[Prediction], name: str) -> Statistic:
    folds = sorted({p.fold for p in rows if p.label >= 0})
    parts = []
    for fold in folds or [-1]:
        own = [p for p in rows if p.fold == fold and p.label >= 0]
        scores, labels = np.array([getattr(p, name) for p in own], float), np.array([p.label for p in own], int)
        statistic = auc_statistic(
            scores, labels, np.array([p.patient_id for p in own], str), "image", method=f"AUC of the {name.replace('_', ' ')}"
        )
        # Equal scores for all are what is looked for here: they rank as well as chance, 0.5.
        parts.append(replace(statistic, problem="") if statistic.problem == ALL_EQUAL else statistic)
    return parts[0] if len(parts) == 1 else mean_over_folds(parts)
