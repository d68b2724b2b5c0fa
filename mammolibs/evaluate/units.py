"""From images to breasts and patients: the highest image score speaks for the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.ranked import Ranked
from mammolibs.records import UNKNOWN

LEVELS = ("image", "breast", "exam", "patient")


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


def scores_at(level: str, predictions: Sequence[Prediction]) -> Scores:
    """Scores per image, breast (of one exam), exam or patient: the maximum over images, then over breasts.

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
            kept.append((name, max(p.image_score for p in members), int(1 in labels), members[0].patient_id))
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


def _name(level: str, p: Prediction) -> str:
    if level == "image":
        return p.image_id
    return {"breast": f"{p.patient_id} {p.exam_id} {p.laterality}", "exam": f"{p.patient_id} {p.exam_id}", "patient": p.patient_id}[level]
