"""Random fields with the statistics of tissue."""

from __future__ import annotations

import cv2
import numpy as np


def power_law(
    draw: np.random.Generator, shape: tuple[int, int], step_mm: float, beta: float, longest_mm: float, shortest_mm: float
) -> np.ndarray:
    """Gaussian field with a spectrum of 1/f^beta between two wavelengths; float32, mean 0, deviation about 1.

    Made on as coarse a grid as its shortest wavelength allows, then enlarged. Mammograms
    have beta near 3 (Burgess, Jacobson, Judy 2001, Medical Physics 28(4)).
    """
    factor = max(1, int(shortest_mm / step_mm))
    small = (shape[0] // factor + 2, shape[1] // factor + 2)
    rows, columns = (cv2.getOptimalDFTSize(n) for n in small)
    columns += columns % 2
    fy = np.fft.fftfreq(rows, step_mm * factor).astype(np.float32)[:, None]
    fx = np.fft.rfftfreq(columns, step_mm * factor).astype(np.float32)[None]
    f2 = fy * fy + fx * fx
    amplitude = (f2 + np.float32(1 / longest_mm**2)) ** np.float32(-beta / 4) * np.exp(-f2 * np.float32(shortest_mm**2 / 2))
    amplitude[0, 0] = 0
    spectrum = np.fft.rfft2(draw.standard_normal((rows, columns), dtype=np.float32)) * amplitude
    field = np.fft.irfft2(spectrum, s=(rows, columns))[: small[0], : small[1]].astype(np.float32)
    field /= np.float32(field.std())
    if factor == 1:
        return field[: shape[0], : shape[1]]
    return cv2.resize(field, (small[1] * factor, small[0] * factor), interpolation=cv2.INTER_CUBIC)[: shape[0], : shape[1]]


def ridges(field: np.ndarray, width: float) -> np.ndarray:
    """1 along the zero lines of a field, falling to 0 beside them: a web of fine curved lines. float32."""
    return np.exp(-((field / np.float32(width)) ** 2))


def smooth_step(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, a cubic between. float32."""
    t = np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1)
    return t * t * (3 - 2 * t)


def logistic(values: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), float32."""
    return 1 / (1 + np.exp(-np.clip(values, -30, 30)))
