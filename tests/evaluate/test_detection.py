"""Lesions found: the hit rule at its edges, FROC by hand and against a plain loop."""

from dataclasses import replace

import numpy as np
import pytest

from mammolibs.evaluate import LesionTruth, Prediction, Region, match_regions, measure
from mammolibs.evaluate.bootstrap import point
from mammolibs.evaluate.detection import (
    collect,
    cut_at,
    froc_area_statistic,
    froc_curve,
    lesion_precision_statistic,
    lesion_sensitivity_statistic,
)


def region(x, y, probability=0.5, size=10.0, hit=-1):
    box = (x - size, y - size, x + size, y + size)
    return Region(probability=probability, score=probability, centre_x=x, centre_y=y, box=box, area_px=4 * size**2, hit=hit)


def circle(x, y, radius=30.0, name="a", **more):
    return LesionTruth(lesion_id=name, centre_x=x, centre_y=y, radius_px=radius, **more)


def hits(regions, lesions, spacing=0.2, **more):
    return [r.hit for r in match_regions(regions, lesions, spacing, **more)]


def test_a_centroid_hits_inside_the_circle_and_not_outside():
    assert hits([region(100, 129.9, size=1), region(100, 141, size=1)], [circle(100, 100)]) == [0, -1]


def test_x_and_y_are_not_swapped():
    assert hits([region(300, 50, size=2), region(50, 300, size=2)], [circle(300, 50)]) == [0, -1]


def test_a_tiny_annotation_has_a_floor_in_millimetres():
    lesion = [circle(100, 100, radius=1.0)]
    assert hits([region(100, 109, size=1)], lesion, 0.2) == [0]
    assert hits([region(100, 109, size=1)], lesion, 0.4) == [-1]
    assert hits([region(100, 109, size=1)], lesion, None, height=1000) == [0]
    assert hits([region(100, 109, size=1)], lesion, None) == [-1]


def test_boxes_that_overlap_enough_hit():
    far = [LesionTruth(lesion_id="a", centre_x=100, centre_y=100, box=(80, 80, 120, 120))]
    assert hits([region(122, 122, size=20)], far) == [0]
    assert hits([region(124, 124, size=20)], far) == [-1]


def test_an_outline_decides_where_there_is_one():
    corner = LesionTruth(lesion_id="a", centre_x=10, centre_y=10, outline=((0, 0), (100, 0), (0, 100)))
    assert hits([region(40, 40, size=1), region(90, 90, size=1)], [corner], 1.0) == [0, -1]


def test_of_two_lesions_the_nearer_counts_and_an_unplaced_one_never():
    lesions = [circle(100, 100, 40, "a"), circle(130, 100, 40, "b"), LesionTruth(lesion_id="c")]
    assert hits([region(120, 100), region(108, 100)], lesions) == [1, 0]
    assert match_regions([], lesions) == () and hits([region(1, 1)], []) == [-1]


def image(name, regions, lesions=(), patient=None):
    return Prediction(
        image_id=name, patient_id=patient or name, exam_id=name, source="hand", label=0, has_lesion=int(bool(lesions)),
        image_score=0.1, raw_score=0.1, regions=tuple(regions), lesions=tuple(lesions),
    )  # fmt: skip


def by_hand():
    """Four lesions on two of five images. False positives 0.9, 0.8, 0.6, 0.3, 0.2; lesions found at 0.95, 0.7, 0.25; one missed."""
    two = (circle(50, 50, name="a"), circle(200, 50, name="b"))
    one = [region(50, 50, 0.4, hit=0), region(51, 50, 0.95, hit=0), region(200, 50, 0.7, hit=1), region(400, 400, 0.9)]
    other = [region(50, 50, 0.25, hit=0), region(300, 300, 0.6)]
    return [
        image("1", one, two), image("2", other, two), image("3", [region(9, 9, 0.8)]),
        image("4", [region(9, 9, 0.3), region(99, 9, 0.2)]), image("5", []),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rate", "expected"), [(0.0, 1 / 4), (0.2, 1 / 4), (0.4, 2 / 4), (0.6, 2 / 4), (0.8, 3 / 4), (1.0, 3 / 4), (2.0, 3 / 4)]
)
def test_froc_by_hand(rate, expected):
    assert point(lesion_sensitivity_statistic(collect(by_hand()), false_per_image=rate)) == pytest.approx(expected)


def test_area_and_precision_by_hand():
    """Ten false positives are allowed: 1/4, 1/4, 2/4, 2/4, 3/4 before each of the five there are, 3/4 over the other five."""
    assert point(froc_area_statistic(collect(by_hand()))) == pytest.approx((0.25 + 0.25 + 0.5 + 0.5 + 0.75 + 5 * 0.75) / 10)
    assert point(lesion_precision_statistic(collect(by_hand()))) == pytest.approx((1 / 1 + 2 / 4 + 3 / 7 + 0) / 4)


def test_froc_curve_ends_where_everything_is_called():
    false, sensitivity, cuts = froc_curve(collect(by_hand()))
    assert (false[0], sensitivity[0], cuts[0]) == (0, 0, 0.95)
    assert (false[-1], sensitivity[-1]) == (1.0, 0.75)
    assert cut_at(collect(by_hand()), 0.4) == 0.6 and cut_at(collect(by_hand()), 1.0) == -np.inf


def test_ties_of_false_positives_come_in_together():
    tied = [image("1", [region(1, 1, 0.5, hit=0)], [circle(1, 1)]), image("2", [region(1, 1, 0.5), region(9, 9, 0.5)])]
    assert point(lesion_sensitivity_statistic(collect(tied), false_per_image=0.5)) == 0.0
    assert point(lesion_sensitivity_statistic(collect(tied), false_per_image=1.0)) == 1.0


@pytest.mark.parametrize("figure", [lesion_sensitivity_statistic, froc_area_statistic, lesion_precision_statistic])
def test_weighted_figures_equal_listing_the_patients_as_often(figure, make_predictions):
    how = {"false_per_image": 1.0} if figure is lesion_sensitivity_statistic else {}
    rows = make_predictions(30, seed=2)
    statistic = figure(collect(rows), **how)
    weights = np.random.default_rng(0).integers(0, 3, (4, 30))
    for row in weights:
        copies = [replace(p, image_id=f"{p.image_id}{k}") for p in rows for k in range(row[int(p.patient_id[1:])])]
        repeated = figure(collect(copies), **how)
        assert statistic.evaluate(row[None].astype(np.float32))[0] == pytest.approx(point(repeated))


def test_images_without_known_places_are_left_out():
    rows = by_hand()
    unplaced = replace(rows[4], image_id="6", has_lesion=1, lesions=(LesionTruth(lesion_id="z"),))
    unknown = replace(rows[4], image_id="7", has_lesion=-1, regions=(region(1, 1, 0.99),))
    found = collect([*rows, unplaced, unknown])
    assert len(found.image_patients) == 5 and len(found.lesion_scores) == 4
    nothing = measure([replace(p, lesions=(), regions=(), has_lesion=0) for p in rows], "lesion_sensitivity_at_1_fp")
    assert nothing.value is None and "no lesion" in nothing.reason
