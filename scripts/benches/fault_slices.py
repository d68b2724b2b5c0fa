"""The planted faults "a slice that is bad" and "swapped labels of one site": 300 patients of three sites and three makers, four images each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mammolibs.evaluate import Chosen, Draws, LesionTruth, Prediction, Region, Threshold
from mammolibs.evaluate.slice_alarms import alarms_of
from mammolibs.evaluate.slice_columns import Columns
from mammolibs.evaluate.slice_tests import judge_slices
from mammolibs.evaluate.slices import cut_by_all_facts

PATIENTS = 300
ILL, BENIGN = 0.25, 0.15
# Distance of malignant from other scores in standard deviations: an AUC of 0.86.
LIFT = 1.5
BAD_MAKER, SWAPPED_SITE = "GE MEDICAL SYSTEMS", "site_b"
SITES = ("site_a", SWAPPED_SITE, "site_c")
MAKERS = ("HOLOGIC, Inc.", BAD_MAKER, "SIEMENS")
CHOSEN = {-1: Chosen(thresholds=(Threshold(name="image_score", value=0.55, rule="90 % specificity"),))}


def make_predictions(patients: int, seed: int, *, bad_maker: str = "", swapped_site: str = "") -> list[Prediction]:
    """Held-out rows in which no fact says anything of the score, but for what is planted: a maker whose cancers look like the rest (AUC 0.5),
    a site whose table has malignant and benign the wrong way round."""
    rng = np.random.default_rng(seed)
    rows = [row for number in range(patients) for row in _patient(rng, number, bad_maker)]
    return [_swapped(row) if row.source == swapped_site else row for row in rows]


def _patient(rng: np.random.Generator, number: int, bad_maker: str) -> list[Prediction]:
    site = int(rng.integers(3))
    # Most images of a site are of one maker, as in reality.
    maker = MAKERS[site if rng.random() < 0.6 else int(rng.integers(3))]
    facts = {
        "source": SITES[site], "maker": maker, "technology": str(rng.choice(["film", "digital"], p=[0.2, 0.8])), "density": "ABCD"[int(rng.integers(4))],
        "age_years": int(rng.integers(35, 82)), "implant": bool(rng.random() < 0.05), "spacing_mm": 0.1, "height": 1000, "width": 800,
    }  # fmt: skip
    kind = str(rng.choice(["malignant", "benign", "normal"], p=[ILL, BENIGN, 1 - ILL - BENIGN]))
    ill_side, own = rng.choice(["L", "R"]), rng.normal(0, 0.5)
    lesion = (str(rng.choice(["mass", "calcification", "distortion"])), float(rng.uniform(20, 140)))
    lift = 0.0 if maker == bad_maker else LIFT
    return [
        _image(rng, f"p{number:04d}", side, view, kind if side == ill_side else "normal", own, lift, lesion, facts)
        for side in "LR"
        for view in ("CC", "MLO")
    ]


def _image(rng, patient, side, view, pathology, own, lift, lesion, facts) -> Prediction:
    raw = own + rng.normal(0, np.sqrt(0.75)) + lift * (pathology == "malignant")
    truths = () if pathology == "normal" else (
        LesionTruth(lesion_id=f"{patient}{side}", kind=lesion[0], pathology=pathology, centre_x=300.0, centre_y=400.0, radius_px=lesion[1]),
    )  # fmt: skip
    regions = [_region(rng, 0.0, -1) for _ in range(rng.poisson(1.5))] + [_region(rng, lift, 0) for _ in truths if rng.random() < 0.8]
    score = float(1 / (1 + np.exp(1.0 - raw)))
    return Prediction(
        image_id=f"{patient}_{side}_{view}", patient_id=patient, exam_id=f"{patient}_e", laterality=side, view=view, pathology=pathology,
        label=int(pathology == "malignant"), has_lesion=int(bool(truths)), image_score=score, raw_score=score, regions=tuple(regions), lesions=truths, **facts,
    )  # fmt: skip


def _region(rng: np.random.Generator, lift: float, hit: int) -> Region:
    share = float(1 / (1 + np.exp(-rng.normal(lift - 1))))
    return Region(probability=share, score=share, centre_x=300.0, centre_y=400.0, box=(280, 375, 320, 425), area_px=1500.0, hit=hit)


def _swapped(row: Prediction) -> Prediction:
    return replace(row, label=1 - row.label, pathology="benign" if row.label else "malignant")


def alarms(rows: Sequence[Prediction], rounds: int = 500) -> tuple[str, ...]:
    """What the analysis of slices raises, without its page."""
    return alarms_of(judge_slices(cut_by_all_facts(Columns(rows, CHOSEN)), Draws([p.patient_id for p in rows], rounds=rounds)))


def bad_slice_alarms(seed: int, planted: bool) -> tuple[str, ...]:
    """Found only where the maker is named as what it is; a clean run may raise nothing."""
    found = alarms(make_predictions(PATIENTS, seed, bad_maker=BAD_MAKER if planted else ""))
    return tuple(alarm for alarm in found if not planted or f"maker is {BAD_MAKER}" in alarm)


def swapped_alarms(seed: int, planted: bool) -> tuple[str, ...]:
    """Found only where the site's labels are called swapped; a clean run may raise nothing."""
    found = alarms(make_predictions(PATIENTS, 1000 + seed, swapped_site=SWAPPED_SITE if planted else ""))
    return tuple(alarm for alarm in found if not planted or f"labels of data set {SWAPPED_SITE} look swapped" in alarm)
