"""From raw scores to a probability, fitted on validation patients; stored and applied as plain numbers."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from mammolibs.evaluate.detection import is_located
from mammolibs.evaluate.predictions import Prediction, Region

FLOOR = 1e-4
# Raw values near certainty keep their order: float32 knows no probability nearer to 1 than this.
RAW_FLOOR = 1e-7
MINIMUM_EVENTS = 3
RAW = ("logit_raw",)
# Where nothing tells events from the rest: enough to keep the order, too little to say anything by it.
FLAT_SLOPE = 0.01


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """probability = sigmoid(intercept + sum of slopes x features); with knots the straight lines between them over the raw
    value; with neither the raw value passes unchanged.

    Slopes of scores are never negative and knots never fall, so that calibration cannot turn a score upside down.
    Where features is RAW, the one feature is the log odds of the raw value. knots: (raw value, probability), rising.
    name: what is calibrated. n, events: what it was fitted on. reason: why it is less than a full fit. choice: why this
    kind and no other was taken, where there was a choice.
    """

    name: str = ""
    features: tuple[str, ...] = ()
    slopes: tuple[float, ...] = ()
    intercept: float = 0.0
    n: int = 0
    events: int = 0
    reason: str = ""
    knots: tuple[tuple[float, float], ...] = ()
    choice: str = ""

    @property
    def is_identity(self) -> bool:
        return not self.slopes and not self.knots

    def apply(self, features: np.ndarray, raw: np.ndarray) -> np.ndarray:
        """Probabilities float (n,) of what has these features, float (n, f), and raw values in [0, 1], float (n,)."""
        if self.is_identity:
            return np.clip(np.asarray(raw, float), 0.0, 1.0)
        if self.knots:
            return np.interp(np.asarray(raw, float), *zip(*self.knots, strict=True))
        columns = raw_log_odds(raw)[:, None] if self.features == RAW else np.asarray(features, float)
        # Row by row, not a matrix product: that rounds by how many rows there are.
        return 1 / (1 + np.exp(-self.intercept - (columns * np.asarray(self.slopes)).sum(axis=1)))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"features": list(self.features), "slopes": list(self.slopes), "knots": [list(knot) for knot in self.knots]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Calibration:
        knots = tuple((float(x), float(y)) for x, y in values.get("knots", ()))
        return cls(**{**values, "features": tuple(values["features"]), "slopes": tuple(values["slopes"]), "knots": knots})


def logit(share: float, floor: float = FLOOR) -> float:
    """Log odds, with the share kept within `floor` of 0 and 1."""
    share = min(max(share, floor), 1 - floor)
    return math.log(share / (1 - share))


REGION_FEATURES = ("logit_probability", "logit_malignancy")


def region_features(regions: Sequence[Region]) -> tuple[float, float]:
    """Log odds of the most suspicious region's probability and of its malignancy (0 where no second stage ran).

    Most suspicious: highest `score`. Nothing found is the lowest of both, an outcome of its own.
    """
    if not regions:
        return logit(0.0), logit(0.0)
    top = max(regions, key=lambda r: r.score)
    return logit(top.probability), 0.0 if top.malignancy is None else logit(top.malignancy)


def fit_calibration(
    features: np.ndarray,
    raw: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str] = REGION_FEATURES,
    *,
    strength: float = 1.0,
    name: str = "image score",
    counted: str = "malignant validation images",
    free: Collection[str] = (),
) -> Calibration:
    """Logistic regression with slopes >= 0 and a ridge of `strength` on standardised features.

    features: float (n, f) of validation images or regions; raw: their raw values, float (n,)
    in [0, 1]; labels: int (n,), 1 an event, 0 none, -1 passed over. counted: what an event
    is, in words. free: features that are no scores, whose slopes may be negative. Where either class has fewer than MINIMUM_EVENTS, or no feature ranks the
    events higher, all values lie round the share of events, in the order of the raw ones:
    what has no evidence must not spread wider than what has, when folds are pooled. Where
    nothing is labelled raw values pass. The reason says so.
    """
    known = np.asarray(labels) >= 0
    features, raw, labels = np.asarray(features, float)[known], np.asarray(raw, float)[known], np.asarray(labels)[known]
    events = int(labels.sum())
    facts = {"name": name, "n": len(labels), "events": events}
    if min(events, len(labels) - events) < MINIMUM_EVENTS:
        return _flat(raw, f"{events} {counted} and {len(labels) - events} others, {MINIMUM_EVENTS} of each needed", facts)
    mean, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where(spread > 1e-9, spread, 1.0)
    rising = np.array([feature not in free for feature in names])
    weights = _minimise((features - mean) / spread, labels, strength, rising)
    slopes = weights[1:] / spread
    if not np.any(slopes[rising] > 1e-9):
        return _flat(raw, f"no feature ranks {counted} higher", facts)
    return Calibration(
        features=tuple(names),
        slopes=tuple(float(s) for s in slopes),
        intercept=float(weights[0] - slopes @ mean),
        **facts,
    )


def _flat(raw: np.ndarray, reason: str, facts: dict[str, Any]) -> Calibration:
    """The share of events for all, with half an event and half a non-event added, in the order of the raw values."""
    from scipy.optimize import brentq

    if not len(raw):
        return Calibration(reason=f"{reason}; raw scores kept", **facts)
    odds = FLAT_SLOPE * raw_log_odds(raw)
    share = (facts["events"] + 0.5) / (len(raw) + 1)
    step = brentq(lambda b: float(np.mean(1 / (1 + np.exp(-b - odds)))) - share, -40, 40)
    return Calibration(features=RAW, slopes=(FLAT_SLOPE,), intercept=float(step), reason=f"{reason}; all near the share of events", **facts)


def fit_region_calibration(validation: Sequence[Prediction]) -> Calibration:
    """From a region's probability to the share of such regions that hit a lesion (Platt 1999).

    Fitted on the regions of validation images whose lesions are all known by place. Rising,
    so that it leaves the order within a run as it is; runs and folds come onto one scale.
    """
    regions = [r for p in validation if is_located(p) for r in p.regions]
    raw, labels = np.array([r.probability for r in regions]), np.array([int(r.hit >= 0) for r in regions])
    return fit_calibration(
        raw_log_odds(raw)[:, None], raw, labels, RAW, name="region probability", counted="validation regions on a lesion"
    )


def calibrate_regions(regions: Sequence[Region], calibration: Calibration) -> tuple[Region, ...]:
    """The regions with calibrated `probability`, and `score` with it."""
    if not regions:
        return ()
    raw = np.array([r.probability for r in regions])
    values = calibration.apply(raw_log_odds(raw)[:, None], raw)
    return tuple(
        replace(r, probability=float(p), score=float(p) * (1.0 if r.malignancy is None else r.malignancy))
        for r, p in zip(regions, values, strict=True)
    )


def raw_log_odds(raw: np.ndarray) -> np.ndarray:
    """Log odds float (n,) of raw values, float (n,) in [0, 1]."""
    return np.array([logit(float(value), RAW_FLOOR) for value in raw], float)


def _minimise(x: np.ndarray, labels: np.ndarray, strength: float, rising: np.ndarray) -> np.ndarray:
    from scipy.optimize import minimize

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        z = weights[0] + x @ weights[1:]
        value = float(np.sum(np.logaddexp(0, z) - labels * z) + 0.5 * strength * weights[1:] @ weights[1:])
        error = 1 / (1 + np.exp(-z)) - labels
        return value, np.concatenate([[error.sum()], x.T @ error + strength * weights[1:]])

    share = labels.mean()
    start = np.zeros(x.shape[1] + 1)
    start[0] = math.log(share / (1 - share))
    bounds = [(None, None), *((0.0 if up else None, None) for up in rising)]
    return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
