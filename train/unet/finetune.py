"""Train the U-Net that finds lesions, from the autoencoder.

    python train/unet/finetune.py                 # resume, else start
    python train/unet/finetune.py --pretrain no   # afresh, from the best autoencoder
    python train/unet/finetune.py --pretrain 20   # go on from iteration 20

In: the shards of the run. Out: <run>/unet/model_iter_<n>.{pth,safetensors,json}, best.json, history.csv, state/.
About four minutes on two CPU cores with the cpu preset.
"""

from mammolibs.pipeline.cli import run_script
from mammolibs.pipeline.options import UNetOptions


def main(options: UNetOptions) -> None:
    from mammolibs.pipeline.train_stage import train_stage

    train_stage("unet", options)


if __name__ == "__main__":
    run_script(main, UNetOptions, __doc__)
