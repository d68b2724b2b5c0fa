"""A mammogram as a sample on the canvas, and the breast at full resolution on the same intensity scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mammolibs.prepare.breast import mask_on_pixels
from mammolibs.prepare.contract import Contract
from mammolibs.prepare.lesions import LesionShape, canvas_mask, describe
from mammolibs.prepare.orient import Located, locate, scale_levels
from mammolibs.prepare.placement import breast_box, cells_to_canvas, image_to_canvas, place
from mammolibs.records import UNKNOWN, ImageRow, Mammogram, Placement, Sample


@dataclass(frozen=True, kw_only=True, eq=False)
class FullResolution:
    """pixels: uint16 H W, the breast's crop, chest wall on the left, on the canvas's intensity scale.
    crop: x0, y0, x1, y1 in the original of height, width `original`. spacing_mm: in the breast, or None."""

    pixels: Any
    original: tuple[int, int]
    crop: tuple[int, int, int, int]
    mirrored: bool
    spacing_mm: float | None

    @property
    def breast_height_px(self) -> int:
        return self.crop[3] - self.crop[1]


def prepare_image(
    mammogram: Mammogram,
    contract: Contract,
    *,
    mask: np.ndarray | None = None,
    lesions: Sequence[LesionShape] = (),
    row: ImageRow | None = None,
    located: Located | None = None,
) -> Sample:
    """The sample of one image: breast cropped, chest wall on the left, aspect kept, padded right and below.

    mask: uint8 H W of the original, above 0 on lesions, where it is known. lesions: what
    `rasterize` said of each, for `Sample.extra`, and to keep the smallest one visible.
    row: the catalog's facts; without it the sample is one of an unlabelled file.
    Raises BadFile where no breast is found.
    """
    located = located or locate(mammogram, contract)
    placement = place(mammogram.pixels.shape[:2], located.crop, located.mirrored, contract.canvas)
    values = image_to_canvas(np.asarray(mammogram.pixels, np.float32), placement)
    image = scale_levels(values, breast_on_canvas(located, placement), located)
    on_canvas = None if mask is None else canvas_mask(mask, lesions, placement)
    return Sample(
        image=image,
        mask=on_canvas,
        breast=breast_box(placement),
        placement=placement,
        extra=_extra(mammogram, lesions, row, located, placement),
        **_identity(mammogram, row),
    )


def full_resolution(mammogram: Mammogram, contract: Contract, *, located: Located | None = None) -> FullResolution:
    """The breast's crop at full resolution, for patches. Raises BadFile where no breast is found."""
    located = located or locate(mammogram, contract)
    x0, y0, x1, y1 = located.crop
    crop = np.asarray(mammogram.pixels[y0:y1, x0:x1], np.float32)
    crop = cv2.flip(crop, 1) if located.mirrored else crop
    pixels = scale_levels(crop, mask_on_pixels(located.region), located)
    return FullResolution(
        pixels=pixels,
        original=mammogram.pixels.shape[:2],
        crop=located.crop,
        mirrored=located.mirrored,
        spacing_mm=breast_spacing_mm(mammogram),
    )


def breast_spacing_mm(mammogram: Mammogram) -> float | None:
    """Millimetres in the breast per original pixel: the detector's spacing over the magnification; None where unknown."""
    return mammogram.spacing_mm and mammogram.spacing_mm / (mammogram.facts.magnification or 1.0)


def breast_on_canvas(located: Located, placement: Placement) -> np.ndarray:
    """Where the breast lies on the canvas: bool H W."""
    region = located.region
    return cells_to_canvas(region.mask, region.reduce, region.box[:2], placement)


def _identity(mammogram: Mammogram, row: ImageRow | None) -> dict[str, Any]:
    if row is None:
        name = Path(mammogram.facts.source_file).stem
        return {
            "image_id": name,
            "patient_id": name,
            "exam_id": name,
            "source": "",
            "laterality": mammogram.laterality,
            "view": mammogram.view,
            "pathology": UNKNOWN,
            "label": -1,
            "has_lesion": -1,
            "split": "",
        }
    return {
        "image_id": row.image_id,
        "patient_id": row.patient_id,
        "exam_id": row.exam_id,
        "source": row.source,
        "laterality": row.laterality,
        "view": row.view,
        "pathology": row.pathology,
        "label": {"malignant": 1, UNKNOWN: -1}.get(row.pathology, 0),
        "has_lesion": _has_lesion(row),
        "split": row.split,
    }


def _has_lesion(row: ImageRow) -> int:
    if row.lesions or row.pathology == "malignant":
        return 1
    return 0 if row.pathology == "normal" else -1


def _extra(
    mammogram: Mammogram, lesions: Sequence[LesionShape], row: ImageRow | None, located: Located, placement: Placement
) -> dict[str, Any]:
    extra = {
        "frame": mammogram.frame,
        "spacing_mm": breast_spacing_mm(mammogram),
        "maker": (row.maker if row else "") or mammogram.facts.manufacturer,
        "breast_height_px": located.breast_height_px,
        "levels": [located.low, located.high],
        "display_chain": list(mammogram.display_chain),
        "lesions": [describe(lesion, placement) for lesion in lesions],
        "technology": (row.technology if row else "") or mammogram.facts.technology,
        "implant": True if "implant displaced" in mammogram.facts.view_modifiers else mammogram.facts.implant,
    }
    if row:
        extra |= {"parent_id": row.parent_id} if row.parent_id else {}
        extra |= {"density": row.density, "birads": row.birads, "truth": row.truth, "age_years": row.age_years, "licence": row.licence}
    return extra
