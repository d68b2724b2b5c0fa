import json
from dataclasses import replace

import numpy as np
import pytest

from mammolibs.errors import BadFile
from mammolibs.prepare import Contract, full_resolution, locate, mask_to_canvas, prepare_image, rasterize, to_canvas
from mammolibs.records import ImageRow, Lesion, Outline

CONTRACT = Contract(canvas_height_px=192, canvas_width_px=128)
DISC = Lesion(lesion_id="a", kind="mass", pathology="malignant", outline=Outline(shape="circle", points=((100.0, 180.0),), radius_px=15))


def row_of(**facts):
    return ImageRow(image_id="i", source="s", patient_id="s/p", exam_id="s/e", path="drawn.png", **facts)


def test_the_canvas_holds_the_breast_and_air_is_exactly_zero(breast, mammogram_of):
    pixels, inside = breast
    sample = prepare_image(mammogram_of(pixels), CONTRACT)
    assert sample.image.shape == CONTRACT.canvas and sample.image.dtype == np.uint16
    y, x = np.nonzero(sample.image == 0)
    far = to_canvas(np.argwhere(~inside)[:, ::-1], sample.placement)
    assert not sample.mask and x.size > 0.1 * sample.image.size
    ys, xs = np.nonzero(inside)
    seen = np.rint(to_canvas(np.stack([xs, ys], 1), sample.placement)).astype(int).clip(0, (127, 191))
    assert sample.image[seen[:, 1], seen[:, 0]].min() >= 1
    corner = far[(far[:, 0] > 110) & (far[:, 0] < 127) & (far[:, 1] < 20) & (far[:, 1] > 0)].astype(int)
    assert len(corner) and sample.image[corner[:, 1], corner[:, 0]].max() == 0


def test_the_breast_on_the_canvas_is_the_breast_of_the_image(make_breast, mammogram_of):
    contract = Contract(canvas_height_px=432, canvas_width_px=288)
    drawn, _ = make_breast(height=800, width=770)
    for pixels in (drawn, np.ascontiguousarray(drawn[:, ::-1])):
        mammogram = mammogram_of(pixels)
        located, full = locate(mammogram, contract), full_resolution(mammogram, contract)
        x0, y0, x1, y1 = full.crop
        mask = np.zeros(pixels.shape, np.uint8)
        mask[y0:y1, x0:x1] = (full.pixels[:, ::-1] if full.mirrored else full.pixels) > 0
        sample = prepare_image(mammogram, contract, located=located)
        there, here = mask_to_canvas(mask, sample.placement) > 0, sample.image > 0
        assert (there & here).sum() / (there | here).sum() > 0.99


def test_a_breast_that_the_film_cuts_off_does_not_reach_into_the_padding(make_breast, mammogram_of):
    pixels, _ = make_breast(width=160, height=480, reach=1.5)
    sample = prepare_image(mammogram_of(pixels, laterality="L"), CONTRACT)
    end = sample.breast[2]
    assert end < 100 and sample.image[90:100, end - 1].all() and not sample.image[:, end:].any()


def test_a_lesion_smaller_than_a_pixel_of_the_canvas_keeps_one(breast, mammogram_of):
    pixels, _ = breast
    dot = Lesion(lesion_id="dot", outline=Outline(shape="circle", points=((80.0, 150.0),), radius_px=0))
    raster = rasterize([dot], pixels.shape)
    sample = prepare_image(
        mammogram_of(pixels), Contract(canvas_height_px=64, canvas_width_px=48), mask=raster.mask, lesions=raster.lesions
    )
    (spot,) = np.argwhere(sample.mask)[:, ::-1]
    assert spot == pytest.approx(sample.extra["lesions"][0]["centre"], abs=0.5)


def test_intensities_are_percentiles_inside_the_breast(breast, mammogram_of):
    contract = Contract(low_percentile=5, high_percentile=95)
    located = locate(mammogram_of(breast[0]), contract)
    assert (located.low, located.high) == pytest.approx(tuple(np.percentile(breast[0][breast[1]], (5, 95))), abs=0.01)
    full = full_resolution(mammogram_of(breast[0]), contract)
    tissue = full.pixels[breast[1][full.crop[1] : full.crop[3], full.crop[0] : full.crop[2]]]
    assert np.mean(tissue == 1) == pytest.approx(0.05, abs=0.01)
    assert np.mean(tissue == 65535) == pytest.approx(0.05, abs=0.01)


def test_air_round_the_skin_is_not_measured(breast, mammogram_of):
    located = locate(mammogram_of(breast[0]), Contract(finder_grow_cells=4))
    assert located.low > 0.25


def test_a_linear_change_of_the_grey_scale_changes_nothing(breast, mammogram_of):
    first = prepare_image(mammogram_of(breast[0]), CONTRACT).image
    second = prepare_image(mammogram_of(breast[0] * np.float32(0.5)), CONTRACT).image
    assert np.abs(first.astype(int) - second).max() <= 1


