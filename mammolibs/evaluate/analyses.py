"""The further analyses of a report, in reading order: each looks at the same rows and says what it found."""

from __future__ import annotations

from collections.abc import Callable

from mammolibs.evaluate.analysis import Evidence, Part
from mammolibs.evaluate.ledger_page import ledger
from mammolibs.evaluate.lesion_sizes import overlap_by_size
from mammolibs.evaluate.oracle import oracle

Analysis = Callable[[Evidence], Part | None]
ANALYSES: tuple[Analysis, ...] = (ledger, oracle, overlap_by_size)


def analyse(evidence: Evidence) -> list[Part]:
    """Every analysis that these rows allow; one that they do not gives None, and no section."""
    return [part for analysis in ANALYSES if (part := analysis(evidence)) is not None]
