"""python -m mammolibs.pipeline: the whole pipeline, data to report. train/train.sh sets up and calls this.

A short run on synthetic mammograms without flags; --source mias=PATH for real data. Research only, not a medical device.
train.sh itself takes --no-venv: set up and run in the environment that is active now.
"""

from mammolibs.pipeline.cli import run_script
from mammolibs.pipeline.options import TrainOptions


def main(options: TrainOptions) -> None:
    """Run everything."""
    from mammolibs.pipeline.chain import run_chain

    run_chain(options)


if __name__ == "__main__":
    run_script(main, TrainOptions, __doc__)
