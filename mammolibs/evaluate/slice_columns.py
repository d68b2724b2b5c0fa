"""The held-out rows as columns, made once, so that the figures of any part of them cost no look at each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mammolibs.evaluate.bootstrap import Statistic
from mammolibs.evaluate.chosen import Chosen, cut_of, share_of
from mammolibs.evaluate.detection import Detections, collect, is_located, lesion_sensitivity_statistic
from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.ranked import Ranked
from mammolibs.evaluate.ranking import auc


class Columns:
    """labels: int (n,), 1, 0 or -1. scores: float (n,). patients: str (n,). lesions: (row, lesion) of the images whose lesions are all known by place."""

    def __init__(self, rows: Sequence[Prediction], chosen: Mapping[int, Chosen]):
        self.rows = rows
        self.labels = np.array([p.label for p in rows], int)
        self.scores = np.array([p.image_score for p in rows], float)
        self.patients = np.array([p.patient_id for p in rows], str)
        cuts = [cut_of(p, chosen, "image_score") for p in rows]
        self._cuts = np.array([np.nan if cut is None else cut for cut in cuts], float) if chosen else None
        self.lesions = [(p, one) for p in rows if is_located(p) for one in p.lesions]
        self._located = np.array([is_located(p) for p in rows], bool)
        found = [collect([p]) for p in rows]
        self._lesion_scores, self._lesion_rows = _flat([one.lesion_scores for one in found])
        self._false_scores, self._false_rows = _flat([one.false_scores for one in found])

    def figures(
        self, held: np.ndarray, *, lesions: np.ndarray | None = None, lesion_images: np.ndarray | None = None
    ) -> dict[str, Statistic]:
        """Image AUC, sensitivity and specificity (where a cut was chosen), lesion sensitivity of the held images.

        held: bool (n,). lesions: bool, those of `self.lesions` that count, all by default. lesion_images: bool (n,), on which they
        and false positives are looked for, by default the held ones.
        """
        known = held & (self.labels >= 0)
        ranked = Ranked(self.scores[known], self.labels[known], self.patients[known], "image")
        figures = {"auc": auc(ranked, method="image AUC, malignant against the rest")}
        if self._cuts is not None:
            figures |= {"sensitivity": self._called(held, 1), "specificity": self._called(held, 0)}
        found = self._detections(held if lesion_images is None else lesion_images, lesions)
        return figures | {"lesion_sensitivity_at_1_fp": lesion_sensitivity_statistic(found, false_per_image=1.0)}

    def _called(self, held: np.ndarray, label: int) -> Statistic:
        rows = held & (self.labels == label) & np.isfinite(self._cuts)
        right = (self.scores[rows] > self._cuts[rows]) == bool(label)
        kind = "malignant images above" if label else "images that are not malignant at or below"
        return share_of(right, self.patients[rows], "image", f"{kind} the image-score cut chosen on validation patients")

    def _detections(self, images: np.ndarray, lesions: np.ndarray | None) -> Detections:
        counted = images[self._lesion_rows] if lesions is None else images[self._lesion_rows] & lesions
        false = images[self._false_rows]
        return Detections(
            lesion_scores=self._lesion_scores[counted],
            lesion_patients=self.patients[self._lesion_rows[counted]],
            false_scores=self._false_scores[false],
            false_patients=self.patients[self._false_rows[false]],
            image_patients=self.patients[images & self._located],
        )


def _flat(parts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """All values in one array, and the number of the part that each is from."""
    rows = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return np.concatenate([np.zeros(0), *parts]), rows.astype(int)
