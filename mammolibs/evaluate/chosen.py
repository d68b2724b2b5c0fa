"""What was chosen on validation patients, and what it does on held-out ones, where nothing may be chosen again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mammolibs.evaluate.bootstrap import Draws, Statistic, estimate
from mammolibs.evaluate.calibration import Calibration
from mammolibs.evaluate.combiner import ViewRule
from mammolibs.evaluate.detection import is_located
from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.sums import mean_statistic
from mammolibs.evaluate.thresholds import Threshold
from mammolibs.records import Estimate


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The cuts, the calibrations (regions, images, and the combiner of breasts) and the rule over views, of one run or of one fold."""

    thresholds: tuple[Threshold, ...] = ()
    calibrations: tuple[Calibration, ...] = ()
    view_rule: ViewRule = ViewRule()

    def cut(self, name: str) -> float | None:
        """The threshold of that name; None where none could be chosen."""
        return next((t.value for t in self.thresholds if t.name == name), None)

    def calibration(self, name: str) -> Calibration | None:
        """The calibration of that name; None where there is none."""
        return next((c for c in self.calibrations if c.name == name), None)


def at_thresholds(held_out: Sequence[Prediction], chosen: Mapping[int, Chosen], draws: Draws) -> dict[str, Estimate]:
    """What a user of `predict` meets: the figures at the cuts that were chosen beforehand, each fold at its own.

    chosen: fold (-1 where there are none) -> what was chosen on its validation patients.
    """
    return {name: estimate(statistic, draws) for name, statistic in statistics_at(held_out, chosen).items()}


def statistics_at(held_out: Sequence[Prediction], chosen: Mapping[int, Chosen]) -> dict[str, Statistic]:
    """The figures of `at_thresholds`, for any weighting of the patients."""
    return {
        "sensitivity": _called(held_out, chosen, label=1),
        "specificity": _called(held_out, chosen, label=0),
        "lesion_sensitivity": _lesions_found(held_out, chosen),
        "false_positives_per_image": _false_positives(held_out, chosen),
    }


def cut_of(p: Prediction, chosen: Mapping[int, Chosen], name: str) -> float | None:
    """The threshold of that name in the image's fold; None where none was chosen."""
    return chosen[p.fold].cut(name) if p.fold in chosen else None


def _called(held_out: Sequence[Prediction], chosen: Mapping[int, Chosen], *, label: int) -> Statistic:
    """Share of malignant images above the cut, or of the others at or below it."""
    rows = [(p, cut) for p in held_out if p.label == label and (cut := cut_of(p, chosen, "image_score")) is not None]
    right = [(p.image_score > cut) == bool(label) for p, cut in rows]
    kind = "malignant images above" if label else "images that are not malignant at or below"
    return share_of(right, [p.patient_id for p, _ in rows], "image", f"{kind} the image-score cut chosen on validation patients")


def _lesions_found(held_out: Sequence[Prediction], chosen: Mapping[int, Chosen]) -> Statistic:
    found, patients = [], []
    for p in held_out:
        cut = cut_of(p, chosen, "region_probability")
        if cut is None or not is_located(p):
            continue
        hit = {region.hit for region in p.regions if region.probability > cut}
        found += [index in hit for index in range(len(p.lesions))]
        patients += [p.patient_id] * len(p.lesions)
    return share_of(found, patients, "lesion", "lesions hit by a region above the cut chosen on validation patients")


def _false_positives(held_out: Sequence[Prediction], chosen: Mapping[int, Chosen]) -> Statistic:
    rows = [(p, cut) for p in held_out if is_located(p) and (cut := cut_of(p, chosen, "region_probability")) is not None]
    counts = [sum(r.hit < 0 and r.probability > cut for r in p.regions) for p, cut in rows]
    statistic = mean_statistic(
        np.array(counts, float),
        np.array([p.patient_id for p, _ in rows], str),
        "image",
        events=int(sum(counts)),
        method="regions above the cut chosen on validation patients that hit no lesion, per image",
    )
    statistic = replace(statistic, scale="positive")
    return statistic if rows else replace(statistic, problem="no such cut was chosen, or no image has lesions known by place")


def share_of(values: Sequence[bool], patients: Sequence[str], unit: str, method: str) -> Statistic:
    """The share of true values over patients; with a problem where there are none."""
    statistic = mean_statistic(np.array(values, float), np.array(patients, str), unit, events=int(sum(values)), method=method)
    return (
        replace(statistic, is_count=True) if len(values) else replace(statistic, problem=f"no {unit} to count, or no such cut was chosen")
    )
