"""Evaluate the whole pipeline on held-out patients and write the report.

    python eval/pipeline_eval.py --run runs/default

In: the run's data, its U-Net and its ResNet. Out: <run>/operating.json (thresholds and calibration, chosen on
validation patients) and <run>/report/: report.html, report.md, report.json, predictions.parquet.
"""

from mammolibs.pipeline.cli import run_script
from mammolibs.pipeline.options import PipelineEvalOptions


def main(options: PipelineEvalOptions) -> None:
    from mammolibs.pipeline.evaluate_run import evaluate_run

    evaluate_run(options)


if __name__ == "__main__":
    run_script(main, PipelineEvalOptions, __doc__)
