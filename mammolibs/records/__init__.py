"""What passes through the doors between rooms: frozen dataclasses, standard library only."""

from mammolibs.records.acceptance import USES, BreastPlace, Policy, Reason, Verdict
from mammolibs.records.image import (
    LATERALITIES,
    LESION_KINDS,
    OUTLINE_SHAPES,
    PATHOLOGIES,
    SPLITS,
    TECHNOLOGIES,
    TRUTHS,
    UNKNOWN,
    VIEWS,
    Batch,
    ImageFacts,
    ImageRow,
    Lesion,
    Mammogram,
    Outline,
    Placement,
    Position,
    Sample,
)
from mammolibs.records.result import Estimate, Finding, Findings, RunCard

__all__ = [
    "Batch", "BreastPlace", "Estimate", "Finding", "Findings", "ImageFacts", "ImageRow", "LATERALITIES", "LESION_KINDS", "Lesion",
    "Mammogram", "OUTLINE_SHAPES", "Outline", "PATHOLOGIES", "Placement", "Policy", "Position", "Reason", "RunCard",
    "SPLITS", "Sample", "TECHNOLOGIES", "TRUTHS", "UNKNOWN", "USES", "VIEWS", "Verdict",
]  # fmt: skip
