"""Train the encoder on unlabelled mammograms (contrastive).

    python train/unet/encoder/train_encoder.py                 # resume, else start
    python train/unet/encoder/train_encoder.py --pretrain no   # afresh
    python train/unet/encoder/train_encoder.py --pretrain 20   # go on from iteration 20

In: the shards of the run. Out: <run>/encoder/model_iter_<n>.{pth,safetensors,json}, best.json, history.csv, state/.
About a minute on two CPU cores with the cpu preset.
"""

from mammolibs.pipeline.cli import run_script
from mammolibs.pipeline.options import EncoderOptions


def main(options: EncoderOptions) -> None:
    from mammolibs.pipeline.train_stage import train_stage

    train_stage("encoder", options)


if __name__ == "__main__":
    run_script(main, EncoderOptions, __doc__)
