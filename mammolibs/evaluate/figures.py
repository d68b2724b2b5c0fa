"""The plots of a report, drawn without any global state of matplotlib. Each returns PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mammolibs.evaluate.bootstrap import Draws, problem_of
from mammolibs.evaluate.detection import collect, froc_curve
from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.probability import reliability
from mammolibs.evaluate.ranked import Ranked
from mammolibs.evaluate.ranking import roc_curve, sensitivity_at

BLUE, ORANGE, GREEN, GREY = "#0f6e84", "#d9731a", "#4c9a2a", "#8895a1"
COLOURS = (BLUE, ORANGE, GREEN, "#8a4fa3", GREY)
BAND_ROUNDS = 300


def new_figure(width: float, height: float, columns: int = 1) -> tuple[Any, Sequence[Any]]:
    """A figure of the given inches with its axes in one row."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=130, layout="constrained")
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])


def to_png(figure: Any) -> bytes:
    """The figure as PNG, without a date, so that the same figures give the same bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def dress(axes: Any, title: str, x: str, y: str) -> None:
    """The common look: title left, light grid, two spines."""
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(color="#e6ebef", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def roc_figure(levels: Sequence[Ranked], draws: Draws) -> bytes | None:
    """ROC per level, the first with a pointwise 95 % band over patients; None where none can be drawn."""
    figure, (axes,) = new_figure(4.6, 4.3)
    drawn = False
    for ranked, colour in zip(levels, COLOURS, strict=False):
        if problem_of(sensitivity_at(ranked, 0.9)):
            continue
        false, true, _ = roc_curve(ranked.scores, ranked.labels)
        axes.plot(false, true, color=colour, linewidth=1.8, label=f"{ranked.unit} ({ranked.events} of {ranked.n} malignant)")
        if ranked is levels[0]:
            grid, low, high = _roc_band(ranked, draws)
            axes.fill_between(grid, low, high, color=colour, alpha=0.15, linewidth=0)
        drawn = True
    if not drawn:
        return None
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    dress(axes, "ROC: malignant against the rest", "false-positive rate (1 - specificity)", "sensitivity")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    return to_png(figure)


def _roc_band(ranked: Ranked, draws: Draws) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    few = Draws(ranked.patients, rounds=min(BAND_ROUNDS, draws.rounds), seed=draws.seed)
    grid = np.linspace(0, 1, 41)
    rounds = few.values(*(sensitivity_at(ranked, 1 - false) for false in grid))
    low, high = np.nanpercentile(rounds, [2.5, 97.5], axis=1)
    return grid, low, high


def froc_figure(held_out: Sequence[Prediction], figures: Mapping[str, Mapping[str, Any]]) -> bytes | None:
    """Lesions found against false positives per image; bars: the 95 % intervals of the figures in the table."""
    figure, (axes,) = new_figure(5.2, 4.0)
    drawn = False
    for pathology, colour, name in (("", BLUE, "all lesions"), ("malignant", ORANGE, "malignant lesions")):
        found = collect(held_out, wanted=lambda lesion, p=pathology: not p or lesion.pathology == p)
        if not len(found.lesion_scores) or not len(found.image_patients):
            continue
        false, sensitivity, _ = froc_curve(found)
        axes.step(false, sensitivity, where="post", color=colour, linewidth=1.8, label=f"{name} ({len(found.lesion_scores)})")
        drawn = True
    if not drawn:
        return None
    for rate in (0.5, 1.0, 2.0):
        fields = figures.get(f"lesion_sensitivity_at_{rate:g}_fp", {})
        if fields.get("low") is not None:
            spread = [[fields["value"] - fields["low"]], [fields["high"] - fields["value"]]]
            axes.errorbar(rate, fields["value"], yerr=spread, color=BLUE, fmt="o", markersize=4, capsize=3)
    dress(axes, "FROC: lesions found", "false positives per image", "lesion sensitivity")
    axes.set(ylim=(-0.01, 1.01), xscale="log", xlim=(0.05, 10))
    axes.set_xticks([0.1, 0.25, 0.5, 1, 2, 4, 8], labels=["0.1", "0.25", "0.5", "1", "2", "4", "8"])
    axes.minorticks_off()
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    return to_png(figure)


def calibration_figure(s: Ranked) -> bytes | None:
    """Share malignant against score, in [0, 1], in bins of equal count (Wilson 95 % bars), and where the scores lie."""
    if s.n < 10 or not 0 < s.events < s.n:
        return None
    figure, (left, right) = new_figure(8.2, 3.7, 2)
    rows = reliability(s.scores, s.labels)
    for score, share, count in rows:
        low, high = _wilson(share, count)
        left.plot([score, score], [low, high], color=BLUE, linewidth=1, alpha=0.6)
    left.plot([r[0] for r in rows], [r[1] for r in rows], "o-", color=BLUE, markersize=4, linewidth=1.2)
    top = min(1.0, 1.1 * max(0.1, *(r[0] for r in rows), *(_wilson(r[1], r[2])[1] for r in rows)))
    left.plot([0, top], [0, top], color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    left.set(xlim=(0, top), ylim=(0, top))
    dress(left, "Calibration", f"{s.unit} score", "share malignant")
    edges = np.linspace(0, max(float(s.scores.max()), 1e-6), 26)
    for label, colour, name in ((0, BLUE, "not malignant"), (1, ORANGE, "malignant")):
        right.hist(s.scores[s.labels == label], bins=edges, color=colour, alpha=0.6, label=name, density=True)
    dress(right, "Where the scores lie", f"{s.unit} score", "density")
    right.legend(fontsize=8, frameon=False)
    return to_png(figure)


def _wilson(share: float, count: int, z: float = 1.96) -> tuple[float, float]:
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return float(centre - half), float(centre + half)
