"""What passes through the doors between rooms: frozen dataclasses, standard library only."""

from mammolibs.records.image import (
    Batch, ImageFacts, ImageRow, LATERALITIES, LESION_KINDS, Lesion, Mammogram, OUTLINE_SHAPES, Outline, PATHOLOGIES,
    Placement, Position, SPLITS, Sample, TRUTHS, UNKNOWN, VIEWS,
)
from mammolibs.records.result import Estimate, Finding, Findings, RunCard

__all__ = [
    "Batch", "Estimate", "Finding", "Findings", "ImageFacts", "ImageRow", "LATERALITIES", "LESION_KINDS", "Lesion",
    "Mammogram", "OUTLINE_SHAPES", "Outline", "PATHOLOGIES", "Placement", "Position", "RunCard", "SPLITS", "Sample",
    "TRUTHS", "UNKNOWN", "VIEWS",
]  # fmt: skip
