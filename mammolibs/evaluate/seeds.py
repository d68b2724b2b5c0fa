"""The same training with several seeds: how far each figure moves without any cause, and how much of a difference that explains."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mammolibs.errors import BadData
from mammolibs.evaluate.bootstrap import ROUNDS, Draws, Statistic, estimate_all, mean_over_folds
from mammolibs.evaluate.metrics import METRICS, statistics_of
from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.result import block, is_figure
from mammolibs.records import Estimate

RUN = "training run"
STAGES = ("pipeline", "unet", "resnet", "encoder", "autoencoder")


def spread_over_seeds(
    reports: Sequence[Mapping[str, Any]], rows: Sequence[Sequence[Prediction]], split_hash: str | None, *, rounds: int = ROUNDS
) -> dict[str, Any]:
    """Blocks "mean", "training_noise" and "two_runs", each by stage, and "values", of the figures of all seeds.

    reports: report.json of each seed; rows: its held-out predictions. Figures of `METRICS` have a mean with an interval over
    patients; training_noise: the standard deviation over seeds with its interval (normal theory); two_runs: what the difference of two
    single runs stays below in 95 of 100 cases where the seed alone differs.

    Raises BadData where the seeds do not hold the same images.
    """
    check_same_images(rows)
    stages = [name for name, values in reports[0].items() if name in STAGES and isinstance(values, Mapping)]
    values = {stage: _values([report.get(stage, {}) for report in reports]) for stage in stages}
    statistics = means(rows)
    limits = {name: 1.0 for name, statistic in statistics.items() if statistic.scale == "share"}
    found = estimate_all(statistics, Draws([p.patient_id for p in rows[0]], rounds=rounds))

    def blocks(figure: Callable[[Sequence[float | None], float], Estimate]) -> dict[str, Any]:
        return {
            stage: block({name: figure(of_seeds, limits.get(name, math.inf)) for name, of_seeds in of_stage.items()}, split_hash)
            for stage, of_stage in values.items()
        }

    return {
        "values": values,
        "mean": {stage: block({name: found[name] for name in builders}, split_hash) for stage, builders in METRICS.items()},
        "training_noise": blocks(noise),
        "two_runs": blocks(difference_of_two),
    }


def check_same_images(rows: Sequence[Sequence[Prediction]]) -> None:
    """Raises BadData where two seeds were judged on different images."""
    images = [{p.image_id for p in of_seed} for of_seed in rows]
    for number, others in enumerate(images):
        if odd := sorted(others ^ images[0]):
            raise BadData(
                f"seeds 0 and {number} were judged on different images, {odd[0]} first; judge both again: python eval/pipeline_eval.py"
            )


def _values(blocks: Sequence[Mapping[str, Any]]) -> dict[str, list[float | None]]:
    names = dict.fromkeys(name for of_seed in blocks for name, fields in of_seed.items() if is_figure(fields))
    return {name: [of_seed[name]["value"] if name in of_seed else None for of_seed in blocks] for name in names}


def means(rows: Sequence[Sequence[Prediction]]) -> dict[str, Statistic]:
    """Name of a figure -> its mean over seeds."""
    names = [name for builders in METRICS.values() for name in builders]
    of_seeds = [statistics_of(of_seed, names) for of_seed in rows]
    return {name: mean_of([of_seed[name] for of_seed in of_seeds]) for name in names}


def mean_of(parts: Sequence[Statistic]) -> Statistic:
    """The mean over networks that judged the same patients: their number does not make these more."""
    mean, used = mean_over_folds(parts, "seeds"), [part for part in parts if not part.problem] or parts
    least = {name: min(getattr(part, name) for part in used) for name in ("n", "events", "independent", "steps")}
    return replace(mean, **least)


def noise(values: Sequence[float | None], most: float = math.inf) -> Estimate:
    """Standard deviation over training runs, with its interval where the figure is normally distributed over seeds.

    most: what two values of the figure differ by at most, so that no deviation is above half of it.
    """
    from scipy.stats import chi2

    known, facts = _known(values, "standard deviation of the figure over seeds, chi-square interval")
    if len(known) < 2:
        return Estimate(value=None, **facts)
    deviation, free = float(np.std(known, ddof=1)), len(known) - 1
    low, high = (deviation * math.sqrt(free / chi2.ppf(share, free)) for share in (0.975, 0.025))
    return Estimate(value=deviation, low=low, high=max(deviation, min(high, most / 2)), **facts)


def difference_of_two(values: Sequence[float | None], most: float = math.inf) -> Estimate:
    """How far two further runs differ at most in 95 of 100 cases (t distribution: the deviation itself is known from few runs), never above `most`."""
    from scipy.stats import t

    known, facts = _known(values, "t quantile x square root of 2 x the standard deviation over seeds")
    if len(known) < 2:
        return Estimate(value=None, **facts)
    return Estimate(value=min(most, float(t.ppf(0.975, len(known) - 1) * math.sqrt(2) * np.std(known, ddof=1))), **facts)


def _known(values: Sequence[float | None], method: str) -> tuple[np.ndarray, dict[str, Any]]:
    known = np.array([value for value in values if value is not None], float)
    reason = (
        "over training runs, which have no events" if len(known) > 1 else f"{len(known)} of {len(values)} runs with this figure, 2 needed"
    )
    return known, {"n": len(known), "unit": RUN, "method": method, "reason": reason}
