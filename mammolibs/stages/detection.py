"""Detection figures on the canvas, for choosing among iterations while a U-Net learns.

The report's own figures are made on the original images by the whole pipeline; these are
their cheap relatives on validation samples.
"""

from __future__ import annotations

import numpy as np

from mammolibs.evaluate import LesionTruth, Prediction, Region, match_regions
from mammolibs.evaluate.bootstrap import point
from mammolibs.evaluate.detection import collect, lesion_sensitivity_statistic
from mammolibs.predict import RegionRule, find_regions

_EVERY_LESION = RegionRule(count=50, floor=0.25, share=0.5, smooth_px=0.5, gap_px=1)


def canvas_prediction(image_id: str, probability: np.ndarray, mask: np.ndarray, rule: RegionRule) -> Prediction:
    """What was found against what was drawn on one canvas image: probability float32 H W, mask H W with 0 and 1."""
    lesions = tuple(
        LesionTruth(lesion_id=str(i), centre_x=r.centre[0], centre_y=r.centre[1], box=tuple(map(float, r.box)), outline=r.outline)
        for i, r in enumerate(find_regions(mask.astype(np.float32), _EVERY_LESION))
    )
    found = [
        Region(
            probability=min(r.probability, 1.0),
            score=r.probability,
            centre_x=r.centre[0],
            centre_y=r.centre[1],
            box=tuple(map(float, r.box)),
            area_px=r.area_px,
        )
        for r in find_regions(probability, rule)
    ]
    return Prediction(
        image_id=image_id,
        patient_id=image_id,
        exam_id=image_id,
        source="",
        label=-1,
        has_lesion=int(bool(lesions)),
        image_score=0.0,
        raw_score=0.0,
        regions=match_regions(found, lesions, height=mask.shape[0]),
        lesions=lesions,
        height=mask.shape[0],
        width=mask.shape[1],
    )


def sensitivity_at(predictions: list[Prediction], false_per_image: float) -> float | None:
    """Share of lesions found at so many false positives per image; None where there is no lesion."""
    found = collect(predictions)
    statistic = lesion_sensitivity_statistic(found, false_per_image=false_per_image)
    if statistic.problem:
        return None
    return point(statistic)
