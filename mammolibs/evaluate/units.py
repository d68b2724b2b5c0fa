"""From images to breasts by a named rule over a breast's views; the highest breast speaks for its exam and its patient."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.ranked import Ranked
from mammolibs.records import UNKNOWN

LEVELS = ("image", "breast", "exam", "patient")
HIGHEST = "highest"


def _noisy_or(scores: Sequence[float]) -> float:
    """1 - the product of (1 - score): any view may show it, each by itself (Pearl 1988)."""
    return 1 - math.prod(sorted(1 - min(max(score, 0.0), 1.0) for score in scores))


# Rule -> the image scores of one breast, one or more in any order -> its score; the same to the bit in every order.
RULES: dict[str, Callable[[Sequence[float]], float]] = {
    HIGHEST: max,
    "mean": lambda scores: math.fsum(scores) / len(scores),
    "noisy-or": _noisy_or,
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """One entry per unit: scores float, labels int (1 or 0), patients str, names str. unknown: units
    left out because their label (or, for a breast, its side) is unknown."""

    unit: str
    scores: np.ndarray
    labels: np.ndarray
    patients: np.ndarray
    names: tuple[str, ...]
    unknown: int

    @property
    def ranked(self) -> Ranked:
        """The same, in order."""
        return Ranked(self.scores, self.labels, self.patients, self.unit)


def scores_at(level: str, predictions: Sequence[Prediction], rule: str = HIGHEST, breasts: Mapping[str, float] | None = None) -> Scores:
    """Scores per image, breast (of one exam), exam or patient: the rule over the views of a breast, then the highest breast.

    rule: one of RULES. breasts: `breast_name` -> score, in place of a rule. An image of unknown side stands for a breast of its own.
    A unit is positive where any of its images is malignant, negative where all are known
    not to be, and else left out: a benign view does not clear a patient with an unread one.
    """
    groups: dict[str, list[Prediction]] = {}
    unknown = 0
    for p in predictions:
        if level == "breast" and p.laterality == UNKNOWN:
            unknown += 1
            continue
        groups.setdefault(_name(level, p), []).append(p)
    kept = []
    for name, members in groups.items():
        labels = {p.label for p in members}
        if 1 in labels or labels == {0}:
            score = members[0].image_score if level == "image" else _highest_breast(members, rule, breasts)
            kept.append((name, score, int(1 in labels), members[0].patient_id))
        else:
            unknown += 1
    names, scores, labels, patients = zip(*kept, strict=True) if kept else ((), (), (), ())
    return Scores(
        unit=level,
        scores=np.asarray(scores, float),
        labels=np.asarray(labels, int),
        patients=np.asarray(patients, str),
        names=tuple(names),
        unknown=unknown,
    )


def by_breast(predictions: Sequence[Prediction]) -> dict[str, list[Prediction]]:
    """The images of each breast, by `breast_name`."""
    breasts: dict[str, list[Prediction]] = {}
    for p in predictions:
        breasts.setdefault(breast_name(p), []).append(p)
    return breasts


def breast_name(p: Prediction) -> str:
    """Patient, exam and side of an image; its own id in place of an unknown side."""
    return f"{exam_name(p)} {p.image_id if p.laterality == UNKNOWN else p.laterality}"


def exam_name(p: Prediction) -> str:
    """Patient and exam of an image."""
    return f"{p.patient_id} {p.exam_id}"


def _highest_breast(members: Sequence[Prediction], rule: str, breasts: Mapping[str, float] | None) -> float:
    if breasts is None:
        return max(RULES[rule]([p.image_score for p in views]) for views in by_breast(members).values())
    return max(breasts[breast_name(p)] for p in members)


def _name(level: str, p: Prediction) -> str:
    names = {"image": lambda p: p.image_id, "breast": breast_name, "exam": exam_name, "patient": lambda p: p.patient_id}
    return names[level](p)
