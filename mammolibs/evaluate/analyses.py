"""The further analyses of a report, in reading order: each looks at the same rows and says what it found."""

from __future__ import annotations

from collections.abc import Callable

from mammolibs.evaluate.analysis import Evidence, Part
from mammolibs.evaluate.external import beside_adapted, beside_internal

Analysis = Callable[[Evidence], Part | None]
ANALYSES: tuple[Analysis, ...] = (beside_internal, beside_adapted)


def analyse(evidence: Evidence) -> list[Part]:
    """Every analysis that these rows allow; one that they do not gives None, and no section."""
    return [part for analysis in ANALYSES if (part := analysis(evidence)) is not None]
