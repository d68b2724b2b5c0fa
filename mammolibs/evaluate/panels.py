"""A grid of grey pictures, one sample a row."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np


def panel_plot(columns: Mapping[str, np.ndarray], notes: Sequence[str]) -> bytes:
    """A PNG: one column per entry (float N H W in [0, 1]) with its title, one row per sample with its note below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = len(notes)
    height, width = next(iter(columns.values())).shape[1:]
    figure = Figure(figsize=(2.4 * len(columns), 0.4 + rows * (2.4 * height / width + 0.3)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, len(columns), squeeze=False)
    for column, (title, pictures) in enumerate(columns.items()):
        axes[0, column].set_title(title, fontsize=10)
        for row in range(rows):
            axes[row, column].imshow(pictures[row], cmap="gray", vmin=0, vmax=1)
            axes[row, column].set_xticks([])
            axes[row, column].set_yticks([])
    for row, note in enumerate(notes):
        axes[row, 0].set_xlabel(note, fontsize=7, loc="left")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
