"""One catalog row as a mammogram with its lesions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mammolibs.errors import BadFile
from mammolibs.imaging import read_mammogram, read_stored
from mammolibs.ingest.gate import admit
from mammolibs.ingest.mirrored import settle
from mammolibs.prepare import Contract, Located, Prepared, Raster, prepare_both, rasterize
from mammolibs.records import UNKNOWN, ImageRow, Mammogram, Policy
from mammolibs.storage import disk_stamp, is_local, local_file

# A catalog in a bucket names no file of the machine that it was made on.
NO_PLACE = "this catalog came without its images' places"
NO_PLACE_REMEDY = "work on the machine that made it, or upload the images and build the catalog from there"


def read_row(row: ImageRow) -> Mammogram:
    """The row's image, from a disk or a bucket; what the catalog knows of spacing, side and view goes before what the file says.

    It is turned by 180 degrees where the row says at which edge its chest wall lies and the
    pixels show it at the other: the row's lesions are drawn on it so. A derived copy never is.

    Raises BadFile, also where the file has vanished since it was catalogued.
    """
    if not row.path:
        raise BadFile(row.image_id, NO_PLACE, NO_PLACE_REMEDY)
    if is_local(row.path) and disk_stamp(row.path) is None:
        raise BadFile(row.path, "is not there any more", "restore it, or build the catalog again")
    with local_file(row.path) as path:
        mammogram = read_mammogram(path, frame=row.frame, spacing_mm=row.spacing_mm)
    mammogram = replace(mammogram, facts=replace(mammogram.facts, source_file=row.path))
    if row.chest_wall and not row.parent_id:
        mammogram = _with_chest_wall(mammogram, row.chest_wall)
    mammogram = replace(mammogram, chest_wall=row.chest_wall)
    known = {name: value for name in ("laterality", "view") if (value := getattr(row, name)) != UNKNOWN}
    return replace(mammogram, facts=replace(mammogram.facts, **known)) if known else mammogram


def _with_chest_wall(mammogram: Mammogram, edge: str) -> Mammogram:
    """The image with its chest wall at this edge. The brighter of the two outermost columns shows where it is, as tissue runs through it.

    What the header says of the orientation is dropped: a row that names the edge comes from a data set whose headers are wrong.
    """
    left, right = (float(mammogram.pixels[:, column].sum(dtype=np.float64)) for column in (0, -1))
    if left == right:
        raise BadFile(mammogram.facts.source_file, "shows the chest wall at neither edge: whether to turn it is unknown", "leave it out")
    facts = replace(mammogram.facts, orientation=())
    if (edge == "left") == (left > right):
        return replace(mammogram, facts=facts)
    return replace(
        mammogram,
        facts=facts,
        pixels=np.ascontiguousarray(mammogram.pixels[::-1, ::-1]),
        padding=None if mammogram.padding is None else np.ascontiguousarray(mammogram.padding[::-1, ::-1]),
        display_chain=(*mammogram.display_chain, f"turned by 180 degrees (the chest wall belongs at the {edge} edge)"),
    )


def read_mask(path: str) -> np.ndarray:
    """The first frame of a mask file as stored: array H W (or H W 3). Raises BadFile."""
    if is_local(path) and disk_stamp(path) is None:
        raise BadFile(path, "this mask is not there any more", "restore it, or build the catalog again")
    with local_file(path) as file:
        return np.asarray(read_stored(file).frames[0])


def read_lesions(row: ImageRow, shape: tuple[int, int], located: Located | None = None) -> Raster:
    """The row's lesions as pixels; its mask is empty for a normal image, and None where a lesion is or may be that nobody drew.

    located: the image's breast, by which boxes that may lie mirrored are settled.
    Raises BadFile or BadData for a mask that cannot be used and for a lesion outside its image.
    """
    row = settle(row, located) if located else row
    raster = rasterize(row.lesions, shape, read_mask, name=row.path)
    all_drawn = bool(raster.lesions) and all(lesion.box for lesion in raster.lesions)
    excluded = row.pathology == "normal" and not raster.lesions
    return raster if all_drawn or excluded else replace(raster, mask=None)


def prepare_row(row: ImageRow, contract: Contract, policy: Policy = Policy()) -> Prepared:
    """The row's image with its labels, for both stages, judged as for training. Raises what reading it raises, and Refused."""
    return prepare_admitted(row, *read_admitted(row, contract, policy), contract)


def read_admitted(row: ImageRow, contract: Contract, policy: Policy = Policy()) -> tuple[Mammogram, Located]:
    """The row's image with its breast found, judged as for training. Raises what reading it raises, and Refused."""
    mammogram = read_row(row)
    _, located = admit(mammogram, contract, policy, "train")
    return mammogram, located


def prepare_admitted(row: ImageRow, mammogram: Mammogram, located: Located, contract: Contract) -> Prepared:
    """The image with its labels, for both stages. Raises as `read_lesions`."""
    raster = read_lesions(row, mammogram.pixels.shape, located)
    return prepare_both(mammogram, contract, located=located, mask=raster.mask, lesions=raster.lesions, row=row)
