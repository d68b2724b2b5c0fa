"""Which images the figures stand on: held out, each once, and what had to be left out of which figure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from mammolibs.errors import BadData
from mammolibs.evaluate.detection import is_located
from mammolibs.evaluate.predictions import Prediction

LISTED = 5


def held_out_rows(predictions: Sequence[Prediction]) -> list[Prediction]:
    """The test rows, each image once (the first where it stands there more often).

    Raises BadData where a patient stands in the test rows and in other rows of the same fold.
    """
    sides: dict[tuple[int, str], set[bool]] = defaultdict(set)
    for p in predictions:
        sides[(p.fold, p.patient_id)].add(p.split == "test")
    leaks = sorted(patient for (_, patient), found in sides.items() if len(found) == 2)
    if leaks:
        raise BadData(f"{len(leaks)} patients are held out and not held out at once, {leaks[0]} first; make the split again")
    unique: dict[str, Prediction] = {}
    for p in predictions:
        if p.split == "test":
            unique.setdefault(p.image_id, p)
    return list(unique.values())


def held_out_counts(predictions: Sequence[Prediction], held_out: Sequence[Prediction]) -> dict[str, Any]:
    """Counts for the report: units, labels, lesions, and what each figure had to leave out."""
    labels = Counter(p.pathology for p in held_out)
    worst = defaultdict(set)
    for p in held_out:
        worst[p.patient_id].add(p.label)
    return {
        "images": len(held_out),
        "patients": len(worst),
        "malignant_patients": sum(1 in found for found in worst.values()),
        "pathology": dict(sorted(labels.items())),
        "sources": dict(sorted(Counter(p.source for p in held_out).items())),
        "views": dict(sorted(Counter(f"{p.laterality} {p.view}" for p in held_out).items())),
        "lesions": sum(len(p.lesions) for p in held_out),
        "images_where_nothing_was_found": sum(not p.regions for p in held_out),
        "left_out": {
            "image listed more than once": sum(p.split == "test" for p in predictions) - len(held_out),
            "malignancy unknown (AUC, sensitivity)": sum(p.label < 0 for p in held_out),
            "lesions unknown, or known without a place (lesion sensitivity)": sum(not is_located(p) for p in held_out),
            "lesion without a mask (Dice, IoU)": sum(p.has_lesion == 1 and p.dice is None for p in held_out),
        },
    }


def flatten(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested facts as (name, text) rows for a table; empty ones are left out."""
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        label = f"{prefix}{str(name).replace('_', ' ')}"
        if isinstance(value, Mapping) and all(not isinstance(v, (Mapping, list, tuple)) for v in value.values()):
            rows += [(label, ", ".join(f"{str(k).replace('_', ' ')} {v}" for k, v in value.items()))] if value else []
        elif isinstance(value, Mapping):
            rows += flatten(value, f"{label}: ")
        elif isinstance(value, (list, tuple)) and any(isinstance(v, Mapping) for v in value):
            told = "; ".join(": ".join(str(part) for part in v.values()) for v in value[:LISTED])
            rows.append((label, f"{len(value)}: {told}" + ("; ..." if len(value) > LISTED else "")))
        elif isinstance(value, (list, tuple)):
            rows += [(label, ", ".join(str(v) for v in value))] if value else []
        elif value not in (None, ""):
            rows.append((label, f"{value:.4g}" if isinstance(value, float) else str(value)))
    return rows
