"""What an image shows and its file says besides a lesion: the cues by which a class could be known without looking at tissue."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from mammolibs.imaging.burned_text import LEAST_CONTRAST, burned_in_letters
from mammolibs.ingest.reading import prepare_admitted, read_admitted
from mammolibs.prepare import Contract, Located, Prepared
from mammolibs.records import ImageRow, Mammogram, Policy

SURROUNDINGS_GRID = (8, 6)
OUTLINE_GRID = (12, 8)
# Of a breast of 200 mm a cell is some 25 mm high: a lesion is lost in it.
BLURRED_GRID = (8, 5)
# Levels of the display range from which a pixel counts as white, and up to which as black.
WHITE, BLACK = 0.98, 0.004


@dataclass(frozen=True, kw_only=True, eq=False)
class Cues:
    """Of one image. facts: how it was made (source, maker, view, laterality, bits, spacing, size), name -> category. person: age
    and density, likewise; "" where nobody says. surroundings: float32 (105,), what lies outside the breast, in the whole image before it is
    cropped. outline: float32 (102,), the breast's form and place. blurred: float32 (40,) in [0, 1], the breast in cells that no lesion shows in.
    All of them with the chest wall on the left.
    """

    facts: Mapping[str, str]
    person: Mapping[str, str]
    surroundings: Any
    outline: Any
    blurred: Any


def read_cues(row: ImageRow, contract: Contract, policy: Policy = Policy()) -> Cues:
    """The cues of the row's image alone. Raises as `prepare_row`."""
    return cues_of(*read_admitted(row, contract, policy), row)


def prepare_row_with_cues(row: ImageRow, contract: Contract, policy: Policy = Policy()) -> Prepared:
    """As `prepare_row`, with the cues of the image, which is read once. Raises as that does."""
    mammogram, located = read_admitted(row, contract, policy)
    return replace(prepare_admitted(row, mammogram, located, contract), cues=cues_of(mammogram, located, row))


def cues_of(mammogram: Mammogram, located: Located, row: ImageRow) -> Cues:
    """The cues of an image whose breast has been found."""
    pixels = cv2.flip(mammogram.pixels, 1) if located.mirrored else mammogram.pixels
    region = located.region
    rows, columns = region.mask.shape
    cells = cv2.resize(pixels[: rows * region.reduce, : columns * region.reduce], (columns, rows), interpolation=cv2.INTER_AREA)
    facts, person = _told(mammogram, row)
    return Cues(
        facts=facts,
        person=person,
        surroundings=_surroundings(cells, region.mask, burned_in_letters(pixels, region.mask)),
        outline=_outline(located),
        blurred=_blurred(cells, located),
    )


def _told(mammogram: Mammogram, row: ImageRow) -> tuple[dict[str, str], dict[str, str]]:
    """What file and catalog say, as categories: sizes in quarters of an octave, ages in decades. Nothing that a reader of the image wrote."""
    height, width = (f"{round(4 * math.log2(side)) / 4:g}" for side in mammogram.pixels.shape[:2])
    facts = {
        "source": row.source,
        "maker": row.maker or mammogram.facts.manufacturer,
        "view": mammogram.view,
        "laterality": mammogram.laterality,
        "bits": str(mammogram.facts.bits_stored),
        "spacing": f"{mammogram.spacing_mm:.3f}" if mammogram.spacing_mm else "",
        "height": height,
        "width": width,
    }
    age = mammogram.facts.age_years if row.age_years is None else row.age_years
    return facts, {"age": "" if age is None else str(age // 10), "density": row.density}


def _surroundings(cells: np.ndarray, breast: np.ndarray, letters: int) -> np.ndarray:
    """Mean and peak of each part of the image that lies outside the breast, and what counts marks and borders there."""
    outside = cv2.dilate(breast.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0
    beyond = cells[outside] if outside.any() else np.zeros(1, np.float32)
    air = float(np.median(beyond))
    statistics = (
        air, beyond.mean(), beyond.std(), np.percentile(beyond, 99), beyond.max(),
        (beyond > air + LEAST_CONTRAST).mean(), (beyond >= WHITE).mean(), (beyond <= BLACK).mean(), math.log1p(letters),
    )  # fmt: skip
    blacked = np.where(outside, cells, air)
    return np.concatenate([_by_parts(np.add, blacked - air), _by_parts(np.maximum, blacked), statistics]).astype(np.float32)


def _by_parts(join: np.ufunc, cells: np.ndarray) -> np.ndarray:
    """Sum (per cell of the whole image) or maximum of each part of a regular grid over the image."""
    starts = [np.arange(parts) * size // parts for parts, size in zip(SURROUNDINGS_GRID, cells.shape)]
    joined = join.reduceat(join.reduceat(cells, starts[0], axis=0), starts[1], axis=1).ravel()
    return joined / cells.size if join is np.add else joined


def _outline(located: Located) -> np.ndarray:
    """How much of each part of the breast's box is breast, the share of the image that breast and box take, and the box's form."""
    mask, inside = located.region.mask.astype(np.float32), _boxed(located.region.mask, located)
    x0, y0, x1, y1 = located.region.box
    height, width = located.region.shape
    form = (mask.mean(), (y1 - y0) / height, (x1 - x0) / width, (x1 - x0) / (y1 - y0), y0 / height, inside.mean())
    return np.concatenate([_shrunk(inside, OUTLINE_GRID).ravel(), form]).astype(np.float32)


def _blurred(cells: np.ndarray, located: Located) -> np.ndarray:
    """The breast's box in a few cells, on the contract's intensity scale, 0 outside the breast."""
    values = np.clip((cells - located.low) / (located.high - located.low), 0, 1) * located.region.mask
    return _shrunk(_boxed(values, located), BLURRED_GRID).ravel()


def _boxed(cells: np.ndarray, located: Located) -> np.ndarray:
    x0, y0, x1, y1 = (edge // located.region.reduce for edge in located.region.box)
    return np.ascontiguousarray(cells[y0 : y1 + 1, x0 : x1 + 1], np.float32)


def _shrunk(cells: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    return cv2.resize(cells, grid[::-1], interpolation=cv2.INTER_AREA)
