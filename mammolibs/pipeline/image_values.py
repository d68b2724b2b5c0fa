"""Figures of the self-supervised stages before they are figures: a value per held-out image, kept so that folds can be joined."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from mammolibs.errors import BadFile
from mammolibs.evaluate import Statistic, auc_statistic, estimate, mean_over_folds, mean_statistic
from mammolibs.records import Estimate
from mammolibs.storage import write_json

VALUES_NAME = "pretraining.json"


@dataclass(frozen=True, kw_only=True)
class ImageValues:
    """kind: "mean" of the values, or "auc" of them against `labels` (1 malignant, 0 not). patients: of each value.

    reason: why there are no values, where there are none.
    """

    kind: str
    method: str
    values: tuple[float, ...] = ()
    patients: tuple[str, ...] = ()
    labels: tuple[int, ...] = ()
    reason: str = ""

    def statistic(self) -> Statistic:
        """The figure over patients as clusters."""
        values, patients = np.array(self.values), np.array(self.patients, str)
        if self.kind == "auc":
            found = auc_statistic(values, np.array(self.labels, int), patients, "image", method=self.method)
        else:
            found = mean_statistic(values, patients, "image", method=self.method)
        return replace(found, problem=self.reason or found.problem)


# stage -> figure -> values
Values = dict[str, dict[str, ImageValues]]


def single_figures(values: Values) -> dict[str, dict[str, Estimate]]:
    """stage -> figure -> estimate, of one run."""
    return {stage: {name: estimate(v.statistic()) for name, v in found.items()} for stage, found in values.items()}


def fold_figures(folds: Sequence[Values]) -> dict[str, dict[str, Estimate]]:
    """stage -> figure -> mean over the folds, each computed inside its own: their networks' scores share no scale."""
    figures: dict[str, dict[str, Estimate]] = {}
    for stage, name in dict.fromkeys((stage, name) for values in folds for stage, found in values.items() for name in found):
        parts = [values[stage][name].statistic() for values in folds if name in values.get(stage, {})]
        figures.setdefault(stage, {})[name] = estimate(mean_over_folds(parts))
    return figures


def save_values(path: Path, values: Values) -> None:
    """Keep the values beside the report that stands on them."""
    write_json(path, {stage: {name: asdict(v) for name, v in found.items()} for stage, found in values.items()})


def read_values(path: Path) -> Values:
    """Raises BadFile where they are not there or damaged."""
    try:
        found = json.loads(path.read_text())
        return {
            stage: {
                name: ImageValues(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})
                for name, fields in figures.items()
            }
            for stage, figures in found.items()
        }
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BadFile(
            path, f"cannot be read ({error})", f"make it again: python eval/pipeline_eval.py --run {path.parent.parent}"
        ) from error
