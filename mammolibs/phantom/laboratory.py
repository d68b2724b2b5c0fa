"""The laboratory phantom's physics: a known lesion at a known place in Gaussian noise of known covariance.

Tissue is a stationary Gaussian field with a spectrum of 1/f^beta, as mammograms have (beta near 3: Burgess, Jacobson, Judy
2001, Medical Physics 28(4)), over a floor of white noise. The field is periodic over its grid, so its covariance is a
circulant whose eigenvalues are the spectrum, and the ideal observer is known in closed form.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

Place = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Laboratory:
    """shape: rows, columns. step_mm: of a pixel. beta, longest_mm: the spectrum falls as 1/f^beta from this wavelength down.

    tissue, floor: standard deviations of the field and of the white noise. lesion_mm: diameter; contrast: height at its centre.
    Greys are shares of the display range.
    """

    shape: tuple[int, int] = (512, 320)
    step_mm: float = 0.4
    beta: float = 3.0
    longest_mm: float = 60.0
    tissue: float = 0.07
    floor: float = 0.005
    lesion_mm: float = 12.0
    contrast: float = 0.07

    @cached_property
    def spectrum(self) -> np.ndarray:
        """Eigenvalues of the covariance as `rfft2` orders them: float64 H W/2+1. Their mean over all H x W is a pixel's variance."""
        rows, columns = self.shape
        fy, fx = np.fft.fftfreq(rows, self.step_mm)[:, None], np.fft.fftfreq(columns, self.step_mm)[None]
        power = (fy**2 + fx**2 + 1 / self.longest_mm**2) ** (-self.beta / 2)
        return (self.tissue**2 * power / power.mean() + self.floor**2)[:, : columns // 2 + 1]

    def fields(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Independent fields: float64 (count, H, W), mean 0."""
        return self._filtered(rng.standard_normal((count, *self.shape)), np.sqrt(self.spectrum))

    def lesion(self, place: Place) -> np.ndarray:
        """What a lesion adds: float64 H W, contrast x (1 - (r/R)^2)^1.5. place: x, y of its centre in pixels."""
        return self.contrast * np.clip(1 - self._share(place), 0, None) ** 1.5

    def mask(self, place: Place) -> np.ndarray:
        """Where it adds anything: bool H W."""
        return self._share(place) < 1

    def stored(self, levels: int) -> Laboratory:
        """The same after rounding to 0 .. `levels`: that adds white noise of a twelfth of a level squared (Bennett 1948), where
        the floor is no smaller than a level."""
        return replace(self, floor=math.sqrt(self.floor**2 + 1 / (12 * levels**2)))

    def ideal_observer(self, place: Place) -> IdealObserver:
        """The prewhitening matched filter at one place: template K^-1 s, d'^2 = s' K^-1 s; K the covariance of all pixels, s the lesion."""
        signal = self.lesion(place)
        template = self._filtered(signal, 1 / self.spectrum)
        return IdealObserver(template=template, detectability=math.sqrt(np.vdot(signal, template)))

    @property
    def ceiling(self) -> float:
        """AUC of the ideal observer wherever the whole lesion is seen: the field is the same everywhere, so its place does not matter."""
        return self.ideal_observer((self.shape[1] // 2, self.shape[0] // 2)).auc

    def detectability_of(self, template: np.ndarray, place: Place) -> float:
        """d' of whoever weighs the pixels by any template, H W: the ideal one's is the largest."""
        noise = np.vdot(template, self._filtered(template, self.spectrum))
        return float(np.vdot(template, self.lesion(place)) / math.sqrt(noise))

    def _share(self, place: Place) -> np.ndarray:
        """Squared distance from a place, in radii of the lesion."""
        y, x = np.arange(self.shape[0])[:, None] - place[1], np.arange(self.shape[1])[None] - place[0]
        return (x**2 + y**2) * (2 * self.step_mm / self.lesion_mm) ** 2

    def _filtered(self, images: np.ndarray, response: np.ndarray) -> np.ndarray:
        return np.fft.irfft2(np.fft.rfft2(images) * response, s=self.shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class IdealObserver:
    """Nobody who sees these pixels and knows the place ranks images better. template: float64 H W.

    detectability: d', the distance between its scores with and without a lesion, in standard deviations.
    """

    template: np.ndarray
    detectability: float

    def scores(self, tissue: np.ndarray) -> np.ndarray:
        """Log likelihood ratio of lesion against none: float64 (...), of greys without their known mean, (..., H, W).

        Normal with variance d'^2, round d'^2/2 where the lesion is there and round -d'^2/2 where not.
        """
        return np.tensordot(tissue, self.template, 2) - self.detectability**2 / 2

    @property
    def auc(self) -> float:
        """Area under its ROC curve, Phi(d' / sqrt 2) (Green and Swets 1966)."""
        return 0.5 + 0.5 * math.erf(self.detectability / 2)
