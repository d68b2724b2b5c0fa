"""Which views each exam has: what is missing and what is there beside the usual four, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mammolibs.evaluate.combiner import CC_LIKE, MLO_LIKE
from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.units import exam_name
from mammolibs.records import UNKNOWN

COMPLETE = "CC and MLO of both breasts"


def view_patterns(predictions: Sequence[Prediction]) -> dict[str, list[str]]:
    """What an exam lacks or has beside one CC and one MLO of each breast -> the exams (patient and exam), the commonest first."""
    exams: dict[str, list[Prediction]] = {}
    for p in predictions:
        exams.setdefault(exam_name(p), []).append(p)
    patterns: dict[str, list[str]] = {}
    for name, images in sorted(exams.items()):
        patterns.setdefault("; ".join(_odd(images)) or COMPLETE, []).append(name)
    return dict(sorted(patterns.items(), key=lambda entry: (-len(entry[1]), entry[0])))


def _odd(images: Sequence[Prediction]) -> list[str]:
    counts = Counter((p.laterality, p.view) for p in images)
    told = []
    for side in "LR":
        views = {view for laterality, view in counts if laterality == side}
        if not views:
            told.append(f"no {side}")
            continue
        told += [f"{side} without {kind[0]}" for kind in (CC_LIKE, MLO_LIKE) if not views & set(kind)]
    for (side, view), count in sorted(counts.items()):
        if side == UNKNOWN or view == UNKNOWN:
            unknown = " and ".join(what for what, value in (("side", side), ("view", view)) if value == UNKNOWN)
            told.append(f"{count} of unknown {unknown}")
        elif view not in (CC_LIKE[0], MLO_LIKE[0]):
            told.append(f"{side} {view} too" if count == 1 else f"{count} x {side} {view} too")
        elif count > 1:
            told.append(f"{count} x {side} {view}")
    return told
