"""Evaluate the unet on held-out patients: figures with intervals, and a plot of four samples.

    python eval/unet_eval.py               # the best iteration
    python eval/unet_eval.py --iter 20     # another one

In: the run's data and weights. Out: <run>/unet/evaluation.json and plot.png.
"""

from mammolibs.pipeline.cli import run_script
from mammolibs.pipeline.options import EvalOptions


def main(options: EvalOptions) -> None:
    from mammolibs.pipeline.evaluate_stage import evaluate_stage

    evaluate_stage("unet", options)


if __name__ == "__main__":
    run_script(main, EvalOptions, __doc__)
