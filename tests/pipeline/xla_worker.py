"""Train, evaluate and predict through XLA over several cores, as the scripts do: RUN IMAGE OUT."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import tiny

from mammolibs.pipeline.evaluate_stage import evaluate_stage
from mammolibs.pipeline.find import predict_files
from mammolibs.pipeline.options import EvalOptions, PredictOptions, UNetOptions
from mammolibs.pipeline.train_stage import train_stage

if __name__ == "__main__":
    run, image, out = sys.argv[1:]
    tiny.install()
    predict_files(PredictOptions(image=image, run=run, out=out))
    train_stage("unet", UNetOptions(run=run, pretrain=2, it=1, workers=0))
    evaluate_stage("unet", EvalOptions(run=run, workers=0))
