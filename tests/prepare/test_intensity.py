"""Grey values of one site laid onto those of another by quantiles, without labels."""

import json

import numpy as np
import pytest

from mammolibs.errors import BadData
from mammolibs.prepare import LANDMARKS, Curve, landmarks


def breasts(count, seed=0):
    """Canvases whose breasts differ in density: uint16 32 24, a third of it air."""
    rng = np.random.default_rng(seed)
    images = [np.rint(1 + 65534 * rng.beta(2 + n % 3, 4, (32, 24))).astype(np.uint16) for n in range(count)]
    for image in images:
        image[:, 16:] = 0
    return images


def other_display(image):
    """What another maker's display curve makes of it; air stays 0, the ends stay."""
    return np.where(image > 0, np.maximum(1, np.rint(65535 * (image / 65535.0) ** 1.7)), 0).astype(np.uint16)


def table(images):
    return np.stack([landmarks(image) for image in images])


def test_another_display_curve_is_undone_and_air_stays_air():
    home = breasts(40)
    elsewhere = [other_display(image) for image in breasts(40, seed=1)]
    curve = Curve.fit(table(elsewhere), table(home))
    before, after = (np.abs(table(images).mean(0) - table(home).mean(0)) for images in (elsewhere, map(curve, elsewhere)))
    assert before[1:-1].min() > 3000 and np.all(after[1:-1] < before[1:-1] / 10)
    for image in elsewhere:
        assert np.array_equal(curve(image) == 0, image == 0)


def test_one_curve_for_the_site_keeps_dense_breasts_denser():
    images = breasts(30)
    curve = Curve.fit(table(images), table([other_display(image) for image in images]))
    medians, adapted = ([np.percentile(image[image > 0], 50, method="lower") for image in found] for found in (images, map(curve, images)))
    assert np.all(np.diff(np.array(adapted)[np.argsort(medians)].astype(int)) >= 0) and np.ptp(adapted) > 3000
    values = curve(np.arange(65536, dtype=np.uint16))
    assert values[0] == 0 and values[1] == 1 and values[-1] == 65535 and np.all(np.diff(values.astype(int)) >= 0)


def test_landmarks_that_fall_together_still_give_a_rising_curve():
    flat = np.full((1, len(LANDMARKS)), 500.0)
    for site, home in ((flat, table(breasts(2))), (table(breasts(2)), flat), (np.ones_like(flat), flat)):
        values = Curve.fit(site, home)(np.arange(65536, dtype=np.uint16)).astype(int)
        assert values[0] == 0 and np.all(np.diff(values) >= 0)
    with pytest.raises(BadData, match="without a breast"):
        landmarks(np.zeros((4, 4), np.uint16))


def test_a_curve_comes_back_from_json_and_nothing_else_does():
    curve = Curve.fit(table(breasts(3)), table(breasts(3, seed=2)))
    assert Curve.from_dict(json.loads(json.dumps(curve.to_dict()))) == curve
    with pytest.raises(ValueError, match="11 landmarks"):
        Curve.from_dict({"site": [1, 2], "home": [1, 2]})
