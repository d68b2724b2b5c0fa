"""How well predicted masks cover the drawn ones, averaged over images: overlap, and distance of the borders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mammolibs.evaluate.bootstrap import Statistic
from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.sums import mean_statistic

# Field of the predictions -> its name for a reader.
FIGURES = {"dice": "Dice", "iou": "IoU", "surface_mm": "surface distance, mm", "hausdorff95_mm": "95 % Hausdorff distance, mm"}
DISTANCES = ("surface_mm", "hausdorff95_mm")


def overlap(name: str, rows: Sequence[Prediction]) -> Statistic:
    """Mean of one of FIGURES over the images that have it; the method says how many have not, and why."""
    drawn = [p for p in rows if p.dice is not None]
    scored = [p for p in drawn if getattr(p, name) is not None]
    told = f"mean {FIGURES[name]} over images with a lesion mask, on the canvas, cut chosen on validation patients"
    left = _left_out([p for p in drawn if getattr(p, name) is None])
    statistic = mean_statistic(
        np.asarray([getattr(p, name) for p in scored], float), np.asarray([p.patient_id for p in scored], str), "image",
        method=f"{told} ({left} left out)" if left else told,
    )  # fmt: skip
    if name in DISTANCES:
        statistic = replace(statistic, scale="positive")
    if scored:
        return statistic
    return replace(statistic, problem=f"no image to measure it on: {left}" if left else "no image with a lesion mask")


def _left_out(rows: Sequence[Prediction]) -> str:
    unknown = sum(p.spacing_mm is None for p in rows)
    counts = {"of unknown spacing": unknown, "with nothing above the cut": len(rows) - unknown}
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)
