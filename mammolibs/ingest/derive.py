"""Catalog rows -> derived copies as files, each a row of its own that names its parent and stays in its parent's split."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath

import numpy as np

from mammolibs.catalog.table import from_records, to_records
from mammolibs.errors import BadConfig, BadData, BadFile, MammolibsError
from mammolibs.imaging.pool import map_files, one_thread
from mammolibs.imaging.write import write_png16
from mammolibs.ingest.copies import equalise, levels, make_view, move_lesion
from mammolibs.ingest.gate import admit
from mammolibs.ingest.images import DEFAULT_SKIP_SHARE, DEFAULT_TIMEOUT_S
from mammolibs.ingest.mirrored import settle
from mammolibs.ingest.reading import read_row
from mammolibs.ingest.report import Tally, check_rows, fingerprint
from mammolibs.prepare import Contract, breast_spacing_mm
from mammolibs.records import SPLITS, ImageRow, Mammogram, Policy
from mammolibs.storage import is_address, write_json

COPIES_NAME = "copies"
MADE_NAME = "made.json"
LEAST_LONGEST_PX = 16


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Which copies are made of an image: every angle, the upright one too, without CLAHE and, where it is asked for, with it.

    rotations: degrees clockwise, on a canvas that holds the whole turned image. clahe_clip:
    OpenCV's clip limit, None for no CLAHE. longest_px: a copy is as much smaller than its
    image as the image's longer side is longer than that; nothing is enlarged. normalise:
    intensities by robust percentiles inside the breast, 0 outside. splits: whose images get copies.

    A copy that would be the image itself is not made. Raises BadConfig for a value that is not allowed.
    """

    rotations: tuple[float, ...] = ()
    clahe_clip: float | None = None
    longest_px: int | None = None
    normalise: bool = False
    splits: tuple[str, ...] = ("train",)

    def __post_init__(self):
        angles = [degrees % 360 for degrees in self.rotations]
        if not all(map(math.isfinite, self.rotations)) or 0 in angles or len(set(angles)) < len(angles):
            told = ", ".join(f"{degrees:g}" for degrees in self.rotations)
            raise BadConfig(f"rotations are {told}: give each angle once, in degrees, and not 0, which is always there")
        if self.clahe_clip is not None and not 0 < self.clahe_clip < math.inf:
            raise BadConfig(f"CLAHE's clip limit is {self.clahe_clip:g}, expected a number above 0, such as 2")
        if self.longest_px is not None and self.longest_px < LEAST_LONGEST_PX:
            raise BadConfig(f"the longer side is to be {self.longest_px} pixels, expected {LEAST_LONGEST_PX} or more")
        wrong = [split for split in self.splits if split not in SPLITS]
        if wrong or not self.splits:
            raise BadConfig(f"split {wrong[0] if wrong else ''!r}: expected some of {', '.join(SPLITS)}")
        if not self.copies():
            raise BadConfig("nothing to make: ask for rotations, CLAHE, a size or normalisation")

    def copies(self) -> tuple[tuple[str, float, bool], ...]:
        """(name, degrees, with CLAHE) of each copy. The name says all that was done: r15+clahe2+roi+s1024."""
        shared = [*(["roi"] if self.normalise else []), *([f"s{self.longest_px}"] if self.longest_px else [])]
        found = []
        for degrees in (0.0, *self.rotations):
            for clahe in (False, True) if self.clahe_clip is not None else (False,):
                parts = [*([f"r{degrees:.10g}"] if degrees else []), *([f"clahe{self.clahe_clip:g}"] if clahe else []), *shared]
                if parts:
                    found.append(("+".join(parts), degrees, clahe))
        return tuple(found)


@dataclass(frozen=True, kw_only=True)
class DeriveReport:
    """rows: the catalog's own and those of the copies, by image_id. made, kept: copies that were
    written, and that were there already, made from the same input. skipped: (file, reason) of each image without copies."""

    rows: tuple[ImageRow, ...]
    made: int
    kept: int
    skipped: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        images = len(self.rows) - self.made - self.kept
        return f"images {images}, copies made {self.made}, kept from before {self.kept}; images skipped {len(self.skipped)}"


