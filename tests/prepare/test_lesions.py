import cv2
import numpy as np
import pytest

from mammolibs.errors import BadData, BadFile
from mammolibs.prepare import rasterize
from mammolibs.records import Lesion, Outline

SHAPE = (200, 300)


def lesion(name="a", **outline):
    return Lesion(lesion_id=name, outline=Outline(**outline))


def test_a_circle_has_its_area_and_centre():
    raster = rasterize([lesion(shape="circle", points=((120.5, 80.25),), radius_px=30)], SHAPE)
    assert raster.mask.sum() == pytest.approx(np.pi * 900, rel=0.01)
    (shape,) = raster.lesions
    assert shape.centre == pytest.approx((120.5, 80.25), abs=0.1) and shape.radius_px == pytest.approx(30, rel=0.01)


def test_a_box_holds_both_its_corners_in_any_order():
    raster = rasterize([lesion(shape="box", points=((50, 60), (20, 10)))], SHAPE)
    assert raster.mask[10:61, 20:51].all() and raster.mask.sum() == 51 * 31
    assert raster.lesions[0].box == (20, 10, 51, 61)


def test_a_polygon_agrees_with_scikit_image():
    draw = pytest.importorskip("skimage.draw")
    rng = np.random.default_rng(0)
    angle = np.sort(rng.uniform(0, 2 * np.pi, 15))
    radius = rng.uniform(40, 80, 15)
    points = np.stack([150 + radius * np.cos(angle), 100 + radius * np.sin(angle)], 1)
    raster = rasterize([lesion(shape="polygon", points=tuple(map(tuple, points)))], SHAPE)
    oracle = draw.polygon2mask(SHAPE, points[:, ::-1])
    assert (raster.mask & oracle).sum() / (raster.mask | oracle).sum() > 0.97


@pytest.mark.parametrize("points", [((40.0, 50.0),), ((40.0, 50.0), (60.0, 50.0))])
def test_a_polygon_without_area_is_still_drawn(points):
    assert rasterize([lesion(shape="polygon", points=points)], SHAPE).mask[50, 40] == 1


def test_what_reaches_beyond_the_image_is_cut_off():
    raster = rasterize([lesion(shape="circle", points=((0, 0),), radius_px=20)], SHAPE)
    assert raster.mask.sum() == pytest.approx(np.pi * 400 / 4, rel=0.1) and raster.lesions[0].box == (0, 0, 21, 21)


@pytest.mark.parametrize(
    "outline",
    [
        {"shape": "circle", "points": ((400.0, 50.0),), "radius_px": 20},
        {"shape": "box", "points": ((-30, -30), (-5, -5))},
        {"shape": "polygon", "points": ((10, 500), (20, 500), (20, 600))},
    ],
)
def test_a_lesion_outside_its_image_is_an_error_that_names_both(outline):
    with pytest.raises(BadData, match=r"film.pgm: lesion L7 .* lies outside the image of 300 x 200"):
        rasterize([lesion("L7", **outline)], SHAPE, name="film.pgm")


def test_where_lesions_overlap_the_smaller_one_is_told():
    lesions = [
        lesion("small", shape="circle", points=((100, 100),), radius_px=5),
        lesion("large", shape="circle", points=((100, 100),), radius_px=40),
    ]
    for order in (lesions, lesions[::-1]):
        raster = rasterize(order, SHAPE)
        assert order[raster.labels[100, 100] - 1].lesion_id == "small"
        assert [shape.lesion_id for shape in raster.lesions] == [one.lesion_id for one in order]


def test_a_lesion_without_a_place_contributes_nothing():
    raster = rasterize([lesion(shape="none")], SHAPE)
    assert not raster.mask.any() and not raster.drawn and raster.lesions[0].box is None


@pytest.mark.parametrize(
    ("dtype", "value"), [(bool, 1), (np.uint8, 1), (np.uint8, 255), (np.uint16, 255), (np.uint16, 4095), (np.uint16, 65535)]
)
def test_a_mask_counts_above_half_of_its_range(dtype, value):
    stored = np.zeros(SHAPE, dtype)
    stored[40:60, 100:130] = value
    raster = rasterize([lesion(shape="mask", path="m.png")], SHAPE, lambda path: stored)
    assert raster.mask.sum() == 600


def test_jpeg_noise_in_a_mask_is_not_lesion():
    stored = np.random.default_rng(0).integers(0, 9, SHAPE).astype(np.uint8)
    stored[40:60, 100:130] = 250
    assert rasterize([lesion(shape="mask", path="m.jpg")], SHAPE, lambda path: stored).mask.sum() == 600
    stored[40:60, 100:130] = 0
    with pytest.raises(BadData, match="m.jpg: the mask of lesion a is empty"):
        rasterize([lesion(shape="mask", path="m.jpg")], SHAPE, lambda path: stored)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_picture_is_no_mask(dtype):
    """A crop of a mammogram: a mass in grey tissue; an image of grey alone; and one of 12 bits."""
    rows, columns = np.indices(SHAPE)
    top = np.iinfo(dtype).max
    crop = (0.3 + 0.6 * np.exp(-((rows - 100) ** 2 + (columns - 150) ** 2) / 2e4)) * top
    for pixels in (crop, np.full(SHAPE, 0.4 * top), np.full(SHAPE, 0.6 * top)):
        with pytest.raises(BadFile, match="crop.png: is no mask .grey values"):
            rasterize([lesion(shape="mask", path="crop.png")], SHAPE, lambda path, pixels=pixels: pixels.astype(dtype))


@pytest.mark.parametrize("radius", [3, 10, 80])
def test_a_mask_that_was_resized_and_compressed_is_one(radius):
    rows, columns = np.indices(SHAPE)
    sharp = 255 * ((rows - 100) ** 2 + (columns - 150) ** 2 <= radius**2).astype(np.uint8)
    small = cv2.resize(sharp, (150, 100), interpolation=cv2.INTER_AREA)
    stored = cv2.imdecode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 50])[1], cv2.IMREAD_GRAYSCALE)
    assert rasterize([lesion(shape="mask", path="m.jpg")], SHAPE, lambda path: stored).mask.sum() == pytest.approx(
        np.pi * radius**2, rel=0.2
    )


def test_a_mask_of_another_size_is_scaled_on_both_axes():
    small = np.zeros((100, 150, 3), np.uint8)
    small[20:40, 30:60] = 255
    raster = rasterize([lesion(shape="mask", path="m.png")], SHAPE, lambda path: small)
    assert raster.lesions[0].box == pytest.approx((60, 40, 120, 80), abs=1)
    nearly = np.zeros((200, 302), np.uint8)
    nearly[20:40, 30:60] = 255
    assert rasterize([lesion(shape="mask", path="m.png")], SHAPE, lambda path: nearly).mask.any()


def test_a_mask_of_another_aspect_is_an_error_that_names_the_sizes():
    with pytest.raises(BadData, match=r"m.png: mask of 150 x 110 pixels for an image of 300 x 200 \(film.pgm\)"):
        rasterize([lesion(shape="mask", path="m.png")], SHAPE, lambda path: np.ones((110, 150), np.uint8), name="film.pgm")
