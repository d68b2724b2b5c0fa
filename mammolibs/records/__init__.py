"""What passes through the doors between rooms: frozen dataclasses, standard library only."""

from mammolibs.records.acceptance import BreastPlace, Policy, Reason, USES, Verdict
from mammolibs.records.image import (
    Batch, ImageFacts, ImageRow, LATERALITIES, LESION_KINDS, Lesion, Mammogram, OUTLINE_SHAPES, Outline, PATHOLOGIES,
    Placement, Position, SPLITS, Sample, TECHNOLOGIES, TRUTHS, UNKNOWN, VIEWS,
)
from mammolibs.records.result import Estimate, Finding, Findings, RunCard

__all__ = [
    "Batch", "BreastPlace", "Estimate", "Finding", "Findings", "ImageFacts", "ImageRow", "LATERALITIES", "LESION_KINDS", "Lesion",
    "Mammogram", "OUTLINE_SHAPES", "Outline", "PATHOLOGIES", "Placement", "Policy", "Position", "Reason", "RunCard",
    "SPLITS", "Sample", "TECHNOLOGIES", "TRUTHS", "UNKNOWN", "USES", "VIEWS", "Verdict",
]  # fmt: skip
