"""What is varied, and how far."""

from __future__ import annotations

from dataclasses import dataclass, fields

from mammolibs.errors import BadConfig


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Ranges of the random changes. 0 (1 for the factors `scale`, `gamma`, `aspect`) switches one off.

    rotation_degrees: to either side. shift_share: of the canvas's sides, to either side.
    scale: from 1 / scale to scale. elastic_share: standard deviation of a smooth
    displacement, as a share of the shorter side. up_down: probability of a flip upside down;
    there is no left-right flip, because the chest wall is on the left by contract.
    gamma: exponent from 1 / gamma to gamma. contrast: factor on the distance from the
    breast's mean, to either side of 1. brightness: what is added, to either side of 0.
    blur_px: largest sigma of a Gaussian, drawn with probability 1/2. noise: largest sigma
    of the noise. crop_least, aspect: for `two_views` only: the smallest share of the
    breast's box that a view shows, and the stretch from 1 / aspect to aspect.
    """

    rotation_degrees: float = 15.0
    shift_share: float = 0.06
    scale: float = 1.2
    elastic_share: float = 0.01
    up_down: float = 0.5
    gamma: float = 1.25
    contrast: float = 0.15
    brightness: float = 0.05
    blur_px: float = 0.8
    noise: float = 0.02
    crop_least: float = 0.4
    aspect: float = 1.15

    def __post_init__(self):
        for name in ("scale", "gamma", "aspect"):
            _check(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("shift_share", "elastic_share", "contrast", "brightness"):
            _check(0 <= getattr(self, name) < 1, name, getattr(self, name), "from 0 up to 1")
        for name in ("rotation_degrees", "blur_px", "noise"):
            _check(getattr(self, name) >= 0, name, getattr(self, name), "at least 0")
        _check(0 <= self.up_down <= 1, "up_down", self.up_down, "from 0 to 1")
        _check(0 < self.crop_least <= 1, "crop_least", self.crop_least, "above 0, at most 1")

    @classmethod
    def none(cls) -> Augment:
        """Nothing is changed."""
        off = {field.name: 0.0 for field in fields(cls)}
        return cls(**off | {"scale": 1.0, "gamma": 1.0, "aspect": 1.0, "crop_least": 1.0})


def _check(holds: bool, name: str, value: float, allowed: str) -> None:
    if not holds:
        raise BadConfig(f"augment: {name} is {value}, allowed: {allowed}")
