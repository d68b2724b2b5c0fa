import subprocess
import sys
from dataclasses import fields, replace

import cv2
import numpy as np
import pytest

from mammolibs.augment import Augment, augment_pair, generator, hidden_blocks, two_views
from mammolibs.augment.views import _power
from mammolibs.augment.warp import Geometry, affine, maps, warp
from mammolibs.errors import BadConfig

SHAPE = (128, 80)


@pytest.fixture
def pair():
    """A smooth breast on the left with air round it, and a disc on it."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    inside = (x / 60) ** 2 + ((y - 64) / 55) ** 2 < 1
    image = np.where(inside, 0.4 + 0.2 * np.sin(x / 9) + 0.2 * np.cos(y / 11), 0).astype(np.float32)
    return image, ((x - 30) ** 2 + (y - 50) ** 2 < 100).astype(np.uint8)


def test_the_same_seed_step_and_image_draw_the_same(pair):
    for make in (lambda rng: augment_pair(*pair, rng, Augment()), lambda rng: two_views(pair[0], rng, Augment())):
        first, again, other = (make(generator(7, step, "a")) for step in (3, 3, 4))
        assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
        assert not np.array_equal(first[0], other[0])


def test_every_part_of_the_name_counts():
    draws = {generator(*name).random() for name in ((0, 0, "a"), (1, 0, "a"), (0, 1, "a"), (0, 0, "b"), (0, 10, "a"), (-1, 0, "a"))}
    assert len(draws) == 6


GLOBAL_GENERATORS = """
import random
import numpy as np
from mammolibs.augment import Augment, augment_pair, generator, hidden_blocks, two_views

image = np.tile(np.linspace(0, 1, 80, dtype=np.float32), (128, 1))
np.random.seed(5)
random.seed(5)
before = np.random.get_state()[1].copy(), random.getstate()
augment_pair(image, (image > 0.5).astype(np.uint8), generator(0, 0, "a"), Augment())
two_views(image, generator(0, 0, "a"), Augment())
hidden_blocks(image.shape, generator(0, 0, "a"), 0.5, 16)
assert np.array_equal(np.random.get_state()[1], before[0]) and random.getstate() == before[1]
"""


def test_global_generators_stay_untouched():
    """In a process of its own: libraries' threads of other tests, such as those that wait before another try, draw from them too."""
    subprocess.run([sys.executable, "-c", GLOBAL_GENERATORS], check=True, timeout=60)


def test_what_comes_out_fits_what_went_in(pair):
    for step in range(20):
        image, mask = augment_pair(*pair, generator(0, step, "a"), Augment())
        views = two_views(pair[0], generator(0, step, "a"), Augment())
        for one in (image, *views):
            assert one.shape == SHAPE and one.dtype == np.float32 and one.min() >= 0 and one.max() <= 1 and one.any()
        assert mask.shape == SHAPE and mask.dtype == np.uint8 and set(np.unique(mask)) <= {0, 1}
    assert augment_pair(pair[0], None, generator(0, 0, "a"), Augment())[1] is None


def test_the_input_is_left_alone(pair):
    before = [plane.copy() for plane in pair]
    for plane in pair:
        plane.setflags(write=False)
    augment_pair(*pair, generator(0, 0, "a"), Augment())
    two_views(pair[0], generator(0, 0, "a"), Augment())
    assert all(np.array_equal(a, b) for a, b in zip(pair, before, strict=True))


def test_nothing_changes_where_all_is_off(pair):
    image, mask = augment_pair(*pair, generator(0, 0, "a"), Augment.none())
    assert np.abs(image - pair[0]).max() < 1e-6 and np.array_equal(mask, pair[1])


def test_air_stays_exactly_air(pair):
    config = replace(Augment.none(), brightness=0.3, contrast=0.5, noise=0.2, gamma=2.0, blur_px=2.0)
    for step in range(10):
        image, _ = augment_pair(*pair, generator(0, step, "a"), config)
        assert not image[pair[0] == 0].any()


