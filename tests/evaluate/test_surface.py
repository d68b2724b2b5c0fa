"""Distances of borders against closed forms, and what has none."""

from dataclasses import replace

import numpy as np
import pytest

from mammolibs.evaluate import Draws, measure, surface_distances
from mammolibs.evaluate.analysis import Evidence
from mammolibs.evaluate.lesion_sizes import overlap_by_size, size_mm


def disc(radius, centre=(60, 60), size=121):
    rows, columns = np.mgrid[:size, :size]
    return np.hypot(rows - centre[0], columns - centre[1]) <= radius


def test_equal_masks_do_not_lie_apart():
    assert surface_distances(disc(20), disc(20), 0.3) == (0.0, 0.0)


def test_points_lie_apart_by_their_distance():
    a, b = np.zeros((9, 9)), np.zeros((9, 9))
    a[1, 1], b[4, 5] = 1, 1
    assert surface_distances(a, b, 0.5) == pytest.approx((2.5, 2.5))


def test_discs_of_one_centre_lie_apart_by_their_radii():
    mean, most = surface_distances(disc(30), disc(20), 0.5)
    assert mean == pytest.approx(5.0, abs=0.25) and most == pytest.approx(5.0, abs=0.5)


def test_a_square_moved_sideways():
    """Left and right edges lie `shift` apart from the nearest of the other; top and bottom lie on it, but for the last `shift` pixels."""
    side, shift = 21, 3
    a, b = np.zeros((40, 40), bool), np.zeros((40, 40), bool)
    a[5 : 5 + side, 5 : 5 + side] = True
    b[5 : 5 + side, 5 + shift : 5 + shift + side] = True
    edge = [(y, x) for y in range(side) for x in range(side) if y in (0, side - 1) or x in (0, side - 1)]
    other = np.array([(y, x + shift) for y, x in edge])
    expected = [np.min(np.hypot(*(other - place).T)) for place in edge]
    mean, most = surface_distances(a, b, 0.2)
    assert mean == pytest.approx(0.2 * np.mean(expected)) and most == pytest.approx(0.2 * np.percentile(expected, 95)) == pytest.approx(0.6)


def test_the_answer_does_not_depend_on_which_is_the_truth_nor_on_air_around():
    a, b = disc(30), disc(12, (50, 75))
    wide = [np.pad(mask, 40) for mask in (a, b)]
    found = surface_distances(a, b, 1.0)
    assert surface_distances(b, a, 1.0) == pytest.approx(found) and surface_distances(*wide, 1.0) == pytest.approx(found)


def test_an_empty_mask_has_no_distance_and_shapes_must_agree():
    assert (
        surface_distances(np.zeros((5, 5)), np.ones((5, 5)), 1.0) is None
        and surface_distances(np.ones((5, 5)), np.zeros((5, 5)), 1.0) is None
    )
    with pytest.raises(ValueError, match="cannot be compared"):
        surface_distances(np.ones((5, 5)), np.ones((5, 6)), 1.0)


def test_figures_say_what_they_had_to_leave_out(make_predictions):
    rows = [replace(p, surface_mm=None if p.dice is None else 2.0, hausdorff95_mm=None) for p in make_predictions(40)]
    found = measure(rows, "surface_distance_mm", rounds=50)
    assert found.value == pytest.approx(2.0) and "left out" not in found.method
    none = measure(rows, "hausdorff95_mm", rounds=50)
    assert none.value is None and "with nothing above the cut" in none.reason
    unknown = measure([replace(p, spacing_mm=None) for p in rows], "hausdorff95_mm", rounds=50)
    assert unknown.value is None and "of unknown spacing" in unknown.reason


def test_each_image_falls_into_the_band_of_its_largest_lesion(make_predictions):
    rows = make_predictions(80)
    part = overlap_by_size(Evidence(held_out=rows, validation=[], draws=Draws([p.patient_id for p in rows], rounds=50), split_hash="x"))
    drawn = [p for p in rows if p.dice is not None]
    bands = {"up_to_10_mm": (0, 10), "10_to_20_mm": (10, 20), "over_20_mm": (20, np.inf)}
    for name, (low, high) in bands.items():
        own = [p.dice for p in drawn if low < size_mm(p) <= high]
        assert part.result[name]["dice"]["n"] == len(own)
        if own:
            assert part.result[name]["dice"]["value"] == pytest.approx(np.mean(own))
        else:
            assert part.result[name]["dice"]["reason"] == "no lesion image of this size"
    assert sum(part.result[name]["dice"]["n"] for name in bands) == len(drawn)
    assert overlap_by_size(Evidence(held_out=[p for p in rows if p.dice is None], validation=[], draws=Draws([]))) is None
