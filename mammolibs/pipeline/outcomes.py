"""What the two stages say of an image beside what is true of it, in original pixel coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mammolibs.evaluate import LesionTruth, PatchScore, Prediction, Region, dice_iou, match_regions, surface_distances
from mammolibs.evaluate.matching import lesion_box
from mammolibs.predict import Analysis
from mammolibs.predict.findings import original_box
from mammolibs.records import Sample

PATCH_LABELS = {"malignant": 1, "benign": 0, "normal": 0}


def lesion_truths(sample: Sample) -> tuple[LesionTruth, ...]:
    """The lesions that the labels know of, those without a place too."""
    return tuple(
        LesionTruth(
            lesion_id=told["lesion_id"],
            kind=told["kind"],
            pathology=told["pathology"],
            centre_x=told["centre_original"][0] if told["centre"] else None,
            centre_y=told["centre_original"][1] if told["centre"] else None,
            radius_px=told["radius_original_px"],
            box=original_box(told["box"], sample.placement) if told["box"] else None,
            on_canvas=_shown_share(sample.image, told) if told["centre"] else None,
        )
        for told in sample.extra["lesions"]
    )


def _shown_share(image: np.ndarray, told: dict[str, Any]) -> float:
    """Share of the lesion's disc that lies on the canvas and on the breast there; everything else is 0 for the networks."""
    (x, y), reach = told["centre"], max(told["radius_px"], 0.5)
    most = int(np.ceil(reach))
    dy, dx = np.mgrid[-most : most + 1, -most : most + 1]
    disc = np.hypot(dx, dy) <= reach
    columns, rows = np.rint(x + dx[disc]).astype(int), np.rint(y + dy[disc]).astype(int)
    on = (rows >= 0) & (rows < image.shape[0]) & (columns >= 0) & (columns < image.shape[1])
    return float(np.sum(image[rows[on], columns[on]] > 0) / on.size)


def found_regions(analysis: Analysis) -> list[Region]:
    """The regions found, strongest first, in original pixels; `score` is probability x malignancy."""
    malignancies = analysis.malignancies or (None,) * len(analysis.regions)
    scale = analysis.sample.placement.scale
    return [
        Region(
            probability=min(r.probability, 1.0),
            malignancy=m,
            score=r.probability * (1.0 if m is None else m),
            centre_x=float(x),
            centre_y=float(y),
            box=original_box(r.box, analysis.sample.placement),
            area_px=r.area_px / scale**2,
        )
        for r, m, (x, y) in zip(analysis.regions, malignancies, analysis.centres)
    ]


def matched_regions(analysis: Analysis) -> tuple[Region, ...]:
    """The regions found, each with the lesion that it hit."""
    sample = analysis.sample
    return match_regions(found_regions(analysis), lesion_truths(sample), sample.extra["spacing_mm"], height=sample.placement.original[0])


def region_label(sample: Sample, truths: tuple[LesionTruth, ...], region: Region, side_px: float) -> int | None:
    """1 on a malignant lesion, 0 on a benign one or on tissue that is known to hold none, None where nobody knows.

    side_px: width of the patch round the region. A false alarm whose patch shows a lesion that
    it did not hit gets no label: the picture would contradict it.
    """
    if region.hit >= 0:
        return PATCH_LABELS.get(truths[region.hit].pathology)
    unmarked = sample.has_lesion == -1 or (sample.has_lesion == 1 and not truths) or any(not truth.placed for truth in truths)
    if unmarked or any(_touches(region, side_px, truth) for truth in truths):
        return None
    return 0


def _touches(region: Region, side_px: float, truth: LesionTruth) -> bool:
    x0, y0, x1, y1 = lesion_box(truth)
    return abs(region.centre_x - (x0 + x1) / 2) < (side_px + x1 - x0) / 2 and abs(region.centre_y - (y0 + y1) / 2) < (side_px + y1 - y0) / 2


def raw_score(regions: Sequence[Region]) -> float:
    """Highest probability x malignancy; 0 where nothing was found."""
    return max((r.score for r in regions), default=0.0)


def true_regions(truths: Sequence[LesionTruth], patches: Sequence[PatchScore]) -> tuple[Region, ...]:
    """The true lesions as a U-Net without error would give them: each one shown to it with probability 1, graded by the patch round it.

    1, and not the U-Net's own peak there: a calibrated probability is the share of such regions that are lesions, and the peak would
    bring back the U-Net's doubts, which are what is to be taken out.
    """
    return tuple(
        Region(
            probability=1.0,
            malignancy=patch.score,
            score=patch.score,
            centre_x=truth.centre_x,
            centre_y=truth.centre_y,
            box=truth.box,
            area_px=np.pi * truth.radius_px**2,
            hit=patch.lesion,
        )
        for patch in patches
        if patch.origin == "lesion" and (truth := truths[patch.lesion]).shown
    )


def as_prediction(
    analysis: Analysis,
    regions: tuple[Region, ...],
    *,
    mask_threshold: float | None,
    image_score: float | None = None,
    fold: int = -1,
    patches: tuple[PatchScore, ...] = (),
) -> Prediction:
    """The row of the predictions table; the image score is the raw one where none is given, and without a cut there is no overlap."""
    sample = analysis.sample
    dice = iou = surface = hausdorff = None
    if mask_threshold is not None and sample.mask is not None and sample.mask.any():
        found = analysis.probability > mask_threshold
        dice, iou = dice_iou(found, sample.mask)
        if sample.extra["spacing_mm"]:
            surface, hausdorff = surface_distances(found, sample.mask, sample.extra["spacing_mm"] / sample.placement.scale) or (None, None)
    return Prediction(
        image_id=sample.image_id,
        patient_id=sample.patient_id,
        exam_id=sample.exam_id,
        source=sample.source,
        laterality=sample.laterality,
        view=sample.view,
        split=sample.split,
        fold=fold,
        pathology=sample.pathology,
        label=sample.label,
        has_lesion=sample.has_lesion,
        raw_score=raw_score(regions),
        image_score=raw_score(regions) if image_score is None else image_score,
        regions=regions,
        lesions=lesion_truths(sample),
        dice=dice,
        iou=iou,
        surface_mm=surface,
        hausdorff95_mm=hausdorff,
        spacing_mm=sample.extra["spacing_mm"],
        height=sample.placement.original[0],
        width=sample.placement.original[1],
        patches=patches,
        maker=sample.extra["maker"],
        density=sample.extra.get("density", ""),
        age_years=sample.extra.get("age_years"),
        technology=sample.extra["technology"],
        implant=sample.extra["implant"],
    )
