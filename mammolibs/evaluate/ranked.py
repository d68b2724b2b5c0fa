"""Scores in order, sorted once: what every figure that depends on their order alone is counted along."""

from __future__ import annotations

from functools import cached_property

import numpy as np


class Ranked:
    """Scores of labelled units, the most suspicious first; higher means more suspicious.

    scores: float (n,). labels: int (n,), 1 or 0. patients: str (n,), the cluster of each.
    Units of one score form one group: no cut goes through them.
    """

    def __init__(self, scores: np.ndarray, labels: np.ndarray, patients: np.ndarray, unit: str):
        self.scores, self.labels = np.asarray(scores, float), np.asarray(labels, int)
        self.patient_of = np.asarray(patients, str)
        self.unit = unit
        self.patients = np.unique(self.patient_of)
        order = np.argsort(-self.scores, kind="stable")
        ordered, ill = self.scores[order], self.labels[order] == 1
        codes = np.searchsorted(self.patients, self.patient_of[order])
        last_of_group = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) if len(ordered) else np.zeros(0, int)
        self.cuts = ordered[last_of_group]
        self._positive_codes, self._negative_codes = codes[ill], codes[~ill]
        self._positives_through = np.concatenate([[0], np.cumsum(ill)[last_of_group]]).astype(int)
        self._negatives_through = np.concatenate([[0], np.cumsum(~ill)[last_of_group]]).astype(int)
        self._counted: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    @property
    def n(self) -> int:
        return len(self.labels)

    @cached_property
    def events(self) -> int:
        return int(np.sum(self.labels == 1))

    @cached_property
    def patients_of_each_class(self) -> tuple[int, int]:
        """Patients with a positive unit, patients with a negative one."""
        return tuple(len(np.unique(self.patient_of[self.labels == kind])) for kind in (1, 0))

    @cached_property
    def problem(self) -> str:
        """Why nothing can be ranked, in words for a report; empty where it can."""
        if not self.n:
            return f"no {self.unit} with a known label"
        for kind, name in ((1, "positive"), (0, "negative")):
            if not np.any(self.labels == kind):
                return f"no {name} {self.unit} among {self.n}, one class only"
        return "all scores are equal" if np.ptp(self.scores) == 0 else ""

    def counts(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weight of the positives, and of the negatives, at or above each cut, from none to all.

        weights: float32 (rounds, P), whole numbers. Two float32 arrays (rounds, cuts + 1), exact up to 2^24. The
        last answer is kept: figures that are asked with the same array share one pass.
        """
        if self._counted is None or self._counted[0] is not weights:
            true = np.take(running_weights(np.take(weights, self._positive_codes, axis=1)), self._positives_through, axis=1)
            false = np.take(running_weights(np.take(weights, self._negative_codes, axis=1)), self._negatives_through, axis=1)
            self._counted = weights, true, false
        return self._counted[1:]


def running_weights(weights: np.ndarray) -> np.ndarray:
    """Running sums with a leading 0, float32 (rounds, n + 1), of whole numbers; exact up to 2^24."""
    total = np.zeros((weights.shape[0], weights.shape[1] + 1), np.int32)
    # A float has to wait four times as long for the sum before it as a whole number has.
    np.cumsum(weights.astype(np.int32), axis=1, out=total[:, 1:])
    return total.astype(np.float32)
