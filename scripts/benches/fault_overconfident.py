"""The planted fault "overconfident scores": log odds twice as far apart as outcomes bear out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mammolibs.evaluate import Draws, Prediction, fit_calibration
from mammolibs.evaluate.analysis import Evidence
from mammolibs.evaluate.calibration import RAW, raw_log_odds
from mammolibs.evaluate.confidence import confidence

PATIENTS, ILL = 250, 0.35
LIFT, SHARED = 1.6, 0.7
TOO_FAR = 2.0


def alarms(seed: int, planted: bool, *, patients: int = PATIENTS, rounds: int = 1000) -> tuple[str, ...]:
    """What the report says of scores that were calibrated on as many validation patients, and then, where planted, exaggerated."""
    rng = np.random.default_rng(seed)
    validation, held_out = drawn(rng, patients, "validation"), drawn(rng, patients, "test")
    raw, labels = (np.array([getattr(p, name) for p in validation]) for name in ("raw_score", "label"))
    fitted = fit_calibration(raw_log_odds(raw)[:, None], raw, labels, RAW)
    stretch = TOO_FAR if planted else 1.0
    said = fitted.apply(np.zeros((len(held_out), 1)), np.array([p.raw_score for p in held_out]))
    rows = [replace(p, image_score=float(score)) for p, score in zip(held_out, expit(stretch * np.log(said / (1 - said))), strict=True)]
    draws = Draws([p.patient_id for p in rows], rounds=rounds, seed=seed)
    return confidence(Evidence(held_out=rows, validation=validation, draws=draws)).alarms


def drawn(rng: np.random.Generator, patients: int, split: str) -> list[Prediction]:
    """Two views of both breasts of each patient, which share half their noise; one breast of an ill patient is malignant."""
    rows = []
    for number in range(patients):
        ill_side = rng.choice(["L", "R"]) if rng.random() < ILL else ""
        for side in "LR":
            label, shared = int(side == ill_side), rng.normal()
            for view in ("CC", "MLO"):
                seen = LIFT * label + SHARED * shared + np.sqrt(1 - SHARED**2) * rng.normal()
                who, score = f"{split}{number}", float(expit(seen))
                rows.append(Prediction(
                    image_id=f"{who}_{side}_{view}", patient_id=who, exam_id=who, source="drawn", laterality=side, view=view, split=split,
                    label=label, has_lesion=label, image_score=score, raw_score=score,
                ))  # fmt: skip
    return rows


def expit(odds: float | np.ndarray) -> float | np.ndarray:
    return 1 / (1 + np.exp(-odds))