@pytest.mark.parametrize("width", [320, 323])
def test_mirrored_twins_give_equal_samples(make_breast, mammogram_of, width):
    pixels, _ = make_breast(width=width)
    raster = rasterize([DISC], pixels.shape)
    twin = np.ascontiguousarray(pixels[:, ::-1])
    one = prepare_image(mammogram_of(pixels), CONTRACT, mask=raster.mask)
    other = prepare_image(mammogram_of(twin), CONTRACT, mask=raster.mask[:, ::-1])
    assert not one.placement.mirrored and other.placement.mirrored
    assert np.array_equal(one.image, other.image) and np.array_equal(one.mask, other.mask)
    assert np.array_equal(full_resolution(mammogram_of(pixels), CONTRACT).pixels, full_resolution(mammogram_of(twin), CONTRACT).pixels)
    points = np.random.default_rng(0).uniform(0, 300, (50, 2))
    mirrored = np.stack([width - 1 - points[:, 0], points[:, 1]], 1)
    assert np.abs(to_canvas(points, one.placement) - to_canvas(mirrored, other.placement)).max() < 1e-9


def test_preparing_twice_gives_the_same_bytes_and_leaves_the_input_alone(breast, mammogram_of):
    before = breast[0].copy()
    mammogram = mammogram_of(breast[0])
    assert np.array_equal(prepare_image(mammogram, CONTRACT).image, prepare_image(mammogram, CONTRACT).image)
    assert np.array_equal(breast[0], before)


def test_what_was_located_once_need_not_be_located_again(breast, mammogram_of):
    mammogram = mammogram_of(breast[0])
    located = locate(mammogram, CONTRACT)
    assert np.array_equal(prepare_image(mammogram, CONTRACT, located=located).image, prepare_image(mammogram, CONTRACT).image)


def test_canvas_and_full_resolution_share_one_scale(breast, mammogram_of):
    mammogram = mammogram_of(breast[0])
    contract = Contract(canvas_height_px=400, canvas_width_px=320)
    sample, full = prepare_image(mammogram, contract), full_resolution(mammogram, contract)
    scale = sample.placement.scale
    rows, columns = np.mgrid[100:300:10, 20:150:10]
    points = to_canvas(np.stack([columns.ravel() + full.crop[0], rows.ravel() + full.crop[1]], 1), sample.placement)
    assert scale > 0.9
    near = sample.image[np.rint(points[:, 1]).astype(int), np.rint(points[:, 0]).astype(int)].astype(float)
    assert np.corrcoef(near, full.pixels[rows.ravel(), columns.ravel()])[0, 1] > 0.98


def test_extra_says_where_the_lesions_are_in_json(breast, mammogram_of):
    pixels, _ = breast
    row = row_of(pathology="malignant", lesions=(DISC, Lesion(lesion_id="b")), density="c")
    raster = rasterize(row.lesions, pixels.shape)
    sample = prepare_image(mammogram_of(pixels, magnification=2.0), CONTRACT, mask=raster.mask, lesions=raster.lesions, row=row)
    assert json.loads(json.dumps(sample.extra)) == sample.extra
    known, unknown = sample.extra["lesions"]
    ys, xs = np.nonzero(sample.mask)
    assert known["centre"] == pytest.approx([xs.mean(), ys.mean()], abs=0.3)
    assert known["box"] == pytest.approx([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], abs=1.0)
    assert known["radius_px"] == pytest.approx(np.sqrt(sample.mask.sum() / np.pi), abs=0.3)
    assert known["centre_original"] == [100.0, 180.0]
    assert unknown["box"] is None and unknown["lesion_id"] == "b"
    assert sample.extra["spacing_mm"] == 0.1 and sample.extra["density"] == "c"
    assert (sample.extra["technology"], sample.extra["implant"]) == ("", None)


def test_the_catalog_says_film_or_digital_before_the_header_and_a_displaced_implant_is_one(breast, mammogram_of):
    mammogram = mammogram_of(breast[0])
    said = replace(mammogram, facts=replace(mammogram.facts, technology="digital", implant=False))
    assert [prepare_image(said, CONTRACT, row=row).extra["technology"] for row in (None, row_of(), row_of(technology="film"))] == [
        "digital",
        "digital",
        "film",
    ]
    displaced = replace(mammogram, facts=replace(mammogram.facts, view_modifiers=("implant displaced",)))
    assert [prepare_image(m, CONTRACT).extra["implant"] for m in (mammogram, said, displaced)] == [None, False, True]


@pytest.mark.parametrize(
    ("facts", "label", "has_lesion"),
    [
        ({"pathology": "malignant"}, 1, 1),
        ({"pathology": "benign", "lesions": (DISC,)}, 0, 1),
        ({"pathology": "benign"}, 0, -1),
        ({"pathology": "normal"}, 0, 0),
        ({}, -1, -1),
    ],
)
def test_labels_say_what_is_known(breast, mammogram_of, facts, label, has_lesion):
    sample = prepare_image(mammogram_of(breast[0]), CONTRACT, row=row_of(**facts))
    assert (sample.label, sample.has_lesion) == (label, has_lesion)


def test_a_breast_of_one_grey_level_is_an_error(breast, mammogram_of):
    with pytest.raises(BadFile, match="drawn.png: the breast has one grey level"):
        prepare_image(
            mammogram_of(np.where(breast[1], np.float32(0.5), np.float32(0))),
            Contract(finder_grow_cells=0, finder_blur_cells=0, low_percentile=50),
        )
