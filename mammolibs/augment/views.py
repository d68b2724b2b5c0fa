"""One image and its mask changed together; two views of one image for contrastive learning.

Every change draws its numbers whether it is switched on or not, so that switching one off
leaves the others as they were.
"""

from __future__ import annotations

import cv2
import numpy as np

from mammolibs.augment.config import Augment
from mammolibs.augment.warp import ELASTIC_GRID, Geometry, affine, warp

TINY = np.float32(1e-12)


def augment_pair(image: np.ndarray, mask: np.ndarray | None, rng: np.random.Generator, config: Augment) -> tuple[np.ndarray, np.ndarray | None]:
    """Image float32 H W in [0, 1] and mask (8 bit, or None), through one geometry; air stays exactly 0. Same shapes out."""
    image, mask = warp(image, mask, _geometry(image.shape, rng, config))
    return _intensity(image, rng, config), mask


def two_views(image: np.ndarray, rng: np.random.Generator, config: Augment) -> tuple[np.ndarray, np.ndarray]:
    """Two views of one image float32 H W in [0, 1]: each a part of the breast, enlarged, turned and changed by itself. Same shape out."""
    box = _content_box(image)
    first, second = (_intensity(warp(image, None, _view(image.shape, box, rng, config))[0], rng, config) for _ in range(2))
    return first, second


def _geometry(shape: tuple[int, int], rng: np.random.Generator, config: Augment) -> Geometry:
    turn, grow, right, down, flip = rng.random(5)
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
    turn, part, stretch, across, down, flip = rng.random(6)
    share = np.sqrt(config.crop_least + part * (1 - config.crop_least))
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
    field = rng.standard_normal((2, ELASTIC_GRID, ELASTIC_GRID), dtype=np.float32)
    return field * np.float32(config.elastic_share * min(shape)) if config.elastic_share else None


def _intensity(image: np.ndarray, rng: np.random.Generator, config: Augment) -> np.ndarray:
    """Blur, gamma, contrast, brightness and noise inside the breast; float32 H W in [0, 1], air exactly 0."""
    bend, stretch, lift, blurred, sigma, grain = rng.random(6)
    breast = image > 0
    if config.blur_px and blurred < 0.5 and sigma > 0:
        image = cv2.GaussianBlur(image, (0, 0), sigma * config.blur_px)
    gamma, contrast, brightness = config.gamma ** _both(bend, 1.0), 1 + _both(stretch, config.contrast), _both(lift, config.brightness)
    if gamma != 1:
        image = np.exp(np.log(np.maximum(image, TINY)) * np.float32(gamma))
    if contrast != 1 or brightness:
        mean = cv2.mean(image, breast.view(np.uint8))[0]
        image = image * np.float32(contrast) + np.float32(mean * (1 - contrast) + brightness)
    if config.noise:
        image = image + rng.standard_normal(image.shape, dtype=np.float32) * np.float32(grain * config.noise)
    return np.where(breast, np.clip(image, 0, 1), np.float32(0))


def _content_box(image: np.ndarray) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of what is not air; the whole image where all is."""
    rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
    if not len(rows):
        return 0, 0, image.shape[1], image.shape[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _both(uniform: float, reach: float) -> float:
    """A number from [0, 1) spread over [-reach, reach)."""
    return (2 * float(uniform) - 1) * reach
