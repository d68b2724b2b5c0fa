"""The planted faults "a marker that gives the class away" and "all malignant images from one maker", on small made images.

Every image is a half disc of tissue with a letter-like mark in some corner; a malignant one has a small bright lesion. A clean set is
as honest data are: ill patients are somewhat older and denser, each of two makers makes images of both classes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mammolibs.evaluate import Draws, Prediction
from mammolibs.evaluate.analysis import Evidence
from mammolibs.evaluate.shortcuts import shortcuts
from mammolibs.ingest import Cues, cues_of
from mammolibs.pipeline.probes import probe_scores
from mammolibs.prepare import Contract, locate
from mammolibs.records import ImageFacts, ImageRow, Mammogram

PATIENTS, ILL = 60, 0.35
ROWS, COLUMNS = 128, 104
LIFT = 1.8
CONTRACT = Contract()
# Of each maker: name, spacing in mm, stored bits, level of the air.
MAKERS = (("Alpha", 0.1, 12, 0.02), ("Beta", 0.07, 14, 0.05))


def marker_alarms(seed: int, planted: bool, *, patients: int = PATIENTS, rounds: int = 1000) -> tuple[str, ...]:
    """What the report says of held-out images; where planted, three in four malignant images carry one more bright mark outside the breast."""
    return _alarms(seed, patients, rounds, marked=0.75 if planted else 0.0)


def maker_alarms(seed: int, planted: bool, *, patients: int = PATIENTS, rounds: int = 1000) -> tuple[str, ...]:
    """The same where, planted, nine in ten ill patients were imaged by one maker, that made three in ten of the others."""
    return _alarms(seed, patients, rounds, of_alpha=(0.3, 0.9) if planted else (0.5, 0.5))


def _alarms(seed: int, patients: int, rounds: int, **fault: object) -> tuple[str, ...]:
    rng = np.random.default_rng(seed)
    train, held_out = (drawn(rng, patients, split, **fault) for split in ("train", "test"))
    scores = probe_scores([row for row, _ in train], [cues for _, cues in train], [cues for _, cues in held_out])
    predictions = [_predicted(rng, row, probes) for (row, _), probes in zip(held_out, scores, strict=True)]
    draws = Draws([p.patient_id for p in predictions], rounds=rounds, seed=seed)
    return shortcuts(Evidence(held_out=predictions, validation=(), draws=draws)).alarms


def drawn(
    rng: np.random.Generator, patients: int, split: str, *, marked: float = 0.0, of_alpha: tuple[float, float] = (0.5, 0.5)
) -> list[tuple[ImageRow, Cues]]:
    """Two views of one breast of each patient. marked: share of malignant images with one more mark. of_alpha: the first maker's share
    of well and of ill patients."""
    made = []
    for number in range(patients):
        ill = rng.random() < ILL
        maker, spacing, bits, air = MAKERS[int(rng.random() >= of_alpha[int(ill)])]
        age = int(np.clip(rng.normal(55 + 6 * ill, 9), 30, 90))
        side, height, depth = rng.choice(["L", "R"]), rng.uniform(40, 56), rng.uniform(44, 68)
        for view in ("CC", "MLO"):
            name = f"{split}{number}_{view}"
            row = ImageRow(
                image_id=name, source="drawn", patient_id=f"{split}{number}", exam_id=f"{split}{number}", path=name, laterality=side, view=view,
                pathology="malignant" if ill else "normal", split=split, maker=maker, age_years=age, density="ABCD"[rng.integers(int(ill), 4)],
            )  # fmt: skip
            pixels = image(
                rng, height + rng.normal(0, 2), depth + rng.normal(0, 2), air, lesion=ill, marks=1 + int(ill and rng.random() < marked)
            )
            facts = ImageFacts(
                source_file=name,
                transfer_syntax="",
                rows=ROWS,
                columns=COLUMNS,
                bits_stored=bits,
                laterality=side,
                view=view,
                spacing_mm=spacing,
            )
            mammogram = Mammogram(pixels=pixels if side == "L" else np.ascontiguousarray(pixels[:, ::-1]), facts=facts)
            made.append((row, cues_of(mammogram, locate(mammogram, CONTRACT), row)))
    return made


def image(rng: np.random.Generator, height: float, depth: float, air: float, *, lesion: bool, marks: int) -> np.ndarray:
    """float32 (ROWS, COLUMNS) in [0, 1]: chest wall on the left, marks in corners on the right."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    inside = ((y - ROWS / 2) / height) ** 2 + (x / depth) ** 2 < 1
    tissue = 0.5 + 0.1 * np.sin(x / rng.uniform(5, 12) + rng.uniform(0, 6)) * np.sin(y / rng.uniform(5, 12))
    if lesion:
        far, turn = rng.uniform(0.2, 0.7), rng.uniform(-1, 1)
        tissue += 0.3 * (np.hypot(y - ROWS / 2 - far * height * np.sin(turn), x - far * depth * np.cos(turn)) < 4)
    pixels = np.where(inside, tissue, air) + rng.normal(0, 0.01, (ROWS, COLUMNS))
    for corner in rng.permutation(2)[:marks]:
        top, left = (6 if corner else ROWS - 18) + rng.integers(-3, 4), COLUMNS - 20 + rng.integers(-3, 4)
        pixels[top : top + 8, left : left + 10 : 3] = 0.95
    return np.clip(pixels, 0, 1).astype(np.float32)


def _predicted(rng: np.random.Generator, row: ImageRow, probes: tuple) -> Prediction:
    """A row of an honest pipeline, whose score knows the lesion alone."""
    label = int(row.pathology == "malignant")
    score = float(1 / (1 + np.exp(1.0 - LIFT * label - rng.normal())))
    known = {
        name: getattr(row, name)
        for name in ("image_id", "patient_id", "exam_id", "source", "laterality", "view", "pathology", "maker", "density")
    }
    return replace(
        Prediction(label=label, has_lesion=label, image_score=score, raw_score=score, **known), probes=probes, age_years=row.age_years
    )
