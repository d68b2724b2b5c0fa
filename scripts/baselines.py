"""What simple methods reach on the same held-out patients and folds as a finished run, and by how much it differs.

    python scripts/baselines.py --run runs/mias

Image scores: 46 measures of the breast and their left-right differences in a ridge-logistic.
Lesions: the 12 brightest blobs per image, sorted by a random forest on local measures. Both
fitted outside each fold, nothing tuned. Prints pipeline, baseline and paired difference with
95 % intervals; writes report/baselines.json and baselines.parquet. About 0.2 s per image.
"""

from dataclasses import dataclass
from pathlib import Path

from mammolibs.pipeline.cli import option, run_script


@dataclass(frozen=True, kw_only=True)
class BaselineOptions:
    run: str = option("runs/default", "the run's folder")


def main(options: BaselineOptions) -> None:
    from benches.baseline_compare import CALLED, compare_run

    from mammolibs.evaluate.compare import comparison_table

    print(comparison_table(compare_run(Path(options.run)), CALLED))


if __name__ == "__main__":
    run_script(main, BaselineOptions, __doc__)
