"""A display image small enough for the eye."""

from __future__ import annotations

import cv2
import numpy as np

HEIGHT_PX = 1024


def preview(pixels: np.ndarray, height_px: int = HEIGHT_PX) -> np.ndarray:
    """A display image, float32 H W in [0, 1], as uint8 of at most `height_px` rows."""
    scale = min(1.0, height_px / pixels.shape[0])
    size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    return (cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) * 255).round().astype(np.uint8)
