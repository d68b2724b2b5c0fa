"""Images side by side: what a network is shown, and what a data set holds, to look at before hours are spent on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mammolibs.evaluate.examples import Example, draw_outlines, show_image
from mammolibs.evaluate.figures import to_png

SHOWN = 8
FILM_INCHES, FILM_DPI = 3.2, 100
# Sides of what a film may have at a fixed height: a strip stays a strip whatever the data hold.
FILM_ASPECTS = (0.4, 1.25)


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


def film_strip(films: Sequence[Example]) -> bytes:
    """PNG of images as on a light box: one height, black between them, the truth as an outline, the title below each.

    An image that is None could not be read: its place stays empty and says so.
    """
    from matplotlib.figure import Figure

    gap, line = 0.06, 0.3
    widths = [FILM_INCHES * _aspect(film.image) for film in films]
    across, down = sum(widths) + gap * (len(films) + 1), FILM_INCHES + line + gap
    figure = Figure(figsize=(across, down), dpi=FILM_DPI, facecolor="black")
    x = gap
    for film, width in zip(films, widths, strict=True):
        axes = figure.add_axes((x / across, line / down, width / across, FILM_INCHES / down))
        if film.image is None:
            axes.set(facecolor="#2b1d12", xticks=[], yticks=[])
            axes.text(0.5, 0.5, "cannot\nbe read", color="#ffc98a", ha="center", va="center", fontsize=11, transform=axes.transAxes)
        else:
            show_image(axes, film.image)
            draw_outlines(axes, film.truth, None)
        figure.text((x + width / 2) / across, 0.4 * line / down, film.title, color="#c9d2da", ha="center", va="center", fontsize=11)
        x += width + gap
    return to_png(figure)


def _aspect(image: Any) -> float:
    if image is None:
        return 0.75
    height, width = np.asarray(image).shape
    return float(np.clip(width / height, *FILM_ASPECTS))
