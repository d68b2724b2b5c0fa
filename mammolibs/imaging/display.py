"""Stored values -> what a display shows, step by step, as pure functions of numbers.

The order is the standard's (PS3.4 N.2): padding set aside, modality LUT or rescale, VOI
LUT or window, then inversion for MONOCHROME1. Every step works on the table of all values
that can be stored, not on the image: a 12 bit image has 4096 of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True, eq=False)
class Lut:
    """A lookup table: `entries` for the inputs first, first + 1, ...; inputs beyond either end take the end's entry.

    bits: the entries' nominal depth (PS3.3 C.11.1.1 and C.11.2.1.1).
    """

    first: int
    bits: int
    entries: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Rescale:
    """output = slope * stored + intercept (PS3.3 C.11.1.1.2)."""

    slope: float = 1.0
    intercept: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Window:
    """A window (PS3.3 C.11.2.1.2); function is LINEAR, LINEAR_EXACT or SIGMOID."""

    center: float
    width: float
    function: str = "LINEAR"


@dataclass(frozen=True, kw_only=True, eq=False)
class Display:
    """Everything in a header that decides how one frame is shown.

    voi None means that the file has none. attenuation: the image is FOR PROCESSING, so
    without a VOI its values are exposures, or, where `logarithmic`, already their
    logarithms; `exposure_rises` is False where a higher value means less exposure.
    padding: the range of stored values, both ends included, that mean "no image here".
    notes: what was found and set aside, for the display chain.
    """

    modality: Lut | Rescale | None = None
    voi: Lut | Window | None = None
    inverted: bool = False
    attenuation: bool = False
    logarithmic: bool = False
    exposure_rises: bool = True
    padding: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """pixels float32 H W in [0, 1], dark is air; padding bool H W or None; the steps as text."""

    pixels: np.ndarray
    padding: np.ndarray | None
    chain: tuple[str, ...]


def show(stored: np.ndarray, display: Display) -> Shown:
    """A frame of stored integers H W as it is displayed.

    Raises ValueError where a step has no meaning, such as a rescale slope of 0.
    """
    padding = padding_mask(stored, display.padding)
    levels, index = _levels(stored)
    chain = list(display.notes)
    values = apply_modality(levels, display.modality)
    chain += _modality_text(display.modality)
    if display.voi is not None:
        table = apply_voi(values, display.voi)
        chain.append(_voi_text(display.voi))
    else:
        seen = values[_present(index, padding, len(levels))]
        if not len(seen):
            raise ValueError("every pixel is padding")
        table, text = _without_voi(values, seen, display)
        chain.append(text)
    # The logarithm branch gives attenuation, which is bright in tissue whatever the photometric interpretation is.
    if display.inverted and (display.voi is not None or not display.attenuation):
        table = 1.0 - table
        chain.append("inverted")
    pixels = _looked_up(table.astype(np.float32), index)
    if padding is not None:
        pixels[padding] = 0.0
        chain.append(f"padding {display.padding[0]} to {display.padding[1]} set to air ({100 * padding.mean():.1f} % of pixels)")
    return Shown(pixels=pixels, padding=padding, chain=tuple(chain))


def padding_mask(stored: np.ndarray, padding: tuple[int, int] | None) -> np.ndarray | None:
    """True where the stored value means "no image here"; None where nothing does."""
    if padding is None:
        return None
    mask = (stored >= padding[0]) & (stored <= padding[1])
    return mask if mask.any() else None


def apply_modality(values: np.ndarray, modality: Lut | Rescale | None) -> np.ndarray:
    """Stored values as float64 in the maker's units."""
    if isinstance(modality, Lut):
        return apply_lut(values, modality)
    if modality is None:
        return values
    if modality.slope == 0:
        raise ValueError("Rescale Slope is 0, which leaves no image")
    return values * modality.slope + modality.intercept


def apply_voi(values: np.ndarray, voi: Lut | Window) -> np.ndarray:
    """Values after the modality step as float64 in [0, 1]."""
    if isinstance(voi, Lut):
        # Some makers write a depth that their own entries exceed.
        return apply_lut(values, voi) / max((1 << voi.bits) - 1, int(voi.entries.max()))
    return apply_window(values, voi)


