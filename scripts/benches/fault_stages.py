"""A pipeline without networks, stage by stage, so that one of them can be made to fail: the bench of the stage-error ledger.

Each stage is a draw with a known skill. Operating points are chosen by the library's own code, on validation patients who go
through the same stages; so a broken stage is broken there too, as it would be.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mammolibs.evaluate import (
    Calibration,
    Chosen,
    Draws,
    LesionTruth,
    PatchScore,
    Prediction,
    Region,
    calibrate_regions,
    choose_region_threshold,
    choose_score_threshold,
    fit_calibration,
    fit_region_calibration,
    match_regions,
    region_features,
)  # fmt: skip
from mammolibs.evaluate.analysis import Evidence
from mammolibs.evaluate.failing import failures, stage_figures
from mammolibs.evaluate.ledger import cuts_by_fold

# Fault -> the stage that it breaks.
FAULTS = {
    "segmentation noise": "segmentation", "grading constant": "grading", "grading noise": "grading", "crop cuts lesions away": "crop",
    "calibration flat": "aggregation",
}  # fmt: skip
PATIENTS = 200
ROUNDS = 300
HEIGHT, WIDTH, SPACING_MM = 1000, 800, 0.2
# Share of patients with cancer, and with a benign lesion: as in a set gathered for research, not as in screening.
MALIGNANT, BENIGN = 0.3, 0.3
GRADES = {"malignant": 1.0, "benign": -0.6, "normal": -1.6}
CROPPED_SHARE = 0.3


@dataclass(frozen=True, kw_only=True)
class Stages:
    """fault: of FAULTS, or empty."""

    rng: np.random.Generator
    fault: str = ""

    def crop(self) -> float:
        """The share of a lesion that the networks are shown."""
        share = CROPPED_SHARE if self.fault == "crop cuts lesions away" else 0.005
        return float(self.rng.uniform(0, 0.3) if self.rng.random() < share else 1.0)

    def segment(self, lesion: LesionTruth | None) -> list[tuple[float, float, float]]:
        """x, y and raw probability of each region: some on normal tissue, and one on the lesion unless it is missed."""
        places = [(self.rng.uniform(60, WIDTH - 60), self.rng.uniform(60, HEIGHT - 60)) for _ in range(self.rng.poisson(2.0))]
        found = [(x, y, _share(self.rng.normal(-1.5))) for x, y in places]
        if lesion is not None and lesion.shown and self.fault != "segmentation noise" and self.rng.random() < 0.8:
            x, y = (centre + self.rng.normal(0, 5) for centre in (lesion.centre_x, lesion.centre_y))
            found.append((x, y, _share(self.rng.normal(1.0))))
        return found

    def grade(self, conspicuous: float) -> float:
        """The malignancy of a patch; conspicuous: its log odds, the same for all patches of one place."""
        if self.fault == "grading constant":
            return 0.4
        return _share(self.rng.normal() if self.fault == "grading noise" else conspicuous + self.rng.normal(0, 0.3))


def simulate(seed: int, fault: str = "", patients: int = PATIENTS) -> Evidence:
    """Rows of as many held-out patients, four images each, and of half as many validation patients, with what was chosen on these."""
    stages = Stages(rng=np.random.default_rng(seed), fault=fault)
    validation = _judge_patients(stages, patients // 2, "validation")
    by_region = fit_region_calibration(validation)
    validation = [_calibrated(p, by_region) for p in validation]
    features, raw = np.array([region_features(p.regions) for p in validation]), np.array([p.raw_score for p in validation])
    by_image = fit_calibration(features, raw, np.array([p.label for p in validation]))
    if fault == "calibration flat":
        by_image = Calibration(name="image score", features=("logit_raw",), slopes=(0.0,), intercept=-2.0)
    validation = [replace(p, image_score=_image_score(p.regions, by_image)) for p in validation]
    held_out = [_calibrated(p, by_region) for p in _judge_patients(stages, patients, "test")]
    held_out = [
        replace(p, image_score=_image_score(p.regions, by_image), oracle_score=_image_score(_true_regions(p), by_image)) for p in held_out
    ]
    chosen = Chosen(
        thresholds=(choose_region_threshold(validation), choose_score_threshold(validation)), calibrations=(by_region, by_image)
    )
    draws = Draws([p.patient_id for p in held_out], rounds=ROUNDS)
    return Evidence(held_out=held_out, validation=validation, draws=draws, chosen={-1: chosen}, split_hash="simulated")


def alarms(fault: str, seed: int, planted: bool) -> list[str]:
    """The alarms of a run; of a planted one none where another stage is named than the one that was broken, or one more."""
    evidence = simulate(seed, fault if planted else "")
    found = failures(stage_figures(evidence, cuts_by_fold(evidence)))
    return list(found.values()) if not planted or list(found) == [FAULTS[fault]] else []


def _judge_patients(stages: Stages, count: int, split: str) -> list[Prediction]:
    rows = []
    for number in range(count):
        draw = stages.rng.random()
        pathology = "malignant" if draw < MALIGNANT else "benign" if draw < MALIGNANT + BENIGN else "normal"
        ill = stages.rng.choice(["L", "R"])
        for side in "LR":
            here = pathology if side == ill else "normal"
            rows += [_judge_image(stages, f"{split}{number:04d}", side, view, here, split) for view in ("CC", "MLO")]
    return rows


def _judge_image(stages: Stages, patient: str, side: str, view: str, pathology: str, split: str) -> Prediction:
    rng, lesions = stages.rng, ()
    if pathology != "normal":
        x, y, radius = rng.uniform(150, WIDTH - 150), rng.uniform(150, HEIGHT - 150), rng.uniform(15, 45)
        place = {"centre_x": x, "centre_y": y, "radius_px": radius, "on_canvas": stages.crop()}
        lesions = (LesionTruth(lesion_id=f"{patient}-{side}", kind="mass", pathology=pathology, **place),)
    own = rng.normal(GRADES[pathology])
    regions = match_regions([_region(*found) for found in stages.segment(lesions[0] if lesions else None)], lesions, SPACING_MM)
    regions = tuple(replace(r, malignancy=stages.grade(own if r.hit == 0 else rng.normal(GRADES["normal"]))) for r in regions)
    label = int(pathology == "malignant")
    patches = [PatchScore(label=label, score=stages.grade(own), origin="lesion", lesion=0) for _ in lesions]
    patches += [PatchScore(label=label if r.hit == 0 else 0, score=r.malignancy, origin="region", lesion=r.hit) for r in regions]
    return Prediction(
        image_id=f"{patient}_{side}_{view}", patient_id=patient, exam_id=f"{patient}_0", source="simulated", laterality=side, view=view, split=split,
        pathology=pathology, label=label, has_lesion=len(lesions), image_score=0.0, raw_score=0.0, regions=regions, lesions=lesions,
        spacing_mm=SPACING_MM, height=HEIGHT, width=WIDTH, patches=tuple(patches),
    )  # fmt: skip


def _region(x: float, y: float, probability: float) -> Region:
    box = (x - 25, y - 25, x + 25, y + 25)
    return Region(probability=probability, score=probability, centre_x=x, centre_y=y, box=box, area_px=2500.0)


def _calibrated(p: Prediction, calibration: Calibration) -> Prediction:
    regions = calibrate_regions(p.regions, calibration)
    return replace(p, regions=regions, raw_score=max((r.score for r in regions), default=0.0))


def _true_regions(p: Prediction) -> list[Region]:
    graded = {q.lesion: q.score for q in p.patches if q.origin == "lesion"}
    return [
        replace(_region(t.centre_x, t.centre_y, 1.0), malignancy=graded[i], score=graded[i]) for i, t in enumerate(p.lesions) if t.shown
    ]


def _image_score(regions, calibration: Calibration) -> float:
    raw = max((r.score for r in regions), default=0.0)
    return float(calibration.apply(np.array([region_features(regions)]), np.array([raw]))[0])


def _share(odds: float) -> float:
    return float(1 / (1 + np.exp(-odds)))
