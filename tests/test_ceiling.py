"""The ledger of `scripts/ceiling.py` on made-up scores: the step that loses something is named, and no other."""

import sys
from pathlib import Path

import numpy as np
import pytest

from mammolibs.evaluate import Region
from mammolibs.phantom import Laboratory
from mammolibs.phantom.laboratory_set import KnownPlace

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
SCORES = ("ideal_stored", "ideal_prepared", "both", "unet", "resnet", "found")


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(SCRIPTS))
    import ceiling

    yield ceiling
    sys.path.remove(str(SCRIPTS))


def records(patients=80, spoilt=(), seed=0):
    """Two images a patient, two places an image; every score is the ideal observer's of d' = 2, the spoilt ones with one noise added."""
    rng = np.random.default_rng(seed)
    made = []
    for patient in np.repeat(np.arange(patients), 2):
        places = []
        for _ in range(2):
            present, noise = int(rng.random() < 0.3), 8 * rng.normal()
            ratio = 2 * (rng.normal() + 2 * present) - 2
            places.append({"present": present, **{name: ratio + noise * (name in spoilt) for name in SCORES}})
        made.append({"patient": f"p{patient}", "places": places, "image_score": max(place["found"] for place in places)})
    return made


@pytest.mark.parametrize(
    ("spoilt", "named"),
    [
        ((), set()),
        (("ideal_prepared", "both", "unet", "found"), {"preparation", "networks, images"}),
        (("both", "unet", "found"), {"networks", "networks, images"}),
        (("both", "found"), {"networks", "patch grading (U-Net alone less both)", "networks, images"}),
        (("found",), {"looking for the place", "looking for the places and false alarms, images"}),
    ],
)
def test_the_step_that_loses_is_the_one_that_is_named(script, spoilt, named):
    """What is spoilt once stays so in the steps after it, which lose nothing more."""
    result = script.ledger(records(spoilt=spoilt), 0.921)
    losses = {name: figure for name, figure in result["losses"].items() if script.is_figure(figure)}
    assert {name for name, figure in losses.items() if figure["value"] > 0.1 and figure["low"] > 0} == named
    assert all(abs(losses[name]["value"]) < 0.05 for name in set(losses) - named)
    assert ("less than the 95%" in script.told(result)) == ("both" in spoilt)


def test_the_share_of_the_ceiling_is_what_it_says_and_its_absence_has_a_reason(script):
    result = script.ledger(records(), 0.921)
    both = result["places"]["both"]
    for end in ("value", "low", "high"):
        assert result["reached"][end] == pytest.approx(both[end] / 0.921)
    assert both["n"] == 320 and both["unit"] == "place" and result["images"]["image_score"]["n"] == 160
    none = script.ledger([r | {"places": [p | {"present": 0} for p in r["places"]]} for r in records()], 0.921)
    assert "not known" in script.told(none) and "one class only" in none["places"]["both"]["reason"]


def test_a_region_counts_at_the_place_that_it_hits(script):
    lab = Laboratory()
    place = KnownPlace(image_id="a", patient_id="p", place=0, x=100, y=200, present=1)

    def region(x, score):
        return Region(probability=score, score=score, centre_x=x, centre_y=200, box=(x - 3, 197, x + 3, 203), area_px=36)

    assert script.found_at([region(105, 0.4), region(95, 0.6), region(160, 0.9)], place, lab) == 0.6
    assert script.found_at([region(160, 0.9)], place, lab) == 0.0


def test_the_ideal_image_score_is_the_posterior_of_any_lesion(script):
    assert script.any_lesion([0.0, -np.inf]) == pytest.approx(0.3)
    assert script.any_lesion([0.0, 0.0]) == pytest.approx(1 - 0.7**2)
