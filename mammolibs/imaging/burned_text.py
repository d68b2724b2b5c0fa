"""Lines of text that were burned into the pixels outside the breast.

A view marker such as "R MLO" is no text in this sense: it names nobody. What counts is
the number of letters that stand in lines, because a name, a number or a date has more
of them than any marker. The letters are not read.
"""

from __future__ import annotations

import cv2
import numpy as np

# "RXCCL" with two initials has seven letters; its groups of three and more hold five at most.
LEAST_LETTERS = 7
LEAST_IN_LINE = 3
# Before an image leaves the machine: a number or a date has six, and a white marker may outshine the text beside it.
LEAST_LETTERS_THAT_STAY, THOROUGH = 6, (0.5, 0.35, 0.25)
# Letters stand out from the air by at least this share of the display range.
LEAST_CONTRAST = 0.25
LEAST_HEIGHT_PX = 7
HEIGHT_SHARE = 1 / 16
MOST_CANDIDATES = 400
SAMPLE_STEP = 8


def burned_in_letters(pixels: np.ndarray, breast: np.ndarray, ink_shares: tuple[float, ...] = (0.5,)) -> int:
    """How many letters stand in lines of three or more outside the breast, along the rows or along the columns.

    pixels: float32 H W in [0, 1], dark is air. breast: bool, one cell for each square of
    pixels. Bright parts (above this share of the way from air to the brightest pixel; of several shares the one that
    shows most letters counts) that have a letter's size and share of ink are letters where others of their height stand beside them.
    Text darker than its ground is not found, and neither is text on the breast.
    """
    shape = pixels.shape[:2]
    beyond = 1 - cv2.dilate(breast.astype(np.uint8), np.ones((3, 3), np.uint8))
    outside = cv2.resize(beyond, shape[::-1], interpolation=cv2.INTER_NEAREST)
    sampled = pixels[::SAMPLE_STEP, ::SAMPLE_STEP][outside[::SAMPLE_STEP, ::SAMPLE_STEP] > 0]
    if not sampled.size:
        return 0
    air, peak = float(np.median(sampled)), cv2.minMaxLoc(pixels, mask=outside)[1]
    if peak - air < LEAST_CONTRAST:
        return 0
    return max(_letters(pixels, outside, air + (peak - air) * share) for share in ink_shares)


def _letters(pixels: np.ndarray, outside: np.ndarray, darkest: float) -> int:
    ink = cv2.inRange(pixels, darkest, 2.0) & (outside * 255)
    # The fastest labelling on one thread, by 3 to 4 times.
    parts = cv2.connectedComponentsWithStatsWithAlgorithm(_cropped(ink), 8, cv2.CV_32S, cv2.CCL_BBDT)[2][1:]
    left, top, width, height, area = (parts[:, k].astype(float) for k in range(5))
    tallest = pixels.shape[0] * HEIGHT_SHARE
    return max(_in_lines(left, top, width, height, area, tallest), _in_lines(top, left, height, width, area, tallest))


def _cropped(ink: np.ndarray) -> np.ndarray:
    """The smallest box that holds all ink: most images have little, and labelling costs by the pixel."""
    x, y, width, height = cv2.boundingRect(ink)
    return ink[y : y + height, x : x + width]


def _in_lines(left: np.ndarray, top: np.ndarray, width: np.ndarray, height: np.ndarray, area: np.ndarray, tallest: float) -> int:
    """Parts that look like letters and stand in lines of at least three."""
    filled = area / (width * height)
    # A letter's strokes leave part of its box empty; those of I and 1 do not.
    inked = (filled > 0.15) & ((filled < 0.8) | (width < 0.45 * height))
    letters = np.flatnonzero((height >= LEAST_HEIGHT_PX) & (height <= tallest) & (width <= 1.5 * height) & inked)
    letters = letters[np.argsort(-height[letters], kind="stable")][:MOST_CANDIDATES]
    x, y, w, h = left[letters], top[letters] + height[letters] / 2, width[letters], height[letters]
    taller, lower = np.maximum(h[:, None], h), np.minimum(h[:, None], h)
    gap = np.maximum(x[:, None], x) - np.minimum((x + w)[:, None], x + w)
    apart = (gap < 1.5 * taller) & (gap > -0.5 * np.minimum(w[:, None], w))
    beside = (np.abs(y[:, None] - y) < 0.35 * taller) & (lower > 0.6 * taller) & apart
    return sum(size for size in _groups(beside) if size >= LEAST_IN_LINE)


def _groups(joined: np.ndarray) -> list[int]:
    """Sizes of the groups that a symmetric relation, bool N N, joins."""
    free, sizes = np.ones(len(joined), bool), []
    while free.any():
        group = np.zeros(len(joined), bool)
        group[free.argmax()] = True
        while True:
            wider = group | joined[group].any(0)
            if wider.sum() == group.sum():
                break
            group = wider
        free &= ~group
        sizes.append(int(group.sum()))
    return sizes
