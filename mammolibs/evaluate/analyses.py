"""The further analyses of a report, in reading order: each looks at the same rows and says what it found."""

from __future__ import annotations

from collections.abc import Callable

from mammolibs.evaluate.analysis import Evidence, Part
from mammolibs.evaluate.calibration_choice import calibration_choice
from mammolibs.evaluate.confidence import confidence
from mammolibs.evaluate.exam_level import exam_level
from mammolibs.evaluate.external import beside_adapted, beside_internal
from mammolibs.evaluate.ledger_page import ledger
from mammolibs.evaluate.lesion_sizes import overlap_by_size
from mammolibs.evaluate.oracle import oracle
from mammolibs.evaluate.rule_out import rule_out
from mammolibs.evaluate.shortcuts import shortcuts
from mammolibs.evaluate.slices import slices
from mammolibs.evaluate.transfer import transfer
from mammolibs.evaluate.workflow import workflow

Analysis = Callable[[Evidence], Part | None]
ANALYSES: tuple[Analysis, ...] = (
    beside_internal, beside_adapted, exam_level, slices, ledger, oracle, overlap_by_size, shortcuts, calibration_choice, confidence,
    transfer, rule_out, workflow,
)  # fmt: skip


def analyse(evidence: Evidence) -> list[Part]:
    """Every analysis that these rows allow; one that they do not gives None, and no section."""
    return [part for analysis in ANALYSES if (part := analysis(evidence)) is not None]
