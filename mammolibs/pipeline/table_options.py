"""The flags of the scripts that judge what is written down already: a table of scores, two evaluated runs."""

from __future__ import annotations

from dataclasses import MISSING, dataclass

from mammolibs.errors import BadConfig
from mammolibs.pipeline.cli import option


def check_prevalence(prevalence: float | None) -> None:
    """Raises BadConfig for what is no share of some and not all."""
    if prevalence is not None and not 0 < prevalence < 1:
        raise BadConfig(f"--prevalence {prevalence:g}: a share between 0 and 1, such as 0.006")


@dataclass(frozen=True, kw_only=True)
class ScoresOptions:
    """eval/scores.py"""

    table: str = option(MISSING, "a CSV with a head", positional=True)
    score: str = option(MISSING, "column of the score, higher is more suspicious", metavar="COLUMN")
    truth: str = option(MISSING, "column that says 1 (positive) or 0; empty where nobody knows", metavar="COLUMN")
    patient: str = option(MISSING, "column of the patient", metavar="COLUMN")
    image: str | None = option(None, "column of the image: a row is an image", metavar="COLUMN")
    breast: str | None = option(None, "column of the breast (a side, say): figures per breast too", metavar="COLUMN")
    source: str | None = option(None, "column of the data set or site: figures inside each too", metavar="COLUMN")
    second: str | None = option(None, "column of another model's score, to be compared on the same rows", metavar="COLUMN")
    threshold: float | None = option(
        None, "scores at or above it are called (default read off the curve at 90 % specificity, and said so)", parse=float
    )
    prevalence: float | None = option(None, "share positive where the scores would be used (default the table's own)", parse=float)
    out: str = option("scores", "folder for the report", metavar="FOLDER")
    rounds: int = option(2000, "bootstrap rounds")
    seed: int = option(0, "of the bootstrap")

    def __post_init__(self):
        check_prevalence(self.prevalence)
        if self.threshold is not None and self.threshold != self.threshold:
            raise BadConfig("--threshold nan: give a number")
        if self.rounds < 100:
            raise BadConfig(f"--rounds {self.rounds}: at least 100")


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """eval/compare.py"""

    first: str = option(MISSING, "folder of an evaluated run", positional=True)
    second: str = option(MISSING, "folder of another, on the same held-out images", positional=True)
    out: str | None = option(None, "folder for the comparison (default the first run's report)", metavar="FOLDER")
    rounds: int = option(2000, "bootstrap rounds")
