"""Prepare the images of a catalog as samples and write them as shards, one set per split.

    python dataset_enhancement/make_shards.py --catalog runs/mine/data
    python train/unet/encoder/train_encoder.py --run runs/mine

    python dataset_enhancement/make_shards.py --catalog data --out gs://BUCKET/mine/shards   # the catalog goes with them
    python train/unet/encoder/train_encoder.py --run runs/mine --data gs://BUCKET/mine

    python dataset_enhancement/make_shards.py --catalog gs://BUCKET/mine --scheduler tcp://HOST:8786   # on a Dask cluster

    python dataset_enhancement/make_shards.py --catalog data --patches malignancy    # round lesions at full resolution

What cannot be used is skipped and listed in <out>/skipped.csv. Stopped and called again, it goes on where it stood.
"""

from dataclasses import MISSING, dataclass

from mammolibs.pipeline.cli import option, run_script, workers_option
from mammolibs.pipeline.policy import accept_option, policy_option
from mammolibs.pipeline.presets import PRESETS, contract_of, default_preset
from mammolibs.pipeline.shards import default_out, make_shards, patches_option
from mammolibs.prepare import parse_canvas
from mammolibs.shards import CODECS


@dataclass(frozen=True, kw_only=True)
class Options:
    catalog: str = option(MISSING, "the folder or gs:// address that holds catalog.parquet")
    out: str = option("", "folder or gs:// address for the shards (default: shards in the catalog's folder, where a run looks for them)")
    patches: str | None = patches_option()
    preset: str | None = option(None, "sizes of images and patches (default: cpu, or standard with an accelerator)", choices=tuple(PRESETS))
    canvas: tuple | None = option(
        None, "another height x width in pixels, both divisible by 16, such as 512x320", parse=parse_canvas, metavar="HxW"
    )
    workers: int = workers_option()
    scheduler: str = option("", "a Dask scheduler, whose cluster prepares the images instead of processes here", metavar="tcp://HOST:8786")
    policy: str | None = policy_option()
    accept: tuple = accept_option()
    lanes: int = option(8, "lanes that the shards are dealt to; the number of hosts that train must divide it")
    codec: str = option("blosc2", "how images are stored: blosc2 reads fastest, jxl takes a quarter less than png", choices=tuple(CODECS))


def main(options: Options) -> None:
    contract = contract_of(options.preset or default_preset(), options.canvas)
    out = options.out or default_out(options.catalog, options.patches)
    how = {name: getattr(options, name) for name in ("accept", "workers", "lanes", "codec", "scheduler", "patches")}
    print(f"{out}: {make_shards(options.catalog, out, contract, policy_file=options.policy, **how)}")


if __name__ == "__main__":
    run_script(main, Options, __doc__)
