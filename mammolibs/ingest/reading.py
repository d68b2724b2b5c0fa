"""One catalog row as a mammogram with its lesions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from mammolibs.errors import BadFile
from mammolibs.imaging import read_mammogram, read_stored
from mammolibs.prepare import Contract, Prepared, Raster, prepare_both, rasterize
from mammolibs.records import UNKNOWN, ImageRow, Mammogram


def read_row(row: ImageRow) -> Mammogram:
    """The row's image; what the catalog knows of spacing, side and view goes before what the file says.

    Raises BadFile, also where the file has vanished since it was catalogued.
    """
    if not Path(row.path).is_file():
        raise BadFile(row.path, "is not there any more", "restore it, or build the catalog again")
    mammogram = read_mammogram(row.path, frame=row.frame, spacing_mm=row.spacing_mm)
    known = {name: value for name in ("laterality", "view") if (value := getattr(row, name)) != UNKNOWN}
    return replace(mammogram, facts=replace(mammogram.facts, **known)) if known else mammogram


def read_mask(path: str) -> np.ndarray:
    """The first frame of a mask file as stored: array H W (or H W 3). Raises BadFile."""
    if not Path(path).is_file():
        raise BadFile(path, "this mask is not there any more", "restore it, or build the catalog again")
    return np.asarray(read_stored(path).frames[0])


def read_lesions(row: ImageRow, shape: tuple[int, int]) -> Raster:
    """The row's lesions as pixels; its mask is empty for a normal image, and None where a lesion is or may be that nobody drew.

    Raises BadFile or BadData for a mask that cannot be used and for a lesion outside its image.
    """
    raster = rasterize(row.lesions, shape, read_mask, name=row.path)
    all_drawn = bool(raster.lesions) and all(lesion.box for lesion in raster.lesions)
    excluded = row.pathology == "normal" and not raster.lesions
    return raster if all_drawn or excluded else replace(raster, mask=None)


def prepare_row(row: ImageRow, contract: Contract) -> Prepared:
    """The row's image with its labels, for both stages. Raises what reading it raises."""
    mammogram = read_row(row)
    raster = read_lesions(row, mammogram.pixels.shape)
    return prepare_both(mammogram, contract, mask=raster.mask, lesions=raster.lesions, row=row)
