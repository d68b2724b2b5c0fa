"""The real films: circles stay on the breast, the chest wall comes to the left."""

import os
from pathlib import Path

import numpy as np
import pytest

from mammolibs.catalog import build_catalog
from mammolibs.ingest import admit, read_lesions, read_row
from mammolibs.prepare import Contract, locate, prepare_image
from mammolibs.records import Policy

DATA = Path(os.environ.get("MAMMOLIBS_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
CONTRACT = Contract(canvas_height_px=256, canvas_width_px=160)

# Its circle (radius 3) lies on air whichever way y is counted
OFF_THE_BREAST = {"mias-mdb212"}


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    archive = DATA / "mias" / "images.tar.xz"
    if not archive.exists():
        pytest.skip(f"{archive} is not there; MAMMOLIBS_DATA names the folder that holds mias/")
    return build_catalog([("mias", archive)], unpack_folder=tmp_path_factory.mktemp("mias")).rows


def test_no_lesion_is_lost(rows):
    circles = 0
    for row in (row for row in rows if row.lesions):
        mammogram = read_row(row)
        raster = read_lesions(row, mammogram.pixels.shape)
        sample = prepare_image(mammogram, CONTRACT, mask=raster.mask, lesions=raster.lesions, row=row)
        for lesion in sample.extra["lesions"]:
            if lesion["box"] is None:
                continue
            x, y = np.rint(lesion["centre"]).astype(int)
            circles += 1
            assert 0 <= x < 160 and 0 <= y < 256 and sample.mask[y, x] == 1
            assert sample.image[y, x] > 0 or row.image_id in OFF_THE_BREAST, row.image_id
    assert circles == 40


def test_breast_and_side_are_found_on_every_film(rows):
    for row in rows:
        located = locate(read_row(row), CONTRACT)
        assert located.mirrored == (row.laterality == "R"), row.image_id
        share = located.region.mask.mean()
        assert 0.15 < share < 0.95, f"{row.image_id}: {share:.2f}"
        assert located.breast_height_px > 700


def test_no_film_is_refused_and_one_has_text(rows):
    """The film with text has "MED-LAT OBL" in lead letters; the others have markers."""
    found = {row.image_id: admit(read_row(row), CONTRACT, Policy(), "train")[0].codes for row in rows}
    assert {name: codes for name, codes in found.items() if codes} == {"mias-mdb189": ("burned_in_text",)}
