"""Evaluate anybody's table of scores: no images, no network, one CSV with a row per image, breast or patient.

    python eval/scores.py table.csv --score prob --truth cancer --patient patient_id --out report
    python eval/scores.py table.csv --score prob --truth cancer --patient patient_id --image image_id --source site --second other_model

In: a CSV with a head. Out: report.html, report.md, report.json and figures/ in the folder.
"""

from mammolibs.pipeline.cli import run_script
from mammolibs.pipeline.table_options import ScoresOptions


def main(options: ScoresOptions) -> None:
    from mammolibs.pipeline.score_report import report_scores

    report_scores(options)


if __name__ == "__main__":
    run_script(main, ScoresOptions, __doc__)