def parse_rotations(text: str) -> tuple[float, ...]:
    """Angles from text such as "15,-15". Raises BadConfig."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise BadConfig(f"rotations are {text!r}; write degrees with commas, such as 15,-15") from None


def derive_images(
    rows: Sequence[ImageRow],
    recipe: Recipe,
    folder: str | os.PathLike,
    *,
    contract: Contract = Contract(),
    policy: Policy = Policy(),
    workers: int = 0,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    skip_share: float = DEFAULT_SKIP_SHARE,
    progress: bool = True,
) -> DeriveReport:
    """Write the copies of a catalog's images as 16-bit PNGs below `<folder>/copies/<image_id>/`, with their lesions' masks.

    rows: the whole catalog, split. A copy's row is its parent's with its own id, file,
    spacing, lesions and edge of the chest wall; `parent_id` names the parent, patient, exam
    and split are the parent's. Rows that are copies themselves get none. contract: says where the breast is,
    and the percentiles. timeout_s: for reading an image, and again for each of its copies.

    Work goes on where it stopped: an image whose copies are there, made from the same row,
    file and recipe, is not read again. Same input, same bytes. An image that cannot be
    used, or that the policy refuses, is skipped with its reason.

    Raises BadConfig for an address of a bucket, BadFile where a copy cannot be written, BadData for rows that contradict
    themselves or hold these copies already, and where more than `skip_share` of the images had to be skipped.
    """
    from tqdm import tqdm

    if is_address(folder):
        raise BadConfig(f"{folder}: copies are written to a folder; upload it afterwards")
    check_rows(rows)
    parents = _parents(rows, recipe)
    tally, copies, made = Tally(total=len(parents), skip_share=skip_share), [], 0
    place = Path(folder).absolute() / COPIES_NAME
    function = partial(_derive, recipe=recipe, folder=place, contract=contract, policy=policy)
    limit_s = timeout_s * (1 + len(recipe.copies()))
    results = map_files(function, parents, workers=workers, timeout_s=limit_s, describe=_describe, initializer=one_thread)
    for row, result in tqdm(results, total=len(parents), desc="deriving", unit="image", delay=2.0, leave=False, disable=not progress):
        if isinstance(result, BadFile) and Path(result.file).is_relative_to(place):
            # It is the copy that cannot be written: a disk that is full says nothing about the images.
            raise result
        if isinstance(result, MammolibsError):
            tally.skip(row.path, result)
            continue
        found, new = result
        copies += [replace(copy, split=row.split) for copy in found]
        made += len(found) * new
    tally.check()
    every = tuple(sorted((*rows, *copies), key=lambda row: row.image_id))
    check_rows(every)
    return DeriveReport(rows=every, made=made, kept=len(copies) - made, skipped=tuple(sorted(tally.skipped)))


def _describe(row: ImageRow) -> str:
    return row.path


def _parents(rows: Sequence[ImageRow], recipe: Recipe) -> list[ImageRow]:
    """The rows that get copies. Raises BadData where there are none, or where the catalog holds one of the copies."""
    parents = [row for row in rows if row.split in recipe.splits and not row.parent_id]
    if not parents:
        raise BadData(f"the catalog has no image of {', '.join(recipe.splits)} that is not a copy itself")
    known = {row.image_id for row in rows}
    for row in parents:
        for name, *_ in recipe.copies():
            if (made := copy_id(row, name)) in known:
                raise BadData(f"{made}: the catalog holds this copy already; start from the catalog without copies, in another folder")
    return parents


def copy_id(row: ImageRow, name: str) -> str:
    """The image id of a row's copy of this name."""
    return f"{row.image_id}+{name}"


def _derive(row: ImageRow, recipe: Recipe, folder: Path, contract: Contract, policy: Policy) -> tuple[list[ImageRow], bool]:
    """The rows of an image's copies, and whether they had to be made."""
    if row.image_id.startswith(".") or PurePath(row.image_id).name != row.image_id:
        raise BadData(f"image id {row.image_id!r} cannot name a folder; give the image another")
    place = folder / row.image_id
    # Who is in which split says nothing about pixels: a new split makes no copies anew.
    key = fingerprint([replace(row, split="")], contract, replace(recipe, splits=SPLITS), policy)
    earlier = _earlier(place, key)
    if earlier is not None:
        return earlier, False
    mammogram = read_row(row)
    _, located = admit(mammogram, contract, policy, "train")
    row = settle(row, located)
    wall = "right" if located.mirrored else "left"
    _clear(place)
    upright = levels(mammogram, located, contract, recipe.normalise)
    bases = {False: upright} | ({True: equalise(upright, recipe.clahe_clip)} if recipe.clahe_clip is not None else {})
    copies, lesions = [], {}
    for name, degrees, clahe in recipe.copies():
        view = make_view(upright.shape, degrees, recipe.longest_px)
        if degrees not in lesions:
            writers = (_mask_writer(place / f"{name}.lesion{number}.png") for number, _ in enumerate(row.lesions, 1))
            lesions[degrees] = tuple(move_lesion(lesion, view, write, row.path) for lesion, write in zip(row.lesions, writers, strict=True))
        path = place / f"{name}.png"
        write_png16(path, bases[clahe] if view.as_is else np.rint(view.see(bases[clahe])).astype(np.uint16))
        own = {"image_id": copy_id(row, name), "path": str(path), "lesions": lesions[degrees], "chest_wall": view.edge(wall)}
        copies.append(replace(_known(row, mammogram), spacing_mm=_spacing_mm(mammogram, view.scale), **own))
    write_json(place / MADE_NAME, {"made_from": key, "rows": to_records(copies, str(place))})
    return copies, True


def _known(row: ImageRow, mammogram: Mammogram) -> ImageRow:
    """The row as that of a copy, with what only the header of the image said: a PNG has none."""
    facts = mammogram.facts
    return replace(
        row,
        parent_id=row.image_id,
        frame=0,
        split="",
        bits=16,
        laterality=mammogram.laterality,
        view=mammogram.view,
        maker=row.maker or facts.manufacturer,
        age_years=facts.age_years if row.age_years is None else row.age_years,
    )


def _spacing_mm(mammogram: Mammogram, scale: float) -> float | None:
    spacing = breast_spacing_mm(mammogram)
    return None if spacing is None else spacing / scale


def _mask_writer(path: Path) -> Callable[[np.ndarray], str]:
    def write(mask: np.ndarray) -> str:
        write_png16(path, mask)
        return str(path)

    return write


def _earlier(place: Path, key: str) -> list[ImageRow] | None:
    """The rows of copies that were made from the same input and are all there, else None."""
    try:
        made = json.loads((place / MADE_NAME).read_text())
        rows = from_records(made["rows"], str(place)) if made["made_from"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    masks = [lesion.outline.path for row in rows or () for lesion in row.lesions if lesion.outline.path]
    return rows if rows and all(Path(path).is_file() for path in (*(row.path for row in rows), *masks)) else None


def _clear(place: Path) -> None:
    """Remove what an earlier recipe, or a run that was killed, left of an image's copies; first of all the note that they are whole."""
    (place / MADE_NAME).unlink(missing_ok=True)
    for path in place.glob("*") if place.is_dir() else ():
        path.unlink()
