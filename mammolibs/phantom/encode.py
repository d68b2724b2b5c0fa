"""Display values -> stored values and the header fields that turn them back: makers' habits and traps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mammolibs.phantom.makers import Maker

PROCESSING_BITS = 14


@dataclass(frozen=True, kw_only=True, eq=False)
class Encoded:
    """Stored pixels, H W uint16 or int16, and what the header must say about them."""

    pixels: np.ndarray
    fields: dict[str, Any] = field(default_factory=dict)


def encode_display(display: np.ndarray, air: np.ndarray, maker: Maker, traps: tuple[str, ...]) -> Encoded:
    """Stored values whose display chain gives `display` back, up to rounding.

    display: float32 H W in [0, 1], 0 black. air: bool H W, where no tissue and no marker is.
    """
    bits = 16 if "bits_16" in traps else maker.bits
    top = (1 << bits) - 1
    centre, width = maker.window
    fields: dict[str, Any] = {"bits_stored": bits}
    if "voi_lut" in traps:
        share = np.sqrt(display)
        entries = np.arange(top + 1, dtype=np.float64) / top
        fields["voi_lut"] = np.rint(entries**2 * 65535).astype(np.uint16)
    elif "sigmoid" in traps:
        width = 0.4
        clipped = np.clip(display, 0.005, 0.995)
        share = centre + width / 4 * np.log(clipped / (1 - clipped))
        fields["voi_function"] = "SIGMOID"
    elif "no_window" in traps:
        share = display
    else:
        share = centre - width / 2 + width * display
    stored = np.rint(np.clip(share, 0, 1) * top).astype(np.int32)
    if "padding" in traps:
        stored = np.where(air, 0, np.maximum(stored, 1))
        fields["padding"] = 0
    centre = 1 - centre if "monochrome1" in traps else centre
    if "monochrome1" in traps:
        stored = top - stored
        fields["photometric"] = "MONOCHROME1"
    offset = 1 << (bits - 1) if "signed" in traps else 0
    if not {"voi_lut", "no_window"} & set(traps):
        fields["windows"] = _windows(centre * top - offset, width * top, maker, traps)
    fields["signed"] = bool(offset)
    return Encoded(pixels=(stored - offset).astype(np.int16 if offset else np.uint16), fields=fields)


def encode_exposure(exposure: np.ndarray) -> Encoded:
    """Stored values of a FOR PROCESSING image: linear in exposure, bright where nothing stops the beam.

    exposure: float32 H W, 1 for the open beam.
    """
    top = (1 << PROCESSING_BITS) - 1
    stored = np.rint(np.clip(exposure * 0.92, 0, 1) * top).astype(np.uint16)
    return Encoded(pixels=stored, fields={"bits_stored": PROCESSING_BITS})


def _windows(centre: float, width: float, maker: Maker, traps: tuple[str, ...]) -> tuple[tuple[float, float, str], ...]:
    first = (round(centre), round(width), maker.window_name)
    if "several_windows" not in traps:
        return (first,)
    return (first, (round(centre), round(width * 0.6), "HARDER"), (round(centre), round(width * 1.5), "SOFTER"))
