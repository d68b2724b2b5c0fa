"""Compare two evaluated runs on the same held-out images: paired differences with intervals, and tests of the AUC.

    python eval/compare.py runs/mias runs/mias-scratch

In: report/predictions.parquet of both. Out: comparison.html, .md and .json in the first run's report folder.
"""

from mammolibs.pipeline.cli import run_script
from mammolibs.pipeline.table_options import CompareOptions


def main(options: CompareOptions) -> None:
    from mammolibs.pipeline.compare_runs import compare_runs

    compare_runs(options)


if __name__ == "__main__":
    run_script(main, CompareOptions, __doc__)
