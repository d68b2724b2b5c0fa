"""One process of torchrun: cut the patches and train the ResNet of a run, in a cache of its own.

usage: torchrun_worker.py RUN FOLDER
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import tiny

from mammolibs.pipeline.options import ResNetOptions
from mammolibs.pipeline.train_stage import train_stage

if __name__ == "__main__":
    os.environ["MAMMOLIBS_CACHE"] = f"{sys.argv[2]}/{os.environ['RANK']}"
    tiny.install()
    train_stage("resnet", ResNetOptions(run=sys.argv[1], pretrain="no", it=1, workers=0))