def apply_lut(values: np.ndarray, lut: Lut) -> np.ndarray:
    """The table's entry for each value, as float64."""
    place = np.clip(np.rint(values) - lut.first, 0, len(lut.entries) - 1).astype(np.int64)
    return lut.entries[place].astype(np.float64)


def apply_window(values: np.ndarray, window: Window) -> np.ndarray:
    """Values through a window to [0, 1] (PS3.3 C.11.2.1.2.1 and C.11.2.1.3).

    Raises ValueError where the width is below what the function allows.
    """
    center, width = window.center, window.width
    if width < 1 if window.function == "LINEAR" else width <= 0:
        raise ValueError(f"Window Width {width:g} is too small for {window.function}")
    if window.function == "SIGMOID":
        return 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - center) / width, -700, 700)))
    if window.function == "LINEAR":
        center, width = center - 0.5, width - 1.0
    low, high = center - width / 2, center + width / 2
    if width == 0:
        return (values > low).astype(np.float64)
    return np.where(values <= low, 0.0, np.where(values > high, 1.0, (values - center) / width + 0.5))


def _without_voi(values: np.ndarray, seen: np.ndarray, display: Display) -> tuple[np.ndarray, str]:
    if not display.attenuation:
        return _stretched(values, seen), f"full range {seen.min():g} to {seen.max():g} (no VOI)"
    if display.logarithmic:
        signed = -1.0 if display.exposure_rises else 1.0
        return _stretched(signed * values, signed * seen), "FOR PROCESSING: stored as logarithm of exposure, full range"
    # Exposure counts from its own zero; one count is the least that can be measured.
    top = seen.max()
    exposure, exposure_seen = (values, seen) if display.exposure_rises else (top - values + 1.0, top - seen + 1.0)
    table, used = -np.log(np.maximum(exposure, 1.0)), -np.log(np.maximum(exposure_seen, 1.0))
    return _stretched(table, used), "FOR PROCESSING: negative logarithm of exposure, full range"


def _stretched(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    low, high = seen.min(), seen.max()
    return np.clip((values - low) / (high - low), 0.0, 1.0) if high > low else np.zeros_like(values)


def _levels(stored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All values between the image's extremes as float64, and each pixel's place among them."""
    low, high = int(stored.min()), int(stored.max())
    if high - low < 1 << 16:
        # In the stored type the difference wraps to the right one, and unsigned it reads right.
        index = stored if low == 0 else np.subtract(stored, np.array(low).astype(stored.dtype))
        return np.arange(low, high + 1, dtype=np.float64), index.view(f"u{stored.dtype.itemsize}")
    levels, index = np.unique(stored, return_inverse=True)
    return levels.astype(np.float64), index.reshape(stored.shape)


def _looked_up(table: np.ndarray, index: np.ndarray) -> np.ndarray:
    """table[index], by OpenCV in less than half its time where the index has 8 or 16 bits."""
    if index.dtype.itemsize > 2:
        return table[index]
    import cv2

    whole = np.zeros(1 << 8 * index.dtype.itemsize, table.dtype)
    whole[: len(table)] = table
    return cv2.LUT(index, whole)


def _present(index: np.ndarray, padding: np.ndarray | None, count: int) -> np.ndarray:
    seen = np.zeros(count, bool)
    seen[index if padding is None else index[~padding]] = True
    return seen


def _modality_text(modality: Lut | Rescale | None) -> list[str]:
    if isinstance(modality, Lut):
        return [f"modality LUT, {len(modality.entries)} entries from {modality.first}"]
    return [f"rescale slope {modality.slope:g} intercept {modality.intercept:g}"] if modality else []


def _voi_text(voi: Lut | Window) -> str:
    if isinstance(voi, Lut):
        return f"VOI LUT, {len(voi.entries)} entries from {voi.first}, {voi.bits} bit"
    return f"window {voi.function} center {voi.center:g} width {voi.width:g}"
