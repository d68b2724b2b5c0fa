"""From a probability map on the canvas to a few separate regions, strongest first."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True, kw_only=True)
class RegionRule:
    """How regions are cut out of a probability map.

    count: at most so many per image. floor: a peak below is no region. share: a region
    reaches from its peak down to this share of the peak's probability. smooth_px: sigma of
    the blur before peaks are looked for, so that one noisy pixel makes no region. gap_px:
    two peaks are at least so far apart.
    """

    count: int = 6
    floor: float = 0.02
    share: float = 0.5
    smooth_px: float = 1.5
    gap_px: int = 6


@dataclass(frozen=True, kw_only=True)
class Region:
    """One candidate on the canvas. centre: (x, y), its mean place weighted by probability.
    outline: polygon (x, y). box: x0, y0, x1, y1, ends exclusive."""

    centre: tuple[float, float]
    outline: tuple[tuple[float, float], ...]
    box: tuple[int, int, int, int]
    area_px: int
    probability: float


def find_regions(probability: np.ndarray, rule: RegionRule = RegionRule()) -> list[Region]:
    """Regions of a probability map (float32 H W in [0, 1]), strongest peak first, at most `rule.count`.

    Peaks are local maxima of the blurred map, no two within `gap_px`. From the highest
    down, each takes the connected pixels above `share` of its height that no other has;
    a peak on a taken region is no region of its own.
    """
    smooth = cv2.GaussianBlur(probability.astype(np.float32), (0, 0), rule.smooth_px)
    neighbourhood = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * rule.gap_px + 1, 2 * rule.gap_px + 1))
    ys, xs = np.nonzero((smooth >= rule.floor) & (smooth >= cv2.dilate(smooth, neighbourhood)))
    free = np.ones(smooth.shape, bool)
    regions: list[Region] = []
    for i in np.argsort(-smooth[ys, xs], kind="stable"):
        x, y, peak = xs[i], ys[i], float(smooth[ys[i], xs[i]])
        if not free[y, x]:
            continue
        _, labels = cv2.connectedComponents((free & (smooth >= rule.share * peak)).astype(np.uint8), connectivity=8)
        component = labels == labels[y, x]
        free &= ~component
        regions.append(_region(component.astype(np.uint8), smooth, peak))
        if len(regions) == rule.count:
            break
    return regions


def _region(component: np.ndarray, values: np.ndarray, probability: float) -> Region:
    contours, _ = cv2.findContours(component, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(contours, key=len)[:, 0, :]
    x, y, width, height = cv2.boundingRect(component)
    moments = cv2.moments(np.where(component > 0, values, 0))
    return Region(
        centre=(moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]),
        outline=tuple((float(px), float(py)) for px, py in outline),
        box=(x, y, x + width, y + height),
        area_px=int(component.sum()),
        probability=probability,
    )
