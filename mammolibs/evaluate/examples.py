"""Images with the truth and the finding drawn on them; which images are worth showing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mammolibs.evaluate.figures import dress, new_figure, to_png
from mammolibs.evaluate.predictions import Prediction

TRUTH, FOUND = "#27d3e0", "#ff8a1f"
KINDS = ("example", "miss", "false_alarm")


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """One picture of the report. image: uint8 or uint16 H W; truth: H W, nonzero is lesion, or None where
    unknown; predicted: H W, a mask or probabilities in [0, 1], or None. cut: where the outline of `predicted` is drawn.
    kind: "example", "miss" or "false_alarm"."""

    image_id: str
    image: Any
    truth: Any = None
    predicted: Any = None
    title: str = ""
    kind: str = "example"
    cut: float = 0.5


def worst_misses(held_out: Sequence[Prediction], count: int = 4) -> list[Prediction]:
    """The malignant images with the lowest scores, worst first."""
    return sorted((p for p in held_out if p.label == 1), key=lambda p: (p.image_score, p.image_id))[:count]


def worst_false_alarms(held_out: Sequence[Prediction], count: int = 4) -> list[Prediction]:
    """The images that are not malignant with the highest scores, worst first."""
    return sorted((p for p in held_out if p.label == 0), key=lambda p: (-p.image_score, p.image_id))[:count]


def select_examples(held_out: Sequence[Prediction], count: int = 4) -> dict[str, list[str]]:
    """image_ids for the report by kind: worst misses, worst false alarms, and lesion images evenly spread over Dice."""
    lesions = sorted((p for p in held_out if p.dice is not None), key=lambda p: (-p.dice, p.image_id))
    spread = [lesions[i] for i in np.unique(np.linspace(0, len(lesions) - 1, count).round().astype(int))] if lesions else []
    chosen = {"example": spread, "miss": worst_misses(held_out, count), "false_alarm": worst_false_alarms(held_out, count)}
    return {kind: [p.image_id for p in rows] for kind, rows in chosen.items()}


def example_figure(example: Example) -> bytes:
    """The image, and beside it the same with the truth (cyan) and the finding (orange) drawn on it."""
    from matplotlib.figure import Figure

    height, width = np.asarray(example.image).shape
    panel = 2.3
    figure = Figure(figsize=(2 * panel, max(1.2, min(2.0 * panel, panel * height / width))), dpi=110)
    left, right = figure.add_axes((0, 0, 0.495, 1)), figure.add_axes((0.505, 0, 0.495, 1))
    show_image(left, example.image)
    show_image(right, example.image)
    draw_outlines(right, example.truth, example.predicted, example.cut)
    return to_png(figure)


def show_image(axes: Any, image: Any) -> None:
    """A greyscale image on black, no ticks."""
    image = np.asarray(image)
    top = 65535 if image.dtype == np.uint16 else 255 if image.dtype == np.uint8 else float(max(image.max(), 1e-6))
    axes.imshow(image, cmap="gray", vmin=0, vmax=top, interpolation="bilinear")
    axes.set_axis_off()


def draw_outlines(axes: Any, truth: Any, predicted: Any, cut: float = 0.5) -> None:
    """Truth and finding as outlines; probabilities below the cut as a faint tint."""
    if predicted is not None:
        predicted = np.asarray(predicted, float)
        tint = np.zeros((*predicted.shape, 4))
        tint[..., :3] = [int(FOUND[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        tint[..., 3] = 0.35 * np.clip(predicted, 0, 1)
        axes.imshow(tint, interpolation="nearest")
        _outline(axes, predicted > cut, FOUND)
    if truth is not None:
        _outline(axes, np.asarray(truth) != 0, TRUTH)


def _outline(axes: Any, mask: np.ndarray, colour: str) -> None:
    if mask.any():
        padded = np.pad(mask.astype(float), 1)
        rows, columns = np.arange(-1, mask.shape[0] + 1), np.arange(-1, mask.shape[1] + 1)
        axes.contour(columns, rows, padded, levels=[0.5], colors=[colour], linewidths=1.3)


def sample_plot(samples: Sequence[Example], title: str) -> bytes:
    """Samples side by side (the first four), each with its title, for a stage's plot.png."""
    samples = list(samples)[:4]
    figure, axes = new_figure(2.3 * max(len(samples), 1), 3.6, max(len(samples), 1))
    for panel, sample in zip(axes, samples, strict=False):
        show_image(panel, sample.image)
        draw_outlines(panel, sample.truth, sample.predicted, sample.cut)
        panel.set_title(sample.title or sample.image_id, fontsize=8)
    if not samples:
        dress(axes[0], "no samples", "", "")
    figure.suptitle(title, fontsize=10, fontweight="bold", x=0.01, ha="left")
    return to_png(figure)
