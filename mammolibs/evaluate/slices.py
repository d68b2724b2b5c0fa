"""The figures by what the header or the label table says of an image: maker, film or digital, density, age, lesion, data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mammolibs.evaluate.analysis import Evidence, Part
from mammolibs.evaluate.bootstrap import Statistic, estimate_all
from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.result import block
from mammolibs.evaluate.slice_alarms import alarms_of
from mammolibs.evaluate.slice_columns import Columns
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
    columns = Columns(rows, evidence.chosen)
    found = judge_slices(cut_by_all_facts(columns), evidence.draws)
    alarms = alarms_of(found)
    whole = block(estimate_all(columns.figures(np.ones(len(rows), bool)), found.draws), evidence.split_hash)
    result = _as_json(found, whole, evidence.split_hash) | {"not_said": _not_said(rows)}
    return Part(name="slices", result=result, sections=(slice_section(result, alarms),), alarms=alarms)


def cut_by_all_facts(columns: Columns) -> list[Slice]:
    """The slices of every fact that tells two apart, and of every data set."""
    return [one for name in IMAGE_FACTS for one in _by_image(name, columns)] + [
        one for name in LESION_FACTS for one in _by_lesion(name, columns)
    ]


def _by_image(name: str, columns: Columns) -> list[Slice]:
    told = np.array([IMAGE_FACTS[name](p) for p in columns.rows], str)
    values = said(told)
    known = ~np.isin(told, ("", UNKNOWN))
    if len(values) < 2 and name != SOURCE:
        return []
    return [
        Slice(fact=name, name=value, members=told == value, inside=columns.figures(told == value), rest=columns.figures(known & (told != value)))
        for value in values
    ]  # fmt: skip


def _by_lesion(name: str, columns: Columns) -> list[Slice]:
    """Malignant images with such a lesion against all that are not malignant; such lesions against the false positives of all images."""
    fact = LESION_FACTS[name]
    told = [of_malignant(fact, p) for p in columns.rows]
    of_lesions = np.array([fact(p, one) for p, one in columns.lesions], str)
    values = said(fact(p, one) for p in columns.rows for one in p.lesions)

    def figures(positives: np.ndarray, lesions: np.ndarray) -> dict[str, Statistic]:
        found = columns.figures(positives | (columns.labels == 0), lesions=lesions, lesion_images=np.ones(len(columns.rows), bool))
        return {name: statistic for name, statistic in found.items() if name != "specificity"}

    slices_of_fact = []
    for value in values if len(values) > 1 else ():
        has, lacks = (np.array([bool(kinds) and (value in kinds) == there for kinds in told], bool) for there in (True, False))
        inside = figures(has, of_lesions == value)
        rest = figures(lacks, (of_lesions != value) & (of_lesions != ""))
        slices_of_fact.append(Slice(fact=name, name=value, members=has, inside=inside, rest=rest))
    return slices_of_fact


def _not_said(rows: Sequence[Prediction]) -> dict[str, str]:
    """Fact -> why it cuts nothing, or of how many images nobody says it."""
    told = {name: [fact(p) for p in rows] for name, fact in IMAGE_FACTS.items()}
    told |= {name: [fact(p, one) for p in rows for one in p.lesions] for name, fact in LESION_FACTS.items()}
    notes = {}
    for name, values in told.items():
        unit, known = "lesions" if name in LESION_FACTS else "images", said(values)
        if not known:
            notes[name] = "nobody says it"
        elif len(known) == 1:
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
