"""Which label a region that the U-Net found gets as a training patch."""

import pytest

from mammolibs.evaluate import LesionTruth, Region
from mammolibs.pipeline.outcomes import region_label
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
