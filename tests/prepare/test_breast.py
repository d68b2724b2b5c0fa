import cv2
import numpy as np
import pytest

from mammolibs.errors import BadFile
from mammolibs.prepare import Contract, chest_wall_side, find_breast, mask_on_pixels
from mammolibs.prepare.breast import otsu


def whole(region):
    mask = np.zeros(region.shape, bool)
    x0, y0, x1, y1 = region.box
    mask[y0:y1, x0:x1] = mask_on_pixels(region)
    return mask


def overlap(a, b):
    return (a & b).sum() / (a | b).sum()


def assert_found(pixels, inside, padding=None):
    mask = whole(find_breast(pixels, padding))
    assert (inside & ~mask).sum() <= 0.01 * inside.sum()
    assert overlap(mask, inside) > 0.8


def test_the_drawn_breast_is_found_whole(breast):
    assert_found(*breast)


def test_the_mask_without_growth_is_the_breast(breast):
    region = find_breast(breast[0], contract=Contract(finder_grow_cells=0))
    assert overlap(whole(region), breast[1]) > 0.95


def test_the_box_holds_the_mask_and_one_cell(breast):
    region = find_breast(breast[0])
    ys, xs = np.nonzero(whole(region))
    x0, y0, x1, y1 = region.box
    half = region.reduce // 2
    assert x0 == 0 and y0 <= ys.min() - half and y1 > ys.max() + half and x1 > xs.max() + half
    assert y1 - y0 <= np.ptp(ys) + 1 + 4 * region.reduce


def test_markers_and_bright_strips_are_no_breast(breast):
    pixels, inside = breast
    pixels[10:60, 260:310] = 1.0
    pixels[:, 316:] = 1.0
    label = np.zeros(pixels.shape, np.uint8)
    cv2.putText(label, "R MLO", (200, 390), cv2.FONT_HERSHEY_SIMPLEX, 1, 255, 3)
    pixels[label > 0] = 1.0
    assert_found(pixels, inside)


def test_tape_that_touches_the_breast_is_no_breast(breast):
    pixels, inside = breast
    pixels[200:205, :] = 0.9
    assert_found(pixels, inside)
    assert not whole(find_breast(pixels))[:, 250:].any()


def test_a_film_in_a_black_frame_is_not_the_breast(make_breast):
    film, inside = make_breast(air=0.15, reach=0.8)
    pixels, mask = np.zeros((480, 480), np.float32), np.zeros((480, 480), bool)
    pixels[40:440, 80:400], mask[40:440, 80:400] = film, inside
    assert_found(pixels, mask)


def test_padding_is_no_breast_even_where_it_is_bright(breast):
    pixels, inside = breast
    padding = np.zeros(pixels.shape, bool)
    padding[:, 250:] = True
    pixels[padding] = 20.0
    assert_found(pixels, inside, padding)


def test_integer_pixels_do_as_well(breast):
    pixels, inside = breast
    assert_found((pixels * 4000).astype(np.uint16), inside)
    assert_found((pixels * 4000).astype(np.int32), inside)


@pytest.mark.parametrize("shape", [(401, 323), (1031, 777), (100, 80), (20, 200)])
def test_sides_need_not_be_whole_cells(make_breast, shape):
    region = find_breast(make_breast(*shape)[0])
    x0, y0, x1, y1 = region.box
    assert 0 <= x0 < x1 <= shape[1] and 0 <= y0 < y1 <= shape[0]
    assert mask_on_pixels(region).shape == (y1 - y0, x1 - x0)


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.zeros((200, 200), np.float32), "equal"),
        (np.full((200, 200), np.nan, np.float32), "equal"),
        (np.pad(np.ones((12, 12), np.float32), 150), "covers"),
        (np.ones((4, 300), np.float32), "4 x 300"),
    ],
)
def test_what_holds_no_breast_is_an_error_that_names_the_file(pixels, reason):
    with pytest.raises(BadFile, match=f"film7.pgm: no breast found .*{reason}"):
        find_breast(pixels, name="film7.pgm")


def test_otsu_agrees_with_scikit_image():
    filters = pytest.importorskip("skimage.filters")
    rng = np.random.default_rng(3)
    values = np.concatenate([rng.normal(0.2, 0.05, 4000), rng.normal(0.7, 0.1, 2500)])
    step = np.ptp(values) / 256
    assert otsu(values) == pytest.approx(filters.threshold_otsu(values, 256), abs=1.01 * step)


def test_the_chest_wall_is_where_the_breast_is_cut(breast):
    assert chest_wall_side(breast[1]) == "left"
    assert chest_wall_side(breast[1][:, ::-1], "L") == "right"


@pytest.mark.parametrize(("laterality", "side"), [("L", "left"), ("R", "right"), ("unknown", "left")])
def test_a_tie_is_decided_by_the_laterality(laterality, side):
    y, x = np.mgrid[-50:51, -40:41]
    assert chest_wall_side(x**2 + (0.7 * y) ** 2 < 900, laterality) == side
    assert chest_wall_side(np.ones((30, 30), bool), laterality) == side
