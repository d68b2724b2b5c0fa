"""Prepare the images of a catalog as samples and write them as shards, one set per split.

    python dataset_enhancement/make_shards.py --catalog runs/mine/data
    python train/unet/encoder/train_encoder.py --run runs/mine

    python dataset_enhancement/make_shards.py --catalog data --out gs://BUCKET/mine/shards   # the catalog goes with them
    python train/unet/encoder/train_encoder.py --run runs/mine --data gs://BUCKET/mine

What cannot be used is skipped and listed in <out>/skipped.csv.
"""

from dataclasses import MISSING, dataclass

from mammolibs.catalog import Skipped, read_catalog, write_catalog, write_skipped
from mammolibs.ingest import ingest_images
from mammolibs.pipeline.cli import option, run_script
from mammolibs.pipeline.policy import accept_option, keep_policy, policy_of_sources, policy_option, read_policy
from mammolibs.pipeline.presets import PRESETS, contract_of, default_preset
from mammolibs.prepare import parse_canvas
from mammolibs.storage import below, is_address, locate


@dataclass(frozen=True, kw_only=True)
class Options:
    catalog: str = option(MISSING, "the folder or gs:// address that holds catalog.parquet")
    out: str = option("", "folder or gs:// address for the shards (default: shards in the catalog's folder, where a run looks for them)")
    preset: str | None = option(None, "sizes of images and patches (default: cpu, or standard with an accelerator)", choices=tuple(PRESETS))
    canvas: tuple | None = option(None, "another height x width in pixels, both divisible by 16, such as 512x320", parse=parse_canvas, metavar="HxW")
    workers: int = option(1, "processes; 0 works in this one, without a time limit per file")
    policy: str | None = policy_option()
    accept: tuple = accept_option()
    lanes: int = option(8, "lanes that the shards are dealt to; the number of hosts that train must divide it")


def main(options: Options) -> None:
    out = options.out or str(below(options.catalog, "shards"))
    rows, preset = read_catalog(below(options.catalog, "catalog.parquet")), options.preset or default_preset()
    policy = read_policy(options.policy, options.accept, policy_of_sources(row.source for row in rows))
    report = ingest_images(rows, contract_of(preset, options.canvas), out, policy=policy, workers=options.workers, lanes=options.lanes)
    keep_policy(out, policy)
    write_skipped(below(out, "skipped.csv"), [Skipped(item, reason) for item, reason in report.skipped])
    if is_address(options.out):
        write_catalog(below(locate(out)[0].location, "catalog.parquet"), rows)
    print(f"{out}: {report}")


if __name__ == "__main__":
    run_script(main, Options, __doc__)
