"""Train the ResNet that says how malignant a patch is.

    python train/resnet/train_resnet.py                 # resume, else start
    python train/resnet/train_resnet.py --pretrain no   # afresh
    python train/resnet/train_resnet.py --pretrain 20   # go on from iteration 20

In: the shards of the run. Out: <run>/resnet/model_iter_<n>.{pth,safetensors,json}, best.json, history.csv, state/.
About a minute on two CPU cores with the cpu preset.
"""

from mammolibs.pipeline.cli import run_script
from mammolibs.pipeline.options import ResNetOptions


def main(options: ResNetOptions) -> None:
    from mammolibs.pipeline.train_stage import train_stage

    train_stage(options.stage, options)


if __name__ == "__main__":
    run_script(main, ResNetOptions, __doc__)
