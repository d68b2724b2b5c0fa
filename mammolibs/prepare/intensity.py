"""One site's grey values laid onto another's by quantiles inside the breast, without any label."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mammolibs.errors import BadData

# Per cent of the breast's pixels below each landmark.
LANDMARKS = (1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99)
_TOP = 65535


def landmarks(image: np.ndarray) -> np.ndarray:
    """The quantiles `LANDMARKS` of the breast on a canvas (uint16 H W, air 0): float64 (11,). Raises BadData without a breast."""
    inside = image[image > 0]
    if not inside.size:
        raise BadData("an image without a breast has no grey values to be compared")
    return np.percentile(inside, LANDMARKS)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A rising curve through the landmarks of a site and those of the training data, straight between them (Nyul, Udupa and Zhang 2000).

    Nyul's method gives every image a curve of its own, which would make a dense breast and a fatty one alike. Here the means
    of a site's landmarks give one curve for the site, and differences between its images stay. site, home: means, 11 each, in
    levels of the canvas, 1 to 65535; both ends of the range stay where they are.
    """

    site: tuple[float, ...]
    home: tuple[float, ...]

    @classmethod
    def fit(cls, site: np.ndarray, home: np.ndarray) -> Curve:
        """site, home: float (images, 11), a row of `landmarks` per image."""
        return cls(site=tuple(map(float, site.mean(0))), home=tuple(map(float, home.mean(0))))

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """uint16 H W on the canvas's scale -> the same image in the training data's grey values; air stays 0."""
        return self._table[image]

    @cached_property
    def _table(self) -> np.ndarray:
        # Landmarks that fall together are one knot: a curve has one value there.
        knots, first = np.unique((1.0, *self.site, float(_TOP)), return_index=True)
        values = np.array((1.0, *self.home, float(_TOP)))[first]
        table = np.rint(np.interp(np.arange(_TOP + 1), knots, np.maximum.accumulate(values))).astype(np.uint16)
        table[0] = 0
        return table

    def to_dict(self) -> dict[str, Any]:
        return {name: list(values) for name, values in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Curve:
        """Raises ValueError, KeyError or TypeError for what is no curve."""
        curve = cls(**{name: tuple(map(float, values[name])) for name in ("site", "home")})
        if not len(curve.site) == len(curve.home) == len(LANDMARKS):
            raise ValueError("a curve has 11 landmarks on each side")
        return curve
