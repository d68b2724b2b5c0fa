"""Judge a trained run on data that training had nothing of: weights, calibration and cuts as they are.

    python eval/external_eval.py --run runs/default --source mias=all-mias.tar.gz
    python eval/external_eval.py --run runs/default --source mias=all-mias.tar.gz --adapt intensity

In: a run that was trained and evaluated; data sets as for train.sh. Out: <run>/external/<names>/ (or --out): report.html, report.md
and report.json with the figures on the run's own held-out patients beside and the drop of each; predictions.parquet,
internal.parquet; with --adapt also adapted.parquet and adaptation.json, which predict.py takes as --adapt FILE.
"""

from mammolibs.pipeline.cli import run_script
from mammolibs.pipeline.options import ExternalEvalOptions


def main(options: ExternalEvalOptions) -> None:
    from mammolibs.pipeline.external import evaluate_external

    evaluate_external(options)


if __name__ == "__main__":
    run_script(main, ExternalEvalOptions, __doc__)
