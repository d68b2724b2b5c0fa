from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest

from mammolibs.augment import Augment, augment_pair, generator, hidden_blocks, two_views
from mammolibs.augment.draw import normal_noise, skip_noise

SHAPE = (256, 256)
IMAGES = 64
SPREAD = 1 / (IMAGES * SHAPE[0] * SHAPE[1]) ** 0.5
"""Standard deviation of the mean of as many independent normal numbers as `fields` holds: 0.0005."""


@pytest.fixture(scope="module")
def fields():
    return np.stack([normal_noise(SHAPE, generator(3, 1, f"image {number}")) for number in range(IMAGES)]).astype(np.float64)


def test_moments_are_those_of_the_normal_distribution(fields):
    """Each within five standard deviations of the same moment of as many normal numbers: 0.0024 for the mean, 0.024 for the fourth."""
    mean, square, cube, fourth = (np.mean(fields**power) for power in (1, 2, 3, 4))
    assert abs(mean) < 5 * SPREAD
    assert abs(square - 1) < 5 * SPREAD * 2**0.5
    assert abs(cube) < 5 * SPREAD * 15**0.5
    assert abs(fourth - 3) < 5 * SPREAD * 96**0.5


@pytest.mark.parametrize("share", [0.0001, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9999])
def test_quantiles_are_those_of_the_normal_distribution(fields, share):
    """As many numbers lie below each quantile as there should, within five standard deviations of that count."""
    below = np.mean(fields < NormalDist().inv_cdf(share))
    assert abs(below - share) < 5 * SPREAD * (share * (1 - share)) ** 0.5


def test_no_number_lies_farther_out_than_is_said(fields):
    assert 4.2 < np.abs(fields).max() < 4.33


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 5, SHAPE[1], SHAPE[1] + 1])
def test_pixels_are_independent(fields, lag):
    """Neighbours along rows, along columns, and 16-bit parts of one 64-bit word (1 to 3 apart): values and distances from 0."""
    flat = fields.reshape(IMAGES, -1)
    for values in (flat, np.abs(flat) - np.abs(flat).mean()):
        assert abs(np.mean(values[:, lag:] * values[:, :-lag]) / values.var()) < 5 * SPREAD


def test_images_and_steps_have_noise_of_their_own():
    names = [(0, 0, "a"), (0, 0, "b"), (0, 1, "a"), (1, 0, "a")]
    noises = np.stack([normal_noise(SHAPE, generator(*name)).ravel() for name in names])
    assert np.abs(np.corrcoef(noises) - np.eye(len(names))).max() < 0.02
    assert np.array_equal(noises[0], normal_noise(SHAPE, generator(*names[0])).ravel())


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (17, 4), (50, 33)])
def test_any_shape_can_be_filled_or_skipped(shape):
    filled, skipped = generator(0, 0, "a"), generator(0, 0, "a")
    noise = normal_noise(shape, filled)
    skip_noise(shape, skipped)
    assert noise.shape == shape and noise.dtype == np.float32
    assert filled.random() == skipped.random()


def test_noise_comes_to_an_image_as_it_was_drawn():
    """On a flat image with all else off, the result is the image and noise of one sigma up to the largest, in float32's precision."""
    flat = np.full(SHAPE, 0.5, np.float32)
    for step in range(5):
        image, _ = augment_pair(flat, None, generator(0, step, "a"), replace(Augment.none(), noise=0.1))
        noise = image.astype(np.float64) - 0.5
        sigma = noise.std()
        assert 0 < sigma <= 0.1 and abs(noise.mean()) < 5 * sigma / SHAPE[0]
        for share in (0.01, 0.25, 0.75, 0.99):
            assert abs(np.quantile(noise / sigma, share) - NormalDist().inv_cdf(share)) < 0.1


def test_views_have_noise_of_their_own():
    config = replace(Augment.none(), noise=0.1)
    first, second = two_views(np.full(SHAPE, 0.5, np.float32), generator(0, 0, "a"), config)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.02


def test_switching_noise_off_leaves_all_that_is_drawn_after_it():
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    image = (0.5 + 0.2 * np.sin(x / 9) * np.cos(y / 11)).astype(np.float32)
    results = []
    for noise in (0.0, 1e-7):
        config, rng = replace(Augment(), noise=noise), generator(0, 5, "a")
        results.append((*two_views(image, rng, config), augment_pair(image, None, rng, config)[0], hidden_blocks(SHAPE, rng, 0.5, 16)))
    assert all(np.abs(off - on).max() < 2e-6 for off, on in zip(*results, strict=True))
    assert np.array_equal(results[0][-1], results[1][-1])
