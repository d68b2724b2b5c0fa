"""At which stage a cancer was lost, and at which a false alarm was made: exactly one stage each, by the rules that stand here.

A malignant lesion on an image at or below the image-score cut was lost by the first stage that let it go:
crop: most of it was not shown to any network. Segmentation: no region above the region cut hits it. Grading: none of those that
do is graded above the malignancy cut. Aggregation: one is, and calibration or the rule from regions to image lost it.
An image was lost where the lesion that came furthest was lost, since one lesion is enough to call it.

A false alarm is an image known not to be malignant above the image-score cut, and its most suspicious region made it. Grading:
that region is graded above the malignancy cut, since rejecting what the U-Net proposes in vain is what the second stage is for.
Segmentation: it is not, but lies on normal tissue with a probability above the region cut, which carried it. Aggregation: neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mammolibs.evaluate.analysis import Evidence
from mammolibs.evaluate.detection import is_located
from mammolibs.evaluate.predictions import LesionTruth, Prediction, Region
from mammolibs.evaluate.thresholds import Threshold

STAGES = ("crop", "segmentation", "grading", "aggregation")
NOT_KNOWN = "not known"
UNCHOSEN_GRADE = 0.5


@dataclass(frozen=True, kw_only=True)
class Cuts:
    """What the stages are held against in one fold: score > cut counts as called. region: -inf where none could be chosen."""

    image: float
    region: float
    grade: Threshold


@dataclass(frozen=True, kw_only=True)
class Fate:
    """One missed lesion or image, or one false alarm. stage: of STAGES, or NOT_KNOWN. why: the numbers, in words.
    lesion: index into the image's lesions, -1 where there is none. true_patch: grade of the patch round the lesion itself, or None."""

    prediction: Prediction
    stage: str
    why: str
    lesion: int = -1
    true_patch: float | None = None


def cuts_by_fold(evidence: Evidence) -> dict[int, Cuts]:
    """The cuts of each fold that has one for images; a fold without one can miss nothing and is left out."""
    found = {}
    for fold, chosen in evidence.chosen.items():
        image, region = chosen.cut("image_score"), chosen.cut("region_probability")
        if image is not None:
            region = float("-inf") if region is None else region
            own = [p for p in evidence.validation if p.fold == fold]
            found[fold] = Cuts(image=image, region=region, grade=choose_grading_cut(own, region))
    return found


def choose_grading_cut(validation: Sequence[Prediction], region_cut: float, *, specificity: float = 0.90) -> Threshold:
    """The lowest malignancy cut that keeps this specificity on validation regions above the region cut, as the image cut does on
    images; UNCHOSEN_GRADE with a reason where there are none. achieved: the share of malignant lesions' regions above it."""
    above = [(p, r) for p in validation for r in p.regions if r.malignancy is not None and r.probability > region_cut]
    regions = [(r.malignancy, is_malignant(p, r)) for p, r in above]
    negatives = np.sort([m for m, ill in regions if ill is False])
    positives = np.array([m for m, ill in regions if ill])
    facts = {"name": "malignancy", "rule": f"{specificity * 100:g} % specificity on validation regions above the region cut"}
    facts |= {"n": len(negatives) + len(positives), "events": len(positives)}
    if not len(negatives):
        return Threshold(value=UNCHOSEN_GRADE, reason=f"no such region; {UNCHOSEN_GRADE} taken unchosen", **facts)
    cut = float(negatives[int(np.ceil(specificity * len(negatives) - 1e-9)) - 1])
    return Threshold(value=cut, achieved=float(np.mean(positives > cut)) if len(positives) else None, **facts)


def is_malignant(p: Prediction, region: Region) -> bool | None:
    """Whether a region lies on a malignant lesion; None where nobody knows."""
    if p.label == 0:
        return False
    if region.hit >= 0:
        return {"malignant": True, "benign": False, "normal": False}.get(p.lesions[region.hit].pathology)
    return False if is_located(p) else None


def missed_images(rows: Sequence[Prediction], cuts: dict[int, Cuts]) -> list[Fate]:
    """The malignant images at or below the cut of their fold, each with the stage that lost it."""
    return [_fate_of_image(p, cuts[p.fold]) for p in rows if p.label == 1 and p.image_score <= cuts[p.fold].image]


