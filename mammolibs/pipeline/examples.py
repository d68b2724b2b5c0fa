"""Which held-out images a report shows: the best finds, the worst misses, the worst false alarms."""

from __future__ import annotations

from typing import Any, Sequence

from mammolibs.evaluate import Prediction
from mammolibs.pipeline.judge import Judge, Operating

EACH = 4


def report_examples(judge: Judge, predictions: Sequence[Prediction], operating: Operating) -> list[Any]:
    """Example pictures, in the order in which the report shows them."""
    return []
