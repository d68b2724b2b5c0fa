"""Boxes of a data set that draws some of them on mirrored copies: laid on the breast wherever pixels are read, or without a place."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from mammolibs.ingest import Recipe, derive_images, ingest_patches, normal_requests, prepare_row, read_lesions, read_row, truth_requests
from mammolibs.pipeline.browse_views import view_row
from mammolibs.prepare import Contract, locate
from mammolibs.records import ImageRow, Lesion, Outline
from mammolibs.shards import open_index, read_sample
from mammolibs.storage import open_store

SHAPE = (240, 203)
CONTRACT = Contract(canvas_height_px=96, canvas_width_px=64, patch_size_px=32, patch_mm=8.0)
TISSUE, AIR = (30, 150, 54, 166), (5, 2, 25, 12)
QUIET = {"workers": 0, "progress": False}


def mirrored(box):
    x0, y0, x1, y1 = box
    return SHAPE[1] - 1 - x1, y0, SHAPE[1] - 1 - x0, y1


def lesion(box, name="a"):
    return Lesion(lesion_id=name, kind="mass", pathology="malignant", outline=Outline(shape="box", points=(box[:2], box[2:])))


@pytest.fixture(params=["left", "right"])
def film(request, tmp_path):
    """A film with its breast at this edge, narrower than the image; its row; and where tissue lies on it."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    tissue = np.where((x / 90) ** 2 + ((y - 120) / 100) ** 2 < 1, 30000 + 6000 * np.sin(x / 9) * np.sin(y / 7), 0).astype(np.uint16)
    place = TISSUE
    if request.param == "right":
        tissue, place = np.ascontiguousarray(tissue[:, ::-1]), mirrored(TISSUE)
    path = tmp_path / "film.png"
    cv2.imwrite(str(path), tissue)
    who = {"image_id": "embed-1", "source": "embed", "patient_id": "embed/1", "exam_id": "embed/1"}
    side = request.param[0].upper()
    return ImageRow(**who, path=str(path), laterality=side, view="CC", pathology="malignant", spacing_mm=0.5, split="train"), place


def pixels_of(row):
    mammogram = read_row(row)
    return read_lesions(row, SHAPE, locate(mammogram, CONTRACT))


def columns(raster):
    return None if raster.lesions[0].box is None else (raster.lesions[0].box[0], raster.lesions[0].box[2] - 1)


def test_a_box_on_the_breast_stays(film):
    row, place = film
    assert columns(pixels_of(replace(row, lesions=(lesion(place),)))) == place[::2]


def test_a_box_beside_the_breast_is_mirrored_onto_it(film):
    row, place = film
    raster = pixels_of(replace(row, lesions=(lesion(mirrored(place)), lesion(place, "b"))))
    assert columns(raster) == place[::2] and raster.lesions[1].box == raster.lesions[0].box
    assert raster.mask.sum() == (TISSUE[2] - TISSUE[0] + 1) * (TISSUE[3] - TISSUE[1] + 1)


def test_a_box_that_lies_on_air_either_way_has_no_place(film):
    row, _ = film
    raster = pixels_of(replace(row, lesions=(lesion(AIR),)))
    assert columns(raster) is None and raster.mask is None and raster.lesions[0].pathology == "malignant"


@pytest.mark.parametrize("change", [{"source": "vindr"}, {"source": "nobody"}, {"parent_id": "embed-0"}])
def test_other_sources_and_derived_copies_are_left_alone(film, change):
    row, place = film
    assert columns(pixels_of(replace(row, lesions=(lesion(mirrored(place)),), **change))) == mirrored(place)[::2]


def test_other_outlines_are_left_alone(film):
    row, place = film
    x, y = mirrored(place)[:2]
    circle = Outline(shape="circle", points=((x, y),), radius_px=3)
    assert pixels_of(replace(row, lesions=(replace(lesion(place), outline=circle),))).lesions[0].centre == pytest.approx((x, y), abs=0.1)


def test_samples_and_pages_see_the_same_place(film):
    row, place = film
    shown = [prepare_row(one, CONTRACT).sample for one in both(row, place)]
    assert np.array_equal(shown[0].mask, shown[1].mask) and shown[0].mask.any()
    right, wrong = (view_row(one).lesions for one in both(row, place))
    assert np.array_equal(right, wrong) and wrong.any()


def both(row, place):
    """The row with its box where it belongs, and mirrored."""
    return [replace(row, lesions=(lesion(box),)) for box in (place, mirrored(place))]


def test_derived_copies_take_the_settled_place(film, tmp_path):
    right, wrong = (
        derive_images([one], Recipe(rotations=(10.0,)), tmp_path / str(number), **QUIET).rows for number, one in enumerate(both(*film))
    )
    found = [[copy.lesions[0].outline for copy in rows if copy.parent_id] for rows in (right, wrong)]
    assert found[0] == found[1] and [outline.shape for outline in found[0]] == ["polygon"]


def patches_of(row, folder):
    """How many patches were written of those asked for: one of the lesion, two of normal tissue."""
    requests = [*truth_requests([row]), *normal_requests([row], 2)]
    report = ingest_patches(requests, CONTRACT, folder, skip_share=1.0, **QUIET)
    store = open_store(folder / "train")
    index = open_index(store)
    return report, [read_sample(store, index, number).extra for number in range(len(index))]


def test_patches_lie_where_the_box_was_settled(film, tmp_path):
    found = [[extra["centre_original"] for extra in patches_of(one, tmp_path / str(n))[1]] for n, one in enumerate(both(*film))]
    assert found[0] == found[1] and len(found[0]) == 3


def test_no_patch_is_normal_where_the_lesion_may_lie_anywhere(film, tmp_path):
    row, place = film
    report, found = patches_of(replace(row, lesions=(lesion(place), lesion(AIR, "b"))), tmp_path)
    assert [extra["origin"] for extra in found] == ["truth"]
    assert [reason for _, reason in report.skipped] == ["has no place on this image"] * 3
