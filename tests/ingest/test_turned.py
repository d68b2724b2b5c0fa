"""A volume that is stored turned by 180 degrees is read so that its boxes lie on what they were drawn round."""

from dataclasses import replace

import numpy as np
import pytest
from pydicom import dcmread

from mammolibs.catalog import SOURCES
from mammolibs.errors import BadFile
from mammolibs.imaging import read_mammogram
from mammolibs.ingest import ingest_images, prepare_row, read_lesions, read_row
from mammolibs.prepare import Contract
from tests.catalog.trees_volumes import dbt_box, dbt_view, write_dbt

SHAPE = (240, 200)
BOX = (30, 150, 24, 16)
CONTRACT = Contract(canvas_height_px=96, canvas_width_px=64)


def breast(edge="left"):
    """Eight frames of 10 bits: a breast at this edge, its lesion bright in slice 5 within `BOX` (mirrored for the right edge)."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    tissue = np.where((x / 150) ** 2 + ((y - 120) / 100) ** 2 < 1, 300 + 60 * np.sin(x / 9) * np.sin(y / 7), 0).astype(np.uint16)
    frames = np.repeat(tissue[None], 8, 0)
    left, top, width, height = BOX
    frames[5, top : top + height, left : left + width] = 700
    return frames if edge == "left" else np.ascontiguousarray(frames[:, :, ::-1])


def rows_of(root, view, pixels, place):
    write_dbt(root, [dbt_view("DBT-P00001", "DBT-S00163", view, label="Cancer", boxes=[dbt_box(5, *place)], pixels=pixels)])
    return [replace(row, split="train") for row in SOURCES["bcs_dbt"](root).rows]


def places():
    """View, frames with the chest wall where the view has it, box in them."""
    left, top, width, height = BOX
    mirrored = (SHAPE[1] - left - width, top, width, height)
    return {"lmlo": (breast("left"), BOX), "rmlo": (breast("right"), mirrored)}


@pytest.mark.parametrize("view", ["lmlo", "rmlo"])
@pytest.mark.parametrize("stored", ["upright", "turned"])
def test_box_and_pixels_agree(tmp_path, view, stored):
    pixels, place = places()[view]
    [row] = rows_of(tmp_path, view, pixels if stored == "upright" else pixels[:, ::-1, ::-1], place)
    shown = read_row(row)
    mask = read_lesions(row, SHAPE).mask.astype(bool)
    assert mask.sum() == BOX[2] * BOX[3]
    assert shown.pixels[mask].min() > shown.pixels[~mask].max()
    assert (shown.laterality, shown.view, shown.frame, shown.facts.orientation) == (view[0].upper(), "MLO", 5, ())
    assert any("turned by 180 degrees" in step for step in shown.display_chain) == (stored == "turned")


def test_the_samples_of_both_are_the_same(tmp_path):
    pixels, place = places()["lmlo"]
    samples = []
    for name, frames in (("upright", pixels), ("turned", pixels[:, ::-1, ::-1])):
        [row] = rows_of(tmp_path / name, "lmlo", frames, place)
        samples.append(prepare_row(row, CONTRACT).sample)
        assert ingest_images([row], CONTRACT, tmp_path / name / "out", workers=0, lanes=1, progress=False).written == {"train": 1}
    one, two = samples
    assert np.array_equal(one.image, two.image) and np.array_equal(one.mask, two.mask)
    assert one.image[one.mask > 0].mean() > 1.5 * one.image[(one.mask == 0) & (one.image > 0)].mean()


def test_reading_the_file_alone_turns_nothing(tmp_path):
    pixels, place = places()["lmlo"]
    [row] = rows_of(tmp_path, "lmlo", pixels[:, ::-1, ::-1], place)
    assert np.array_equal(read_mammogram(row.path, frame=5).pixels, read_row(row).pixels[::-1, ::-1])
    assert np.array_equal(read_row(replace(row, chest_wall="")).pixels, read_mammogram(row.path, frame=5).pixels)


def test_padding_is_turned_with_the_pixels(tmp_path):
    pixels, place = places()["lmlo"]
    pixels[:, :10, :] = 1023
    [row] = rows_of(tmp_path, "lmlo", pixels[:, ::-1, ::-1], place)
    data = dcmread(row.path)
    data.add_new("PixelPaddingValue", "US", 1023)
    data.save_as(row.path)
    padding = read_row(row).padding
    assert padding[:10].all() and not padding[10:].any()


def test_without_a_chest_wall_nobody_can_tell(tmp_path):
    pixels, place = places()["lmlo"]
    pixels[:, :, 0] = 0
    [row] = rows_of(tmp_path, "lmlo", pixels, place)
    with pytest.raises(BadFile, match="chest wall at neither edge"):
        read_row(row)
