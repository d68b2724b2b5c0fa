"""What eval/scores.py does: a table in, a report out."""

from __future__ import annotations

from pathlib import Path

from mammolibs.evaluate.score_report import summary, write_score_report
from mammolibs.evaluate.score_table import ScoreColumns, read_scores
from mammolibs.pipeline.facts import command_line
from mammolibs.pipeline.table_options import ScoresOptions


def report_scores(options: ScoresOptions) -> None:
    """Read the table, write the report, print its headline."""
    columns = ScoreColumns(
        score=options.score, truth=options.truth, patient=options.patient, image=options.image or "", breast=options.breast or "",
        source=options.source or "", second=options.second or "",
    )  # fmt: skip
    table = read_scores(options.table, columns)
    result = write_score_report(
        options.out,
        table,
        threshold=options.threshold,
        prevalence=options.prevalence,
        command=command_line(),
        rounds=options.rounds,
        seed=options.seed,
    )
    print(summary(result))
    print(f"report: {Path(options.out) / 'report.html'}")
