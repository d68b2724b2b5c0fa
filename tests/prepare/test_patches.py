import numpy as np
import pytest

from mammolibs.prepare import Contract, cut_patch, full_resolution, patch_placement, patch_side_px, to_canvas

CONTRACT = Contract(patch_mm=12.8, patch_size_px=64, patch_height_share=0.25)


def test_a_patch_covers_millimetres_or_a_share_of_the_breast():
    assert patch_side_px(CONTRACT, 0.1, 2000) == 128
    assert patch_side_px(CONTRACT, None, 2000) == 500


def test_at_its_own_scale_a_patch_is_a_cut(breast, mammogram_of):
    full = full_resolution(mammogram_of(breast[0], spacing_mm=0.2), CONTRACT)
    patch = cut_patch(full, (100.5, 180.5), CONTRACT)
    x0, y0 = full.crop[:2]
    assert np.array_equal(patch, full.pixels[149 - y0 : 213 - y0, 69 - x0 : 133 - x0])


def test_beyond_the_breast_a_patch_is_air(breast, mammogram_of):
    full = full_resolution(mammogram_of(breast[0]), CONTRACT)
    patch = cut_patch(full, (0, 200), CONTRACT)
    assert (patch[:, :31] == 0).all() and (patch[:, 33:] > 0).all()
    assert not cut_patch(full, (5000, 5000), CONTRACT).any()


def test_twins_have_equal_patches_and_placements_that_say_so(breast, mammogram_of):
    pixels, _ = breast
    width = pixels.shape[1]
    twin = full_resolution(mammogram_of(np.ascontiguousarray(pixels[:, ::-1])), CONTRACT)
    full = full_resolution(mammogram_of(pixels), CONTRACT)
    for x, y in ((100, 180), (37.2, 301.9), (3, 200)):
        assert np.array_equal(cut_patch(full, (x, y), CONTRACT), cut_patch(twin, (width - 1 - x, y), CONTRACT))
        here = to_canvas([[x, y]], patch_placement(full, (x, y), CONTRACT))
        there = to_canvas([[width - 1 - x, y]], patch_placement(twin, (width - 1 - x, y), CONTRACT))
        assert here == pytest.approx(there, abs=1e-9)
        assert here == pytest.approx(np.full((1, 2), 31.5), abs=0.51)


def test_a_bright_spot_stands_in_the_middle_of_its_patch(breast, mammogram_of):
    pixels, _ = breast
    dark, bright = pixels * np.float32(0.5), pixels * np.float32(0.5)
    bright[200:204, 80:84] = 1
    contract = Contract(patch_mm=30, patch_size_px=96)
    patches = [
        cut_patch(full_resolution(mammogram_of(p, spacing_mm=0.15), contract), (81.5, 201.5), contract).astype(float)
        for p in (dark, bright)
    ]
    rows, columns = np.nonzero(patches[1] - patches[0] > 3000)
    assert abs(rows.mean() - 47.5) <= 0.5 and abs(columns.mean() - 47.5) <= 0.5
