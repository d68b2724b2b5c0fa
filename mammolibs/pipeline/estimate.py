"""What a run would cost: steps timed on this machine, disk and memory from sizes."""

from __future__ import annotations

from pathlib import Path

from mammolibs.pipeline.options import TrainOptions


def print_estimate(folder: Path, options: TrainOptions, sources: list[tuple[str, str]]) -> None:
    """Print time, disk and memory of the run that these options ask for."""
