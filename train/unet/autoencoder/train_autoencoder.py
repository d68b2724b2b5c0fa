"""Train the autoencoder: reconstruct hidden blocks of breast.

    python train/unet/autoencoder/train_autoencoder.py                 # resume, else start
    python train/unet/autoencoder/train_autoencoder.py --pretrain no   # afresh, from the best encoder
    python train/unet/autoencoder/train_autoencoder.py --pretrain 20   # go on from iteration 20

In: the shards of the run. Out: <run>/autoencoder/model_iter_<n>.{pth,safetensors,json}, best.json, history.csv, state/.
About a minute on two CPU cores with the cpu preset.
"""

from mammolibs.pipeline.cli import run_script
from mammolibs.pipeline.options import AutoencoderOptions


def main(options: AutoencoderOptions) -> None:
    from mammolibs.pipeline.train_stage import train_stage

    train_stage("autoencoder", options)


if __name__ == "__main__":
    run_script(main, AutoencoderOptions, __doc__)
