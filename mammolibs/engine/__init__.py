"""Training: one loop, exact resume, guards. Knows no stage and no data set."""

from mammolibs.engine.checkpoint import Progress, progress
from mammolibs.engine.folder import Best, claim, move_aside, read_best, saved_iterations, weights_stem
from mammolibs.engine.history import read_history
from mammolibs.engine.loop import fit
from mammolibs.engine.options import FitOptions, FitResult, Start
from mammolibs.engine.stage import Stage, Terms, TrainStream, Validate

__all__ = [
    "Best", "FitOptions", "FitResult", "Progress", "Stage", "Start", "Terms", "TrainStream", "Validate",
    "claim", "fit", "move_aside", "progress", "read_best", "read_history", "saved_iterations", "weights_stem",
]  # fmt: skip
