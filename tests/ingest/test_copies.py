"""One image as its copies: pixels and lesions go through one geometry, checked against answers that are known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mammolibs.ingest.copies import equalise, levels, make_view, move_lesion
from mammolibs.prepare import Contract, locate, rasterize
from mammolibs.records import ImageFacts, Lesion, Mammogram, Outline

SHAPE = (120, 90)


def disc(x, y, radius, shape=SHAPE):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def lesion(shape, **place):
    return Lesion(lesion_id="l", kind="mass", pathology="malignant", outline=Outline(shape=shape, **place), slice=3)


def overlap(first, second):
    return (first & second).sum() / (first | second).sum()


@pytest.fixture
def moved(tmp_path):
    """(lesion, view) -> where the moved lesion lies on the copy: bool H W, and the moved lesion."""
    masks = {}

    def move(one, view):
        def write(mask):
            assert mask.dtype == np.uint16 and mask.shape == view.shape and set(np.unique(mask)) <= {0, 65535}
            masks["copy.png"] = mask
            return "copy.png"

        made = move_lesion(one, view, write, "image")
        return rasterize((made,), view.shape, masks.get, name="copy").mask.astype(bool), made

    return move


@pytest.mark.parametrize(("degrees", "turns"), [(90, -1), (180, 2), (270, 1), (-90, 1)])
def test_quarter_turns_are_exact_and_clockwise(degrees, turns):
    image = np.random.default_rng(0).integers(0, 65536, SHAPE).astype(np.uint16)
    assert np.array_equal(make_view(SHAPE, degrees, None).see(image), np.rot90(image, turns))


def test_upright_at_its_own_size_nothing_changes():
    image = np.random.default_rng(0).integers(0, 65536, SHAPE).astype(np.uint16)
    for longest in (None, 120, 500):
        view = make_view(SHAPE, 0.0, longest)
        assert view.as_is and view.scale == 1 and np.array_equal(view.see(image), image)
    assert not make_view(SHAPE, 0.0, 60).as_is and not make_view(SHAPE, 180.0, None).as_is


@pytest.mark.parametrize("degrees", [0, 30, 45, 135, -15])
def test_the_whole_image_fits(degrees):
    view = make_view(SHAPE, degrees, None)
    corners = view.points([(-0.5, -0.5), (89.5, -0.5), (89.5, 119.5), (-0.5, 119.5)])
    assert corners.min(0) == pytest.approx([-0.5, -0.5], abs=1) and corners.min() >= -0.5 - 1e-6
    assert corners.max(0) == pytest.approx([view.shape[1] - 0.5, view.shape[0] - 0.5], abs=1)
    assert view.see(np.ones(SHAPE)).sum() == pytest.approx(120 * 90, rel=0.02)


@pytest.mark.parametrize(("degrees", "longest"), [(0, 60), (30, None), (-15, None), (30, 60), (180, 80)])
def test_points_and_pixels_take_the_same_way(degrees, longest):
    view = make_view(SHAPE, degrees, longest)
    seen = view.see(disc(30, 80, 9).astype(np.uint16) * 60000)
    rows, columns = np.nonzero(seen >= 30000)
    assert view.points([(30, 80)])[0] == pytest.approx([columns.mean(), rows.mean()], abs=0.25)
    assert rows.size == pytest.approx(disc(30, 80, 9).sum() * view.scale**2, rel=0.06)


def test_a_point_to_the_right_goes_down_at_a_quarter_turn():
    assert make_view((101, 101), 90, None).points([(80, 50)])[0] == pytest.approx([50, 80])


def test_half_the_size_is_half_the_place():
    view = make_view((240, 200), 0.0, 120)
    assert view.shape == (120, 100) and view.scale == 0.5
    assert view.points([(60, 130)])[0] == pytest.approx([29.75, 64.75])
    mean = np.arange(240 * 200, dtype=np.uint16).reshape(120, 2, 100, 2).mean((1, 3))
    assert np.allclose(view.see(np.arange(240 * 200, dtype=np.uint16).reshape(240, 200)), mean)


@pytest.mark.parametrize(("degrees", "longest"), [(0, None), (0, 60), (30, None), (90, None), (-20, 80)])
@pytest.mark.parametrize("shape", ["circle", "polygon", "box", "mask"])
def test_every_outline_lies_where_its_pixels_went(moved, monkeypatch, shape, degrees, longest):
    drawn = {
        "circle": lesion("circle", points=((30, 80),), radius_px=12.0),
        "polygon": lesion("polygon", points=((20, 60), (50, 70), (40, 95), (25, 90))),
        "box": lesion("box", points=((20, 60), (50, 90))),
        "mask": lesion("mask", path="drawn.png"),
    }[shape]
    source = (disc(30, 80, 12) * np.uint8(255)).astype(np.uint8)
    monkeypatch.setattr("mammolibs.ingest.copies.read_mask", {"drawn.png": source}.get)
    view = make_view(SHAPE, degrees, longest)
    wanted = view.see(rasterize((drawn,), SHAPE, lambda path: source).mask) >= 0.5
    found, made = moved(drawn, view)
    # A polygon takes every pixel that it touches, half a pixel more than a mask on every side.
    assert overlap(found, wanted) > (0.94 if shape in ("circle", "mask") else 0.85)
    assert made.outline.shape == ("polygon" if shape == "box" and degrees else shape)
    assert (made.lesion_id, made.kind, made.pathology, made.slice) == ("l", "mass", "malignant", None)


def test_a_circle_stays_a_circle_of_its_size(moved):
    view = make_view(SHAPE, 30, 60)
    _, made = moved(lesion("circle", points=((30, 80),), radius_px=12.0), view)
    assert made.outline.radius_px == pytest.approx(6, rel=0.01)
    assert made.outline.points[0] == pytest.approx(tuple(view.points([(30, 80)])[0]))


@pytest.mark.parametrize("drawn", [lesion("circle", points=((2, 60),), radius_px=15.0), lesion("box", points=((-10, 40), (20, 80)))])
def test_what_the_image_cut_off_does_not_come_back(moved, drawn):
    view = make_view(SHAPE, 30, None)
    found, made = moved(drawn, view)
    assert made.outline.shape == "mask"
    inside = view.see(np.ones(SHAPE)) > 0
    assert not (found & ~inside).any()
    assert found.sum() == pytest.approx(rasterize((drawn,), SHAPE).mask.sum(), rel=0.03)


@pytest.mark.parametrize("degrees", [0, 33])
def test_the_smallest_lesion_is_not_lost(moved, monkeypatch, degrees):
    dot = np.zeros(SHAPE, np.uint8)
    dot[80, 31] = 255
    monkeypatch.setattr("mammolibs.ingest.copies.read_mask", {"dot.png": dot}.get)
    view = make_view(SHAPE, degrees, 24)
    found, _ = moved(lesion("mask", path="dot.png"), view)
    x, y = np.rint(view.points([(31, 80)])[0]).astype(int)
    assert found.sum() == 1 and found[y, x]


def test_an_unplaced_lesion_stays_unplaced(moved):
    made = move_lesion(lesion("none"), make_view(SHAPE, 30, 60), None, "image")
    assert made.outline == Outline(shape="none")


def soft_tissue():
    """uint16 160 128: smooth, of low contrast, air on the right."""
    image = cv2.GaussianBlur(np.random.default_rng(1).random((160, 128)), (0, 0), 4)
    image = (20000 + 9000 * (image - image.min()) / np.ptp(image)).astype(np.uint16)
    image[:, 100:] = 0
    return image


@pytest.mark.parametrize("clip", [2.0, 4.0])
def test_clahe_of_eight_bits_is_opencvs_and_air_stays_air(clip):
    image = (soft_tissue() // 257).astype(np.uint8)
    made = equalise(image.astype(np.uint16) * 257, clip)
    wanted = cv2.createCLAHE(clipLimit=clip, tileGridSize=(8, 8)).apply(image).astype(np.uint16) * 257
    assert made.dtype == np.uint16 and np.array_equal(made[image > 0], wanted[image > 0]) and not made[image == 0].any()
    assert wanted[:, 100:].any(), "OpenCV alone lifts the air"


@pytest.mark.parametrize("bits", [12, 16])
def test_clahe_of_more_bits_is_as_strong_and_keeps_what_lies_between(bits):
    image = soft_tissue() >> (16 - bits) << (16 - bits)
    made, tissue = equalise(image, 2.0), image > 0
    eight = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(np.rint(image / 257).astype(np.uint8)).astype(float) * 257
    assert np.abs(made[tissue] - eight[tissue]).mean() < 400
    assert made[tissue].std() > 1.3 * image[tissue].std()
    assert len(np.unique(made)) > 4 * len(np.unique(eight))


def breast(side, padding=None):
    y, x = np.mgrid[:240, :200]
    tissue = np.where((x / 150) ** 2 + ((y - 120) / 100) ** 2 < 1, 0.3 + 0.001 * x + 0.1 * np.sin(y / 9), 0.02).astype(np.float32)
    pixels = tissue if side == "left" else np.ascontiguousarray(tissue[:, ::-1])
    facts = ImageFacts(source_file="x.png", transfer_syntax="PNG", rows=240, columns=200)
    return Mammogram(pixels=pixels, facts=facts, padding=padding)


@pytest.mark.parametrize("side", ["left", "right"])
def test_normalised_levels_are_percentiles_inside_the_breast_and_nothing_outside(side):
    mammogram, contract = breast(side), Contract()
    located = locate(mammogram, contract)
    made = levels(mammogram, located, contract, True)
    tissue = mammogram.pixels > 0.1
    assert made.dtype == np.uint16 and made.shape == (240, 200) and made[tissue].min() >= 1
    outside = cv2.dilate(tissue.astype(np.uint8), np.ones((25, 25), np.uint8)) == 0
    assert outside.any() and not made[outside].any()
    expected = np.clip((mammogram.pixels[tissue] - located.low) / (located.high - located.low), 0, 1) * 65534 + 1
    assert np.abs(made[tissue] - expected).max() <= 1


def test_levels_as_they_are_keep_every_value_and_padding_is_air():
    padding = np.zeros((240, 200), bool)
    padding[:20] = True
    mammogram = breast("left", padding)
    made = levels(mammogram, locate(mammogram, Contract()), Contract(), False)
    assert not made[:20].any()
    assert np.array_equal(made[20:], np.rint(mammogram.pixels[20:] * 65535))
