"""Regions of a probability map: known blobs come back, strongest first."""

import numpy as np
import pytest

from mammolibs.predict import RegionRule, find_regions


def blob(shape, x, y, sigma, height):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return (height * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))).astype(np.float32)


def test_two_blobs_are_two_regions_in_order_of_height():
    probability = blob((128, 96), 30, 40, 6, 0.5) + blob((128, 96), 70, 90, 5, 0.9)
    first, second = find_regions(probability)
    assert first.probability > second.probability
    assert first.centre == pytest.approx((70, 90), abs=0.5) and second.centre == pytest.approx((30, 40), abs=0.5)


def test_a_region_reaches_down_to_its_share_of_the_peak():
    # A Gaussian of sigma s blurred by 1.5 falls to half at 1.1774 x its new sigma.
    (region,) = find_regions(blob((96, 96), 48, 48, 8, 0.8))
    radius = 1.1774 * np.hypot(8, 1.5)
    assert region.area_px == pytest.approx(np.pi * radius**2, rel=0.03)
    x0, y0, x1, y1 = region.box
    assert (x1 - x0, y1 - y0) == pytest.approx((2 * radius, 2 * radius), abs=2)


def test_nothing_above_the_floor_is_nothing():
    assert find_regions(np.full((32, 32), 0.01, np.float32)) == []


def test_no_more_than_count():
    probability = sum(blob((200, 200), x, y, 3, 0.5) for x in range(20, 200, 40) for y in range(20, 200, 40))
    assert len(find_regions(probability, RegionRule(count=4))) == 4
    assert len(find_regions(probability, RegionRule(count=50))) == 25


def test_one_noisy_pixel_makes_no_strong_region():
    probability = np.zeros((64, 64), np.float32)
    probability[30, 30] = 1.0
    regions = find_regions(probability)
    assert not regions or regions[0].probability < 0.1
