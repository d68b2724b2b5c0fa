"""One image and its mask changed together; two views of one image for contrastive learning.

Every change draws its numbers whether it is switched on or not, so that switching one off
leaves the others as they were.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from mammolibs.augment.config import Augment
from mammolibs.augment.draw import normal_noise, skip_noise
from mammolibs.augment.warp import ELASTIC_GRID, Geometry, affine, warp

TINY = 1e-12
"""What gamma takes 0 for, whose logarithm is none. Its usual powers are no denormal numbers, which are several times as slow."""


def augment_pair(
    image: np.ndarray, mask: np.ndarray | None, rng: np.random.Generator, config: Augment
) -> tuple[np.ndarray, np.ndarray | None]:
    """Image float32 H W in [0, 1] and mask (8 bit, or None), through one geometry; air stays exactly 0. Same shapes out.

    rng: from `generator`.
    """
    # A warp reads across rows. What is not in the processor's cache yet comes sooner by a copy, which reads in order.
    image, mask = warp(image.copy(), None if mask is None else mask.copy(), _geometry(image.shape, rng, config))
    return _intensity(image, rng, config), mask


def two_views(image: np.ndarray, rng: np.random.Generator, config: Augment) -> tuple[np.ndarray, np.ndarray]:
    """Two views of one image float32 H W in [0, 1]: each a part of the breast, enlarged, turned and changed by itself. Same shape out.

    rng: from `generator`.
    """
    box = _content_box(image)
    first, second = (_intensity(warp(image, None, _view(image.shape, box, rng, config))[0], rng, config) for _ in range(2))
    return first, second


def _geometry(shape: tuple[int, int], rng: np.random.Generator, config: Augment) -> Geometry:
    turn, grow, right, down, flip = rng.random(5).tolist()
    matrix = affine(
        shape,
        degrees=_both(turn, config.rotation_degrees),
        zoom=(config.scale ** _both(grow, 1.0),) * 2,
        shift=(_both(right, config.shift_share) * shape[1], _both(down, config.shift_share) * shape[0]),
        up_down=bool(flip < config.up_down),
    )
    return Geometry(matrix, _bend(shape, rng, config))


def _view(shape: tuple[int, int], box: tuple[int, int, int, int], rng: np.random.Generator, config: Augment) -> Geometry:
    """A part of the breast's box, of `crop_least` of its area or more, enlarged by as much as it is smaller than the box."""
    turn, part, stretch, across, down, flip = rng.random(6).tolist()
    share = math.sqrt(config.crop_least + part * (1 - config.crop_least))
    x0, y0, x1, y1 = box
    room_x, room_y = (1 - share) * (x1 - x0), (1 - share) * (y1 - y0)
    centre = ((x0 + x1 - 1) / 2 + _both(across, room_x / 2), (y0 + y1 - 1) / 2 + _both(down, room_y / 2))
    skew = config.aspect ** _both(stretch, 0.5)
    matrix = affine(
        shape,
        degrees=_both(turn, config.rotation_degrees),
        zoom=(skew / share, 1 / (skew * share)),
        source_centre=centre,
        up_down=bool(flip < config.up_down),
    )
    return Geometry(matrix, _bend(shape, rng, config))


def _bend(shape: tuple[int, int], rng: np.random.Generator, config: Augment) -> np.ndarray | None:
    # In float64, which takes whole 64-bit words: where noise is skipped, a half one would be lost.
    field = rng.standard_normal((2, ELASTIC_GRID, ELASTIC_GRID))
    return (field * (config.elastic_share * min(shape))).astype(np.float32) if config.elastic_share else None


def _intensity(image: np.ndarray, rng: np.random.Generator, config: Augment) -> np.ndarray:
    """Blur, gamma, contrast, brightness and noise inside the breast; float32 H W in [0, 1], air exactly 0. In the image's own memory."""
    bend, stretch, lift, blurred, sigma, grain = rng.random(6).tolist()
    # What a pixel may be at most: 1 in the breast, 0 in air.
    most = cv2.threshold(image, 0, 1, cv2.THRESH_BINARY)[1]
    if config.blur_px and blurred < 0.5 and sigma > 0:
        cv2.GaussianBlur(image, (0, 0), sigma * config.blur_px, dst=image)
    _power(image, config.gamma ** _both(bend, 1.0))
    contrast, offset = 1 + _both(stretch, config.contrast), _both(lift, config.brightness)
    if contrast != 1:
        # Without what blur and gamma leave in air, the sum of all pixels is the breast's.
        np.multiply(image, most, out=image)
        offset += (1 - contrast) * cv2.sumElems(image)[0] / max(cv2.sumElems(most)[0], 1)
    noise, weight = image, 0.0
    if config.noise:
        noise, weight = normal_noise(image.shape, rng), grain * config.noise
    else:
        skip_noise(image.shape, rng)
    cv2.addWeighted(image, contrast, noise, weight, offset, dst=image)
    cv2.threshold(image, 0, 0, cv2.THRESH_TOZERO, dst=image)
    return np.minimum(image, most, out=image)


def _power(image: np.ndarray, exponent: float) -> None:
    """Raise float32 H W in [0, 1] to a power, in its own memory. cv2.pow and np.power take five times as long."""
    if exponent != 1:
        cv2.max(image, TINY, dst=image)
        cv2.log(image, dst=image)
        np.multiply(image, np.float32(exponent), out=image)
        cv2.exp(image, dst=image)


def _content_box(image: np.ndarray) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of what is not air; the whole image where all is."""
    x, y, width, height = cv2.boundingRect(cv2.compare(image, 0, cv2.CMP_NE))
    return (x, y, x + width, y + height) if width else (0, 0, *image.shape[::-1])


def _both(uniform: float, reach: float) -> float:
    """A number from [0, 1) spread over [-reach, reach)."""
    return (2 * float(uniform) - 1) * reach