def test_image_and_mask_move_together(pair):
    disc = pair[1].astype(np.float32)
    config = replace(Augment.none(), rotation_degrees=30, shift_share=0.1, scale=1.3, elastic_share=0.02, up_down=0.5)
    for step in range(20):
        image, mask = augment_pair(disc, pair[1], generator(0, step, "a"), config)
        seen = image > 0.5
        assert (seen & mask).sum() / max((seen | mask).sum(), 1) > 0.85
        assert set(np.unique(augment_pair(disc, pair[1] * 6, generator(0, step, "a"), config)[1])) <= {0, 6}


def test_the_chest_wall_stays_on_the_left(pair):
    for step in range(30):
        image, _ = augment_pair(*pair, generator(0, step, "a"), Augment())
        assert image[:, : SHAPE[1] // 2].sum() > image[:, SHAPE[1] // 2 :].sum()


def test_about_every_second_image_is_upside_down():
    y = np.repeat(np.linspace(0.1, 0.9, SHAPE[0], dtype=np.float32)[:, None], SHAPE[1], 1)
    config = replace(Augment.none(), up_down=0.5)
    flipped = sum(augment_pair(y, None, generator(0, step, "a"), config)[0][5, 5] > 0.5 for step in range(200))
    assert 70 < flipped < 130


def test_switching_one_change_off_leaves_the_others_as_they_were(pair):
    calm = replace(Augment(), noise=0.0, blur_px=0.0)
    for off in ("elastic_share", "gamma"):
        value = 1.0 if off == "gamma" else 0.0
        masks = [augment_pair(*pair, generator(0, 2, "a"), replace(calm, **{off: v}))[1] for v in (value, max(value, 1e-9))]
        assert np.array_equal(*masks)


def test_gamma_contrast_and_brightness_are_what_they_say(pair):
    step = 0
    gamma = augment_pair(*pair, generator(0, step, "a"), replace(Augment.none(), gamma=1.5))[0]
    inside = pair[0] > 0.05
    exponent = np.log(gamma[inside]) / np.log(pair[0][inside])
    assert np.ptp(exponent[np.isfinite(exponent)]) < 1e-3 and 1 / 1.5 <= exponent[0] <= 1.5
    bright = augment_pair(*pair, generator(0, step, "a"), replace(Augment.none(), brightness=0.1))[0]
    assert np.ptp((bright - pair[0])[inside & (bright > 0) & (bright < 1)]) < 1e-6


@pytest.mark.parametrize("exponent", [0.5, 0.8, 1.25, 2.0])
def test_a_power_is_numpys_power(exponent):
    values = np.linspace(0, 1, 4096, dtype=np.float32).reshape(64, 64)
    powers = values.copy()
    _power(powers, exponent)
    assert np.abs(powers - values.astype(np.float64) ** exponent).max() < 2e-6


def test_contrast_keeps_the_mean_of_the_breast_whatever_was_done_before(pair):
    """Blur and a strong gamma leave traces in air, which must not count. Where contrast clips nothing, that is."""
    before, inside, compared = replace(Augment.none(), blur_px=3.0, gamma=20.0), pair[0] > 0, 0
    for step in range(40):
        plain, changed = (augment_pair(pair[0], None, generator(0, step, "a"), replace(before, contrast=c))[0][inside] for c in (0.0, 0.02))
        if changed.min() > 0 and changed.max() < 1:
            compared += not np.array_equal(plain, changed)
            assert plain.mean() == pytest.approx(changed.mean(), abs=2e-6)
    assert compared > 10


def test_the_centre_shows_the_source_that_it_should():
    matrix = affine(SHAPE, degrees=30, zoom=(1.3, 0.8), source_centre=(11.0, 90.0), up_down=True)
    assert matrix @ [39.5, 63.5, 1] == pytest.approx([11, 90])


def test_a_map_is_the_affine_change_and_the_spread_knots(pair):
    bend = np.zeros((2, 5, 5), np.float32)
    bend[0], bend[1, 2, 2] = 3.0, 7.0
    matrix = affine(SHAPE, degrees=20, zoom=(1.1, 0.9), shift=(3, -4), up_down=True)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    straight = np.tensordot(matrix, np.stack([x, y, np.ones_like(x)]), 1)
    moved = maps(Geometry(matrix, bend), SHAPE) - straight
    assert np.abs(moved[0] - 3).max() < 1e-3
    distance = np.hypot((y - 63.5) / 127, (x - 39.5) / 79)
    assert 4 < moved[1].max() < 7 and distance.ravel()[moved[1].argmax()] < 0.02
    assert moved[1].min() > -1e-3 and moved[1][distance > 0.6].max() < 0.05


def test_an_affine_map_agrees_with_its_remap(pair):
    matrix = affine(SHAPE, degrees=20, zoom=(1.1, 0.9), shift=(3, -4), up_down=True)
    straight = warp(pair[0], None, Geometry(matrix, None))[0]
    bent = warp(pair[0], None, Geometry(matrix, np.zeros((2, 5, 5), np.float32)))[0]
    assert np.abs(straight - bent).max() < 0.05 and np.abs(straight - bent).mean() < 1e-3
    across, down = maps(Geometry(matrix, None), SHAPE)
    point = matrix @ [10, 20, 1]
    assert (across[20, 10], down[20, 10]) == pytest.approx(tuple(point), abs=1e-3)


def test_an_affine_map_agrees_with_scikit_image(pair):
    transform = pytest.importorskip("skimage.transform")
    matrix = affine(SHAPE, degrees=12, zoom=(1.2, 1.2), shift=(4, 5))
    oracle = transform.warp(pair[0], transform.AffineTransform(np.vstack([matrix, [0, 0, 1]])), order=1, mode="constant", cval=0)
    mine = warp(pair[0], None, Geometry(matrix, None))[0]
    assert np.abs(mine - oracle)[2:-2, 2:-2].mean() < 2e-3


def test_views_differ_and_show_parts_of_the_breast(pair):
    config = replace(Augment.none(), crop_least=0.3)
    filled = []
    for step in range(20):
        first, second = two_views(pair[0], generator(0, step, "a"), config)
        assert not np.array_equal(first, second)
        filled += [np.mean(first > 0), np.mean(second > 0)]
    assert np.mean(filled) > np.mean(pair[0] > 0)


def test_an_empty_image_stays_empty():
    for view in two_views(np.zeros(SHAPE, np.float32), generator(0, 0, "a"), Augment()):
        assert not view.any()


@pytest.mark.parametrize(("share", "block"), [(0.5, 16), (0.75, 8), (0.0, 16), (1.0, 16)])
def test_the_share_of_hidden_blocks_is_exact(share, block):
    hidden = hidden_blocks(SHAPE, generator(0, 0, "a"), share, block)
    assert hidden.shape == SHAPE and hidden.dtype == np.float32 and set(np.unique(hidden)) <= {0.0, 1.0}
    assert hidden.mean() == share
    tiles = hidden.reshape(SHAPE[0] // block, block, SHAPE[1] // block, block)
    assert (tiles.max((1, 3)) == tiles.min((1, 3))).all()


def test_blocks_that_do_not_divide_the_image_are_cut():
    assert hidden_blocks((50, 33), generator(0, 0, "a"), 0.4, 16).shape == (50, 33)


def test_all_steps_hide_every_place_alike():
    mean = np.mean([hidden_blocks(SHAPE, generator(0, step, "a"), 0.5, 16) for step in range(400)], 0)
    assert np.abs(mean - 0.5).max() < 0.12


@pytest.mark.parametrize("field", [field.name for field in fields(Augment)])
def test_impossible_settings_are_refused(field):
    with pytest.raises(BadConfig, match=field):
        replace(Augment(), **{field: -0.5})


def test_threads_do_not_change_the_result(pair):
    threads = cv2.getNumThreads()
    results = []
    try:
        for count in (1, 2):
            cv2.setNumThreads(count)
            results.append(augment_pair(*pair, generator(0, 0, "a"), Augment())[0])
    finally:
        cv2.setNumThreads(threads)
    assert np.array_equal(*results)
