"""What the two stages say of an image beside what is true of it, in original pixel coordinates."""

from __future__ import annotations

import numpy as np

from mammolibs.evaluate import LesionTruth, PatchScore, Prediction, Region, dice_iou, match_regions
from mammolibs.predict import Analysis
from mammolibs.prepare import to_original
from mammolibs.records import Sample


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
            box=_original_box(told["box"], sample) if told["box"] else None,
        )
        for told in sample.extra["lesions"]
    )


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
            box=_original_box(r.box, analysis.sample),
            area_px=r.area_px / scale**2,
        )
        for r, m, (x, y) in zip(analysis.regions, malignancies, analysis.centres)
    ]


def matched_regions(analysis: Analysis) -> tuple[Region, ...]:
    """The regions found, each with the lesion that it hit."""
    sample = analysis.sample
    return match_regions(found_regions(analysis), lesion_truths(sample), sample.extra["spacing_mm"], height=sample.placement.original[0])


def region_label(sample: Sample, truths: tuple[LesionTruth, ...], region: Region) -> int | None:
    """1 on a malignant lesion, 0 on a benign one or on tissue that is known to hold none, None where nobody knows."""
    if region.hit >= 0:
        return {"malignant": 1, "benign": 0, "normal": 0}.get(truths[region.hit].pathology)
    if sample.has_lesion == -1 or any(not truth.placed for truth in truths):
        return None
    return 0


def as_prediction(
    analysis: Analysis, *, image_score: float, raw_score: float, mask_threshold: float, fold: int = -1, patches: tuple[PatchScore, ...] = ()
) -> Prediction:
    """The row of the predictions table."""
    sample = analysis.sample
    dice = iou = None
    if sample.mask is not None and sample.mask.any():
        dice, iou = dice_iou(analysis.probability > mask_threshold, sample.mask)
    return Prediction(
        image_id=sample.image_id, patient_id=sample.patient_id, exam_id=sample.exam_id, source=sample.source,
        laterality=sample.laterality, view=sample.view, split=sample.split, fold=fold, pathology=sample.pathology,
        label=sample.label, has_lesion=sample.has_lesion, image_score=image_score, raw_score=raw_score,
        regions=matched_regions(analysis), lesions=lesion_truths(sample), dice=dice, iou=iou,
        spacing_mm=sample.extra["spacing_mm"], height=sample.placement.original[0], width=sample.placement.original[1],
        patches=patches,
    )


def _original_box(box: tuple[float, float, float, float], sample: Sample) -> tuple[float, float, float, float]:
    """A box on the canvas, ends exclusive, as x0, y0, x1, y1 of the original."""
    corners = to_original(np.array([[box[0] - 0.5, box[1] - 0.5], [box[2] - 0.5, box[3] - 0.5]]), sample.placement) + 0.5
    low, high = corners.min(0), corners.max(0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])
