"""Figures that are a function of sums over patients: shares, means, rates at a cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mammolibs.evaluate.bootstrap import Statistic


def sums_statistic(
    columns: Sequence[np.ndarray],
    combine: Callable[..., np.ndarray],
    patients: np.ndarray,
    unit: str,
    *,
    method: str,
    events: int,
    independent: int | None = None,
    is_count: bool = False,
    scale: str = "share",
) -> Statistic:
    """combine(sum of the first column, of the second, ...) over units, clustered by patient.

    columns: float (n,) each, a value per unit. patients: str (n,). independent: patients that
    a perfect figure rests on, all by default.
    """
    patients = np.asarray(patients, str)
    ids = np.unique(patients)
    codes = np.searchsorted(ids, patients)
    table = np.stack([np.bincount(codes, weights=np.asarray(column, float), minlength=len(ids)) for column in columns])
    count = len(ids) if independent is None else independent
    return Statistic(
        unit=unit,
        n=len(patients),
        events=events,
        patients=ids,
        independent=count,
        steps=count,
        method=method,
        evaluate=lambda weights: combine(*(table @ weights.T.astype(np.float64))),
        is_count=is_count,
        scale=scale,
        problem="" if len(patients) else f"no {unit} to count",
    )


def mean_statistic(values: np.ndarray, patients: np.ndarray, unit: str, *, method: str, events: int | None = None) -> Statistic:
    """Mean of values in [0, 1] over units, clustered by patient. values: float (n,); patients: str (n,)."""
    values = np.asarray(values, float)
    count = len(values) if events is None else events
    return sums_statistic([values, np.ones(len(values))], np.divide, patients, unit, method=method, events=count)
