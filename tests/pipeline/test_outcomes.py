"""Which label a region that the U-Net found gets as a training patch; what the networks were shown of a lesion; true regions."""

from dataclasses import replace

import numpy as np
import pytest

from mammolibs.evaluate import LesionTruth, PatchScore, Region
from mammolibs.pipeline.outcomes import lesion_truths, region_label, true_regions
from mammolibs.records import Placement, Sample

MALIGNANT = LesionTruth(lesion_id="m", pathology="malignant", centre_x=100.0, centre_y=100.0, radius_px=10.0, box=(90, 90, 110, 110))
UNPLACED = LesionTruth(lesion_id="u", pathology="benign")


def region(x, y, hit=-1):
    return Region(probability=0.5, score=0.5, centre_x=x, centre_y=y, box=(x - 5, y - 5, x + 5, y + 5), area_px=80, hit=hit)


def sample(has_lesion):
    place = Placement(original=(200, 200), crop=(0, 0, 200, 200), mirrored=False, scale=0.5, canvas=(112, 112))
    return Sample(
        image=None, mask=None, breast=(0, 0, 100, 100), placement=place, image_id="i", patient_id="p", exam_id="e", source="s",
        laterality="L", view="CC", pathology="unknown", label=-1, has_lesion=has_lesion, split="train",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("has_lesion", "truths", "where", "expected"),
    [
        (1, (MALIGNANT,), region(101, 99, hit=0), 1),
        (1, (MALIGNANT,), region(30, 30), 0),
        # 35 px away: the patch of 60 px shows the edge of the mass that the region missed.
        (1, (MALIGNANT,), region(65, 100), None),
        (1, (MALIGNANT, UNPLACED), region(30, 30), None),
        # Known to be malignant, drawn by nobody: whatever is found may be it.
        (1, (), region(30, 30), None),
        (-1, (), region(30, 30), None),
        (0, (), region(30, 30), 0),
    ],
)
def test_labels_of_found_regions(has_lesion, truths, where, expected):
    assert region_label(sample(has_lesion), truths, where, side_px=60) == expected


def with_lesion(centre, radius_px):
    told = {
        "lesion_id": "m", "kind": "mass", "pathology": "malignant", "centre": centre, "radius_px": radius_px, "box": [0, 0, 10, 10],
        "centre_original": (2 * centre[0], 2 * centre[1]), "radius_original_px": 2 * radius_px,
    }  # fmt: skip
    image = np.zeros((112, 112), np.uint16)
    image[:, :60] = 1000
    return replace(sample(1), image=image, extra={"lesions": [told]})


@pytest.mark.parametrize(
    ("centre", "radius_px", "share"),
    [((30, 30), 8, 1.0), ((59.5, 50), 9, 0.5), ((80, 50), 9, 0.0), ((-1, 50), 10, 0.5), ((30, 300), 5, 0.0), ((30, 30), 0.1, 1.0)],
)
def test_what_lies_off_the_canvas_or_the_breast_was_not_shown(centre, radius_px, share):
    [truth] = lesion_truths(with_lesion(centre, radius_px))
    assert truth.on_canvas == pytest.approx(share, abs=0.06)
    assert truth.shown == (truth.on_canvas >= 0.5)


def test_true_regions_are_certain_and_graded_by_the_patch_round_the_truth():
    lost = replace(MALIGNANT, lesion_id="l", on_canvas=0.1)
    scored = ((0.7, "lesion", 0), (0.9, "lesion", 2), (0.2, "region", 0))
    patches = tuple(PatchScore(label=1, score=score, origin=origin, lesion=index) for score, origin, index in scored)
    [found] = true_regions((MALIGNANT, UNPLACED, lost), patches)
    assert (found.probability, found.malignancy, found.score, found.hit) == (1.0, 0.7, 0.7, 0)
