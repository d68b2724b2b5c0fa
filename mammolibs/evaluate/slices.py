"""The figures by what the header or the label table says of an image: maker, film or digital, density, age, lesion, data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mammolibs.evaluate.analysis import Evidence, Part
from mammolibs.evaluate.bootstrap import Statistic, estimate_all
from mammolibs.evaluate.chosen import called
from mammolibs.evaluate.detection import collect, lesion_sensitivity_statistic
from mammolibs.evaluate.metrics import statistics_of
from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.result import block
from mammolibs.evaluate.slice_alarms import alarms_of
from mammolibs.evaluate.slice_facts import IMAGE_FACTS, LESION_FACTS, of_malignant, said
from mammolibs.evaluate.slice_page import slice_section
from mammolibs.evaluate.slice_tests import FAMILY_ERROR, SOURCE, Slice, Slices, judge_slices
from mammolibs.records import UNKNOWN


def slices(evidence: Evidence) -> Part | None:
    """Image AUC, sensitivity and specificity at the chosen cut and lesion sensitivity at one false positive per image, slice by slice.

    A slice that lies below the rest, and a data set whose labels look swapped, is an alarm. None without held-out images.
    """
    rows = evidence.held_out
    if not rows:
        return None
    cut = [one for name in IMAGE_FACTS for one in _by_image(name, evidence)] + [one for name in LESION_FACTS for one in _by_lesion(name, evidence)]
    found = judge_slices(cut, evidence.draws)
    alarms = alarms_of(found)
    whole = block(estimate_all(_figures(rows, evidence), found.draws), evidence.split_hash)
    result = _as_json(found, whole, evidence.split_hash) | {"not_said": _not_said(rows)}
    return Part(name="slices", result=result, sections=(slice_section(result, alarms),), alarms=alarms)


def _figures(rows: Sequence[Prediction], evidence: Evidence) -> dict[str, Statistic]:
    """Those at the chosen cut only where one was chosen."""
    figures = {"auc": statistics_of(rows, ["image_auc"])["image_auc"]}
    if evidence.chosen:
        figures |= {name: called(rows, evidence.chosen, label=label) for name, label in (("sensitivity", 1), ("specificity", 0))}
    return figures | {"lesion_sensitivity_at_1_fp": lesion_sensitivity_statistic(collect(rows), false_per_image=1.0)}


def _by_image(name: str, evidence: Evidence) -> list[Slice]:
    rows = evidence.held_out
    told = np.array([IMAGE_FACTS[name](p) for p in rows], str)
    values = said(told)
    if len(values) < 2 and name != SOURCE:
        return []
    known = ~np.isin(told, ("", UNKNOWN))

    def figures(mask: np.ndarray) -> dict[str, Statistic]:
        return _figures([rows[place] for place in np.flatnonzero(mask)], evidence)

    return [
        Slice(fact=name, name=value, members=told == value, inside=figures(told == value), rest=figures(known & (told != value)))
        for value in values
    ]  # fmt: skip


def _by_lesion(name: str, evidence: Evidence) -> list[Slice]:
    """Malignant images with such a lesion against all that are not malignant; such lesions against the false positives of all images."""
    rows, fact = evidence.held_out, LESION_FACTS[name]
    told = [of_malignant(fact, p) for p in rows]
    of_lesion = {id(one): fact(p, one) for p in rows for one in p.lesions}
    values = said(of_lesion.values())
    negatives = [p for p in rows if p.label == 0]

    def figures(value: str, has: bool) -> dict[str, Statistic]:
        positives = [p for p, kinds in zip(rows, told, strict=True) if kinds and (value in kinds) == has]
        wanted = {key for key, kind in of_lesion.items() if kind and (kind == value) == has}
        found = collect(rows, wanted=lambda lesion: id(lesion) in wanted)
        of_images = _figures([*positives, *negatives], evidence)
        of_images.pop("specificity", None)
        return of_images | {"lesion_sensitivity_at_1_fp": lesion_sensitivity_statistic(found, false_per_image=1.0)}

    if len(values) < 2:
        return []
    return [
        Slice(
            fact=name, name=value, members=np.array([value in kinds for kinds in told], bool), inside=figures(value, True), rest=figures(value, False)
        )
        for value in values
    ]  # fmt: skip


def _not_said(rows: Sequence[Prediction]) -> dict[str, str]:
    """Fact -> why it cuts nothing, or of how many images nobody says it."""
    told = {name: [fact(p) for p in rows] for name, fact in IMAGE_FACTS.items()}
    told |= {name: [fact(p, one) for p in rows for one in p.lesions] for name, fact in LESION_FACTS.items()}
    notes = {}
    for name, values in told.items():
        unit, known = "lesions" if name in LESION_FACTS else "images", said(values)
        if not known:
            notes[name] = "nobody says it"
        elif len(known) == 1 and name != SOURCE:
            notes[name] = f"{known[0]} for all {unit} of which it is said"
        if known and (missing := sum(value in ("", UNKNOWN) for value in values)):
            notes[name] = f"{notes[name]}; " if name in notes else ""
            notes[name] += f"not said of {missing} of {len(values)} {unit}"
    return notes


def _as_json(found: Slices, whole: Mapping[str, Any], split_hash: str | None) -> dict[str, Any]:
    """whole, then fact -> slice -> its block with the tests of its figures."""
    result: dict[str, Any] = {"whole": dict(whole), "tests": found.tested, "family_error": FAMILY_ERROR}
    for verdict in found.verdicts:
        tests = {name: {"p": t.p, "corrected_p": t.corrected, "reason": t.reason} for name, t in verdict.tests.items()}
        told = {"tests": tests, "below_the_rest": list(verdict.low), "swapped": verdict.swapped}
        result.setdefault("by", {}).setdefault(verdict.slice.fact, {})[verdict.slice.name] = block(verdict.figures, split_hash) | told
    return result
