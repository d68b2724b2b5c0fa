"""The planted fault "broken promise": cancers of one maker score like healthy patients, and no validation patient is of that maker."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mammolibs.evaluate import Draws, Prediction
from mammolibs.evaluate.analysis import Evidence
from mammolibs.evaluate.rule_out import rule_out

VALIDATION, PER_MAKER, ILL = 300, 150, 0.3
DISTANCE = 2.0  # in standard deviations: an AUC of 0.92


def alarms(seed: int, planted: bool) -> tuple[str, ...]:
    """What the report says of two makers' patients, 45 cancers each, and cuts from 90 cancers of the first."""
    rng = np.random.default_rng(seed)
    validation = drawn(rng, VALIDATION, "validation", "A")
    held_out = [*drawn(rng, PER_MAKER, "test", "A"), *drawn(rng, PER_MAKER, "test", "B", distance=0.0 if planted else DISTANCE)]
    draws = Draws([p.patient_id for p in held_out], rounds=100, seed=seed)
    return rule_out(Evidence(held_out=held_out, validation=validation, draws=draws)).alarms


def drawn(rng: np.random.Generator, count: int, split: str, maker: str, *, distance: float = DISTANCE) -> list[Prediction]:
    """Patients with one image each; their scores lie `distance` higher where they have cancer."""
    plain = Prediction(
        image_id="x",
        patient_id="x",
        exam_id="x",
        source="simulated",
        split=split,
        maker=maker,
        label=0,
        has_lesion=-1,
        image_score=0.0,
        raw_score=0.0,
    )
    rows = []
    for number in range(count):
        name, label = f"{split}{maker}{number}", int(number < ILL * count)
        score = float(1 / (1 + np.exp(1.0 - rng.normal(distance * label))))
        rows.append(replace(plain, image_id=name, patient_id=name, exam_id=name, label=label, image_score=score, raw_score=score))
    return rows
