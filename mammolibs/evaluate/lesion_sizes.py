"""Masks by the size of the lesion: Dice, IoU and the distance of the borders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mammolibs.evaluate.analysis import Evidence, Part
from mammolibs.evaluate.bootstrap import Statistic, estimate_all
from mammolibs.evaluate.document import Section, Table, Text
from mammolibs.evaluate.overlap_figures import FIGURES, overlap
from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.result import block, show
from mammolibs.evaluate.slice_facts import SIZES_MM, diameter_mm, size_band

TITLE = "Masks by lesion size"
NOTE = (
    "Size: diameter of the disc with the area of the image's largest lesion. A mask that was missed counts 0 for Dice and IoU, and has no "
    "distance: where n of the distances is lower, nothing was marked on the rest. Whatever is marked elsewhere on the image counts into the "
    "distances too."
)


def overlap_by_size(evidence: Evidence) -> Part | None:
    """Mean overlap and distances per band of SIZES_MM over images with a drawn lesion; None where there is no such image."""
    drawn = [p for p in evidence.held_out if p.dice is not None]
    if not drawn:
        return None
    bands = [size_band(size_mm(p)) for p in drawn]
    result, rows = {}, []
    for _, name in SIZES_MM:
        own = [p for p, band in zip(drawn, bands, strict=True) if band == name]
        figures = block(estimate_all({name: _figure(name, own) for name in FIGURES}, evidence.draws), evidence.split_hash)
        result[name.replace(" ", "_")] = figures
        rows.append((name, str(len(own)), *(_told(figures[n]) for n in FIGURES)))
    unknown = bands.count("")
    note = f" {unknown} of {len(drawn)} images with a drawn lesion are in no band: spacing or size unknown." if unknown else ""
    table = Table(("lesion size", "images", *FIGURES.values()), tuple(rows))
    return Part(name="lesion_sizes", result=result, sections=(Section(TITLE, (table, Text(NOTE + note, "note"))),))


def size_mm(p: Prediction) -> float | None:
    """Diameter of the image's largest lesion in mm; None where spacing or size is unknown."""
    return max((size for lesion in p.lesions if (size := diameter_mm(p, lesion)) is not None), default=None)


def _figure(name: str, rows: Sequence[Prediction]) -> Statistic:
    statistic = overlap(name, rows)
    return statistic if rows else replace(statistic, problem="no lesion image of this size")


def _told(fields: Mapping[str, Any]) -> str:
    if fields["value"] is None:
        return fields["reason"]
    return f"{show(fields)} (n {fields['n']})"
