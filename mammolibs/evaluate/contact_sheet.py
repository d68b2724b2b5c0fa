"""What a network is shown, as a picture to look at before hours are spent on it."""

from __future__ import annotations

from typing import Any

import numpy as np

from mammolibs.evaluate.examples import draw_outlines, show_image
from mammolibs.evaluate.figures import to_png

SHOWN = 8


def contact_sheet(images: Any, *, below: Any = None, masks: Any = None, titles: tuple[str, ...] = (), heading: str = "") -> bytes:
    """PNG of the first eight images of a batch, as they are after augmentation.

    images: float B H W in [0, 1]. below: what stands under each (the second view, the image
    with its hidden blocks), same shape, or None. masks: B H W, drawn as outlines, or None.
    """
    from matplotlib.figure import Figure

    images = np.asarray(images, float)[:SHOWN]
    rows = [images] + ([np.asarray(below, float)[:SHOWN]] if below is not None else [])
    columns = len(images)
    width = 1.5
    height = width * images.shape[1] / images.shape[2]
    figure = Figure(figsize=(width * columns, (height + 0.25) * len(rows) + 0.35), dpi=110)
    panels = figure.subplots(len(rows), columns, squeeze=False)
    for line, (row, tiles) in enumerate(zip(panels, rows, strict=True)):
        for i, (axes, image) in enumerate(zip(row, tiles, strict=True)):
            # One range for all tiles, so that changes of brightness are seen.
            show_image(axes, (np.clip(image, 0, 1) * 65535).astype(np.uint16))
            if masks is not None:
                draw_outlines(axes, np.asarray(masks)[i], None)
            if line == 0 and i < len(titles):
                axes.set_title(titles[i][-24:], fontsize=5)
    figure.suptitle(heading, fontsize=8, x=0.01, ha="left")
    figure.subplots_adjust(left=0.005, right=0.995, bottom=0.005, top=1 - 0.5 / figure.get_figheight(), wspace=0.03, hspace=0.03)
    return to_png(figure)
