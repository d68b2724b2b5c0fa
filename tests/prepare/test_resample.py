"""The one resampler against the closed form of a mean over an area, and against two libraries."""

import cv2
import numpy as np
import pytest

from mammolibs.prepare.resample import BLOCK_ROWS, resample

SHAPES = [((60, 90), (20, 30)), ((611, 307), (199, 100)), ((500, 64), (499, 64)), ((97, 300), (1, 7)), ((300, 97), (300, 31))]


def summed(image: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The integral of the image's columns from 0 to each of `ends`, in rows, read off between two whole ones."""
    whole = np.concatenate([np.zeros((1, image.shape[1])), np.cumsum(image.astype(np.float64), 0)])
    below = np.minimum(np.floor(ends).astype(int), len(image) - 1)
    return whole[below] + (ends - below)[:, None] * (whole[below + 1] - whole[below])


def means_over_rows(image: np.ndarray, rows: int) -> np.ndarray:
    ends = np.arange(rows + 1) * len(image) / rows
    return np.diff(summed(image, ends), axis=0) * rows / len(image)


@pytest.mark.parametrize(("before", "after"), SHAPES)
def test_a_smaller_image_holds_means_over_areas(before, after):
    image = np.random.default_rng(1).random(before).astype(np.float32)
    means = means_over_rows(means_over_rows(image, after[0]).T, after[1]).T
    made = resample(image, after)
    assert made.shape == after and made.dtype == np.float32
    assert np.abs(made - means).max() < 1e-6
    assert np.abs(made - cv2.resize(image, after[::-1], interpolation=cv2.INTER_AREA)).max() < 1e-6


def test_a_whole_factor_agrees_with_scikit_image():
    transform = pytest.importorskip("skimage.transform")
    image = np.random.default_rng(2).random((60, 90)).astype(np.float32)
    assert np.abs(resample(image, (20, 30)) - transform.downscale_local_mean(image, (3, 3))).max() < 1e-6


@pytest.mark.parametrize("dtype", (np.uint8, np.uint16))
def test_integers_are_rounded_and_keep_their_ends(dtype):
    top = np.iinfo(dtype).max
    image = np.random.default_rng(3).integers(0, top, (130, 77), endpoint=True).astype(dtype)
    made = resample(image, (41, 30))
    assert made.dtype == dtype
    assert np.abs(made - resample(image.astype(np.float32), (41, 30)).astype(np.float64)).max() <= 0.5
    assert (resample(np.full_like(image, top), (41, 30)) == top).all()


def test_a_part_that_holds_whole_pixels_gives_the_same_bits_as_the_whole():
    image = np.random.default_rng(4).random((5 * 7 * BLOCK_ROWS, 210)).astype(np.float32)
    whole = resample(image, (2 * 7 * BLOCK_ROWS, 84))
    part = resample(image[: 5 * 3 * BLOCK_ROWS, :105], (2 * 3 * BLOCK_ROWS, 42))
    assert np.array_equal(part, whole[: 2 * 3 * BLOCK_ROWS, :42])


def test_a_view_is_read_as_its_copy_and_left_as_it_was():
    image = np.random.default_rng(5).random((200, 150)).astype(np.float32)
    before = image.copy()
    view = image[7:190, ::-1][:, 3:140]
    assert np.array_equal(resample(view, (61, 40)), resample(view.copy(), (61, 40)))
    assert np.array_equal(image, before)


def test_a_larger_image_is_bilinear():
    ramp = np.tile(np.arange(50, dtype=np.float32), (20, 1))
    made = resample(ramp, (40, 100))
    assert np.abs(made[:, 1:-1] - ((np.arange(100) + 0.5) / 2 - 0.5)[1:-1]).max() < 1e-6


def test_what_has_the_size_already_is_given_back():
    image = np.random.default_rng(6).random((30, 20)).astype(np.float32)
    assert resample(image, (30, 20)) is image
