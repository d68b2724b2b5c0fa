"""The contract: every number that changes a pixel, and the hash that two pieces of work must share to meet."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from mammolibs.errors import BadConfig

CANVAS_STEP_PX = 16
RESAMPLERS = ("area",)


@dataclass(frozen=True, kw_only=True)
class Contract:
    """How a mammogram becomes a sample. Equal contracts give equal pixels; any other field value, another hash.

    canvas_height_px, canvas_width_px: the whole-image canvas, both divisible by 16.
    low_percentile, high_percentile: intensities inside the breast that become 1 and 65535.
    finder_reduce: original pixels per cell of the small image that the breast is looked for in,
    at most: small images have fewer.
    finder_blur_cells: sigma of the Gaussian before the threshold. finder_open_share: what is
    thinner than this share of the small image's shorter side is no breast. finder_grow_cells:
    the mask is widened by so many cells, for the skin line. finder_least_share: the smallest
    breast, as a share of the image. resampler: "area" (means over areas, bilinear where it enlarges).
    patch_mm, patch_size_px: width of a square patch on the breast, and in its own pixels.
    patch_height_share: its width as a share of the breast's height where the spacing is unknown.
    version: counts changes of the code that no field shows.
    """

    canvas_height_px: int = 512
    canvas_width_px: int = 320
    low_percentile: float = 1.0
    high_percentile: float = 99.7
    finder_reduce: int = 8
    finder_blur_cells: float = 1.0
    finder_open_share: float = 0.06
    finder_grow_cells: int = 2
    finder_least_share: float = 0.02
    resampler: str = "area"
    patch_mm: float = 40.0
    patch_size_px: int = 128
    patch_height_share: float = 0.2
    version: int = 1

    def __post_init__(self):
        # 36 and 36.0 are one contract and must hash alike
        for field in fields(self):
            if isinstance(field.default, float):
                object.__setattr__(self, field.name, float(getattr(self, field.name)))
        for name in ("canvas_height_px", "canvas_width_px"):
            _check_side(name, getattr(self, name))
        _check(
            0 <= self.low_percentile < self.high_percentile <= 100,
            "low_percentile, high_percentile",
            (self.low_percentile, self.high_percentile),
            "0 <= low < high <= 100",
        )
        _check(self.finder_reduce >= 1, "finder_reduce", self.finder_reduce, "at least 1")
        _check(self.finder_blur_cells >= 0, "finder_blur_cells", self.finder_blur_cells, "at least 0")
        _check(0 <= self.finder_open_share < 0.5, "finder_open_share", self.finder_open_share, "0 up to 0.5")
        _check(self.finder_grow_cells >= 0, "finder_grow_cells", self.finder_grow_cells, "at least 0")
        _check(0 < self.finder_least_share < 1, "finder_least_share", self.finder_least_share, "between 0 and 1")
        _check(self.resampler in RESAMPLERS, "resampler", self.resampler, f"one of {', '.join(RESAMPLERS)}")
        _check(self.patch_mm > 0, "patch_mm", self.patch_mm, "above 0")
        _check(self.patch_size_px >= 8, "patch_size_px", self.patch_size_px, "at least 8")
        _check(0 < self.patch_height_share <= 1, "patch_height_share", self.patch_height_share, "above 0, at most 1")

    @property
    def canvas(self) -> tuple[int, int]:
        """Height and width of the canvas in pixels."""
        return self.canvas_height_px, self.canvas_width_px

    def hash(self) -> str:
        """16 hex digits: the start of the sha256 of the fields as canonical JSON."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """All fields, JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Contract:
        """The contract of a card or an index. Raises BadConfig for a field that this version does not know or lacks."""
        known = {f.name for f in fields(cls)}
        if set(values) != known:
            odd = ", ".join(sorted(set(values) ^ known))
            raise BadConfig(f"contract: fields unknown or missing here: {odd}; it was made by another version, prepare the data again")
        return cls(**values)


def _check(holds: bool, name: str, value: Any, allowed: str) -> None:
    if not holds:
        raise BadConfig(f"contract: {name} is {value}, allowed: {allowed}")


def _check_side(name: str, value: int) -> None:
    if int(value) != value or value < CANVAS_STEP_PX or value % CANVAS_STEP_PX:
        nearest = max(CANVAS_STEP_PX, round(value / CANVAS_STEP_PX) * CANVAS_STEP_PX)
        raise BadConfig(f"contract: {name} is {value}, it must be divisible by {CANVAS_STEP_PX}; nearest: {nearest}")


def parse_canvas(text: str) -> tuple[int, int]:
    """Height and width of a canvas from text such as "512x320". Raises BadConfig."""
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.strip().isdecimal() for side in sides):
        raise BadConfig(f"canvas is {text!r}; write height x width in pixels, such as 512x320")
    for name, side in zip(("canvas_height_px", "canvas_width_px"), sides, strict=True):
        _check_side(name, int(side))
    return int(sides[0]), int(sides[1])
