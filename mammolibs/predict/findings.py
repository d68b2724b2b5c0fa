"""From regions to findings: in original pixels, with sizes in mm where the spacing is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from mammolibs.predict.finder import Analysis
from mammolibs.prepare import to_original
from mammolibs.records import Finding, Findings, ImageFacts, Placement, Verdict

FOUND, NOTHING, REFUSED = "regions found", "nothing found", "refused"


def make_findings(
    analysis: Analysis,
    probabilities: Sequence[float],
    *,
    source_file: str,
    image_score: float,
    threshold: float,
    models: dict[str, str],
    contract_hash: str,
    split_hash: str,
    spacing_mm: float | None,
    verdict: Verdict,
    notes: tuple[str, ...] = (),
) -> Findings:
    """All regions whose probability lies above `threshold`, strongest first. None of them is an outcome too.

    probabilities: of each region of the analysis, calibrated. verdict: what speaks against the
    image. notes: what else a reader should know.
    """
    sample = analysis.sample
    findings = []
    for region, probability, malignancy in zip(analysis.regions, probabilities, analysis.malignancies, strict=True):
        if probability <= threshold:
            continue
        height, width = sample.placement.original
        outline = np.clip(to_original(np.array(region.outline), sample.placement), 0, (width - 1, height - 1))
        centre = to_original(np.array([region.centre]), sample.placement)[0]
        findings.append(
            Finding(
                outline=tuple((round(float(x), 1), round(float(y), 1)) for x, y in outline),
                box=original_box(region.box, sample.placement),
                centre=(float(centre[0]), float(centre[1])),
                size_mm=None if spacing_mm is None else longest_side_px(outline, 1 / sample.placement.scale) * spacing_mm,
                probability=probability,
                malignancy=malignancy,
                score=probability * malignancy,
            )
        )
    return Findings(
        image_id=sample.image_id,
        source_file=source_file,
        findings=tuple(findings),
        image_score=image_score,
        outcome=FOUND if findings else NOTHING,
        spacing_mm=spacing_mm,
        laterality=sample.laterality,
        view=sample.view,
        original=sample.placement.original,
        contract_hash=contract_hash,
        split_hash=split_hash,
        models=models,
        threshold=threshold,
        verdict=verdict,
        notes=notes if spacing_mm else (*notes, "unknown spacing: sizes in mm are not given; --spacing-mm sets it"),
    )


def refused_findings(facts: ImageFacts, verdict: Verdict, *, original: tuple[int, int], contract_hash: str, split_hash: str) -> Findings:
    """Of an image that was not looked at: no findings, no score, and the verdict that says why."""
    return Findings(
        image_id=Path(facts.source_file).stem, source_file=facts.source_file, findings=(), image_score=None, outcome=REFUSED,
        spacing_mm=facts.spacing_mm, laterality=facts.laterality, view=facts.view, original=original, contract_hash=contract_hash,
        split_hash=split_hash, verdict=verdict,
    )  # fmt: skip


def original_box(box: tuple[float, float, float, float], placement: Placement) -> tuple[float, float, float, float]:
    """A box on the canvas, ends exclusive, as x0, y0, x1, y1 of the original, cut to the image."""
    corners = to_original(np.array([[box[0] - 0.5, box[1] - 0.5], [box[2] - 0.5, box[3] - 0.5]]), placement) + 0.5
    height, width = placement.original
    low, high = np.clip(corners.min(0), 0, (width, height)), np.clip(corners.max(0), 0, (width, height))
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def longest_side_px(outline: np.ndarray, pixel: float) -> float:
    """The longer side of the smallest rectangle, at any angle, round the pixels of an outline (N 2); pixel: their width."""
    _, (width, height), _ = cv2.minAreaRect(outline.astype(np.float32))
    return max(width, height) + pixel
