"""A drawn breast: half an ellipse of tissue on the left, air elsewhere."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mammolibs.records import ImageFacts, Mammogram


def draw_breast(height=400, width=320, seed=0, air=0.02, reach=0.7):
    """float32 H W: tissue between 0.3 and 0.9 in the left half-ellipse, air elsewhere; and where the tissue is: bool H W."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    inside = (x / (reach * width)) ** 2 + ((y - height / 2) / (0.4 * height)) ** 2 <= 1
    texture = cv2.GaussianBlur(rng.random((height, width)).astype(np.float32), (0, 0), 4)
    texture = (texture - texture.min()) / (texture.max() - texture.min())
    pixels = np.where(inside, 0.3 + 0.6 * texture, air * (0.5 + rng.random((height, width)))).astype(np.float32)
    return pixels, inside


def as_mammogram(pixels, *, laterality="unknown", spacing_mm=0.2, padding=None, **facts):
    known = ImageFacts(
        source_file="drawn.png",
        transfer_syntax="",
        rows=pixels.shape[0],
        columns=pixels.shape[1],
        laterality=laterality,
        spacing_mm=spacing_mm,
        **facts,
    )
    return Mammogram(pixels=pixels, facts=known, padding=padding)


@pytest.fixture
def breast():
    """Pixels and mask of a drawn breast whose chest wall is on the left."""
    return draw_breast()


@pytest.fixture
def make_breast():
    return draw_breast


@pytest.fixture
def mammogram_of():
    return as_mammogram
