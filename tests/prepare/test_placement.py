import numpy as np
import pytest

from mammolibs.prepare import breast_box, image_to_canvas, mask_to_canvas, mask_to_original, place, to_canvas, to_original
from mammolibs.prepare.placement import extended_size

CASES = [
    ((1024, 1024), (320, 0, 864, 1024), True, (512, 320)),
    ((1664, 1280), (0, 64, 867, 1597), False, (256, 160)),
    ((777, 401), (13, 7, 398, 770), True, (1008, 656)),
    ((200, 180), (5, 10, 60, 50), False, (512, 320)),
]


@pytest.mark.parametrize("case", CASES)
def test_points_come_back_exactly(case):
    placement = place(*case)
    points = np.random.default_rng(0).uniform(-500, 4000, (1000, 2))
    assert np.abs(to_original(to_canvas(points, placement), placement) - points).max() < 1e-6
    assert np.abs(to_canvas(to_original(points, placement), placement) - points).max() < 1e-6


@pytest.mark.parametrize("case", CASES)
def test_the_crop_fits_tightly_with_one_scale(case):
    placement = place(*case)
    x0, y0, x1, y1 = placement.crop
    extended = extended_size(placement)
    assert extended[0] >= y1 - y0 and extended[1] >= x1 - x0
    assert extended[0] * placement.scale == pytest.approx(placement.canvas[0], abs=1e-9)
    assert extended[1] * placement.scale == pytest.approx(placement.canvas[1], abs=1e-9)
    best = min(placement.canvas[0] / (y1 - y0), placement.canvas[1] / (x1 - x0))
    assert 0.9 * best < placement.scale <= best
    assert breast_box(placement)[:2] == (0, 0)


@pytest.mark.parametrize("case", CASES)
def test_a_blob_lands_where_its_centre_is_said_to(case):
    placement = place(*case)
    x0, y0, x1, y1 = placement.crop
    y, x = np.mgrid[: placement.original[0], : placement.original[1]]
    for share in (0.3, 0.7):
        centre = np.array([x0 + share * (x1 - x0), y0 + 0.6 * (y1 - y0)])
        spread = max(2.0, 3 / placement.scale)
        image = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * spread**2)).astype(np.float32)
        canvas = image_to_canvas(image, placement).astype(np.float64)
        rows, columns = np.indices(canvas.shape)
        found = np.array([(canvas * columns).sum(), (canvas * rows).sum()]) / canvas.sum()
        assert np.abs(found - to_canvas(centre[None], placement)[0]).max() < 0.05


@pytest.mark.parametrize("case", CASES)
def test_a_mask_survives_the_way_there_and_back(case):
    placement = place(*case)
    x0, y0, x1, y1 = placement.crop
    y, x = np.mgrid[: placement.original[0], : placement.original[1]]
    radius = 0.25 * min(x1 - x0, y1 - y0)
    mask = ((x - (x0 + x1) / 2) ** 2 + (y - (y0 + y1) / 2) ** 2 < radius**2).astype(np.uint8)
    back = mask_to_original(mask_to_canvas(mask, placement), placement)
    assert back.shape == mask.shape
    assert (mask & back).sum() / (mask | back).sum() > 0.95


@pytest.mark.parametrize("times", (2, 3, 6, 7, 10, 12))
def test_a_pixel_that_is_covered_by_exactly_one_half_belongs_to_the_mask(times):
    placement = place((64 * times, 32 * times), (0, 0, 32 * times, 64 * times), False, (64, 32))
    pixels = np.random.default_rng(times).permutation(times * times).reshape(times, times)
    half = -(-times * times // 2)
    for covered, expected in ((half, 1), (half - 1, 0)):
        mask = np.tile(pixels < covered, (64, 32))
        assert (mask_to_canvas(mask, placement) == expected).all()