def missed_lesions(rows: Sequence[Prediction], cuts: dict[int, Cuts]) -> list[Fate]:
    """The malignant lesions on images at or below the cut of their fold, each with the stage that lost it."""
    return [_fate_of_lesion(p, i, cuts[p.fold]) for p in rows if p.image_score <= cuts[p.fold].image for i in malignant_lesions(p)]


def false_alarms(rows: Sequence[Prediction], cuts: dict[int, Cuts]) -> list[Fate]:
    """The images known not to be malignant above the cut of their fold, each with the stage that made the alarm."""
    return [_fate_of_alarm(p, cuts[p.fold]) for p in rows if p.label == 0 and p.image_score > cuts[p.fold].image]


def malignant_lesions(p: Prediction) -> list[int]:
    """Indices of the lesions known to be malignant."""
    return [i for i, lesion in enumerate(p.lesions) if lesion.pathology == "malignant"]


def _fate_of_image(p: Prediction, cuts: Cuts) -> Fate:
    """By the lesion that came furthest. Where none is called malignant, those of unknown pathology may be the cancer."""
    wanted = malignant_lesions(p) or [i for i, lesion in enumerate(p.lesions) if lesion.pathology == "unknown"]
    fates = [fate for fate in (_fate_of_lesion(p, i, cuts) for i in wanted) if fate.stage != NOT_KNOWN]
    if not fates:
        return Fate(prediction=p, stage=NOT_KNOWN, why="no malignant lesion with a known place")
    return max(fates, key=lambda fate: STAGES.index(fate.stage))


def _fate_of_lesion(p: Prediction, index: int, cuts: Cuts) -> Fate:
    lesion = p.lesions[index]
    stage, why = _lost(p, index, lesion, cuts)
    own = next((q.score for q in p.patches if q.origin == "lesion" and q.lesion == index), None)
    if stage == "grading" and own is not None:
        why += f"; the patch round the lesion itself {own:.2f}, which {'passes' if own > cuts.grade.value else 'does not pass either'}"
    return Fate(prediction=p, stage=stage, why=why, lesion=index, true_patch=own)


def _lost(p: Prediction, index: int, lesion: LesionTruth, cuts: Cuts) -> tuple[str, str]:
    """Stage and reason."""
    if not lesion.placed:
        return NOT_KNOWN, "its place is not known"
    if not lesion.shown:
        return "crop", f"{lesion.on_canvas:.0%} of it was shown to the networks"
    hits = [r for r in p.regions if r.hit == index]
    above = [r for r in hits if r.probability > cuts.region]
    if not above:
        best = max((r.probability for r in hits), default=None)
        weak = "" if best is None else f"its best region has probability {best:.3f}, cut {cuts.region:.3f}"
        return "segmentation", weak or "no region hits it"
    grades = [r.malignancy for r in above if r.malignancy is not None]
    if grades and max(grades) <= cuts.grade.value:
        return "grading", f"graded {max(grades):.2f}, cut {cuts.grade.value:.2f}"
    graded = f"graded {max(grades):.2f}, cut {cuts.grade.value:.2f}" if grades else "no second stage"
    return "aggregation", f"probability {max(r.probability for r in above):.3f}, cut {cuts.region:.3f}; {graded}"


def _fate_of_alarm(p: Prediction, cuts: Cuts) -> Fate:
    if not p.regions:
        return Fate(prediction=p, stage="aggregation", why="nothing was found, and the score lies above the cut")
    top = max(p.regions, key=lambda r: r.score)
    where = (
        f"{p.lesions[top.hit].pathology} lesion" if top.hit >= 0 else "normal tissue" if is_located(p) else "tissue with no lesion drawn"
    )
    grade = "no second stage" if top.malignancy is None else f"graded {top.malignancy:.2f}, cut {cuts.grade.value:.2f}"
    why = f"{where}, probability {top.probability:.3f}, cut {cuts.region:.3f}; {grade}"
    if top.malignancy is not None and top.malignancy > cuts.grade.value:
        stage = "grading"
    else:
        stage = "segmentation" if top.hit < 0 and top.probability > cuts.region else "aggregation"
    return Fate(prediction=p, stage=stage, why=why, lesion=top.hit)
