"""Operating points: chosen on validation patients, stored, applied unchanged to held-out ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mammolibs.errors import BadData
from mammolibs.evaluate.detection import collect, cut_at
from mammolibs.evaluate.overlap import DiceSweep
from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.units import scores_at


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """A cut (score > value counts as called), how it was chosen, and on how much.

    value None: it could not be chosen, `reason` says why. achieved: what the rule reached
    on the patients it was chosen on, which flatters it.
    """

    name: str
    value: float | None
    rule: str
    achieved: float | None = None
    n: int = 0
    events: int = 0
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def choose_score_threshold(validation: Sequence[Prediction], unit: str = "image", *, specificity: float = 0.90) -> Threshold:
    """The lowest cut of the image score, or of the highest of an exam, that keeps at least this specificity on validation data.

    unit: "image" or "exam"; the cut is called `<unit>_score`. One image of four is called by chance more often than one of
    one, so that an exam at the images' cut is called too often. achieved: the cut's sensitivity.
    """
    _refuse_test(validation)
    s = scores_at(unit, validation)
    facts = {"name": f"{unit}_score", "rule": f"{specificity * 100:g} % specificity on validation {unit}s"}
    facts |= {"n": len(s.labels), "events": int(s.labels.sum())}
    negatives = s.scores[s.labels == 0]
    if len(negatives) == 0:
        return Threshold(value=None, reason=f"no validation {unit} that is known not to be malignant", **facts)
    cut = specificity_cut(negatives, specificity)
    positives = s.scores[s.labels == 1]
    achieved = float(np.mean(positives > cut)) if len(positives) else None
    return Threshold(value=cut, achieved=achieved, **facts)


def specificity_cut(negatives: np.ndarray, specificity: float) -> float:
    """The lowest cut that at least this share of the negatives' scores, float (n,), n > 0, does not exceed."""
    return float(np.sort(negatives)[int(np.ceil(specificity * len(negatives) - 1e-9)) - 1])


def choose_region_threshold(validation: Sequence[Prediction], *, false_per_image: float = 1.0) -> Threshold:
    """The lowest region-probability cut with at most this many false positives per validation image; achieved: lesions found."""
    _refuse_test(validation)
    found = collect(validation)
    facts = {"name": "region_probability", "rule": f"{false_per_image:g} false positives per validation image"}
    facts |= {"n": len(found.image_patients), "events": len(found.lesion_scores)}
    if not len(found.image_patients):
        return Threshold(value=None, reason="no validation image whose lesions are known by place", **facts)
    cut = max(cut_at(found, false_per_image), 0.0)
    achieved = float(np.mean(found.lesion_scores > cut)) if len(found.lesion_scores) else None
    return Threshold(value=cut, achieved=achieved, **facts)


def choose_mask_threshold(sweep: DiceSweep) -> Threshold:
    """The probability cut with the best mean Dice on validation lesion images; 0.5 with a reason where there was none."""
    cut, best = sweep.best()
    reason = "" if sweep.images else "no validation image with a lesion mask; 0.5 taken unchosen"
    rule = "best mean Dice on validation lesion images"
    return Threshold(name="mask_probability", value=cut, rule=rule, achieved=best, n=sweep.images, events=sweep.images, reason=reason)


def _refuse_test(predictions: Sequence[Prediction]) -> None:
    held_out = [p.image_id for p in predictions if p.split == "test"]
    if held_out:
        raise BadData(
            f"{len(held_out)} held-out images among those a threshold is chosen on, {held_out[0]} first; give validation rows only"
        )
