"""Predictions with known skill, without a network: the test bed of the evaluation."""

from __future__ import annotations

import numpy as np
import pytest

from mammolibs.evaluate import LesionTruth, PatchScore, Prediction, Region, match_regions


def _make_predictions(patients=50, *, skill=1.5, seed=0, folds=0, malignant_share=0.2, benign_share=0.2, split="test", regions=6):
    """Four views per patient; `skill` is the distance of malignant from other scores in standard deviations."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(patients):
        draw = rng.random()
        pathology = "malignant" if draw < malignant_share else "benign" if draw < malignant_share + benign_share else "normal"
        ill_side = rng.choice(["L", "R"])
        for side in "LR":
            for view in ("CC", "MLO"):
                here = pathology if side == ill_side else "normal"
                rows.append(_image(rng, number, side, view, here, skill, number % folds if folds else -1, split, regions))
    return rows


def _image(rng, number, side, view, pathology, skill, fold, split, regions):
    lesions = ()
    if pathology != "normal":
        x, y, r = rng.uniform(150, 650), rng.uniform(150, 850), rng.uniform(15, 45)
        lesions = (LesionTruth(lesion_id=f"{number}-{side}", kind="mass", pathology=pathology, centre_x=x, centre_y=y, radius_px=r),)
    shift = skill * (pathology == "malignant") + 0.4 * skill * (pathology == "benign")
    raw = float(rng.normal(shift))
    proposals = [_region(rng, rng.uniform(50, 750), rng.uniform(50, 950), 0.0) for _ in range(rng.integers(0, regions + 1))]
    if lesions and rng.random() < 0.75:
        proposals.append(_region(rng, lesions[0].centre_x + rng.normal(0, 6), lesions[0].centre_y + rng.normal(0, 6), skill))
    dice = None if not lesions else float(np.clip(rng.normal(0.45, 0.3), 0, 1))
    return Prediction(
        image_id=f"p{number:04d}_{side}_{view}",
        patient_id=f"p{number:04d}",
        exam_id=f"p{number:04d}_e0",
        source="synthetic",
        laterality=side,
        view=view,
        split=split,
        fold=fold,
        pathology=pathology,
        label=int(pathology == "malignant"),
        has_lesion=int(bool(lesions)),
        image_score=float(1 / (1 + np.exp(2.0 - raw))),
        raw_score=float(1 / (1 + np.exp(-raw))),
        regions=match_regions(proposals, lesions, 0.2),
        lesions=lesions,
        dice=dice,
        iou=None if dice is None else dice / (2 - dice),
        spacing_mm=0.2,
        height=1000,
        width=800,
        patches=tuple(PatchScore(label=int(one.pathology == "malignant"), score=r.malignancy) for one in lesions for r in proposals[:1]),
    )


def _region(rng, x, y, shift):
    probability = float(1 / (1 + np.exp(-rng.normal(shift - 1))))
    malignancy = float(rng.random())
    box = (x - 20, y - 25, x + 20, y + 25)
    return Region(
        probability=probability, malignancy=malignancy, score=probability * malignancy, centre_x=x, centre_y=y, box=box, area_px=1500.0
    )


@pytest.fixture(scope="session")
def make_predictions():
    return _make_predictions
