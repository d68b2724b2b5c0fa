"""Prepare the images of a catalog as samples and write them as shards, one set per split.

    python dataset_enhancement/make_shards.py --catalog runs/mine/data --out runs/mine/data/shards --canvas 512x320

What cannot be used is skipped and listed in <out>/skipped.csv.
"""

from dataclasses import MISSING, dataclass, replace
from pathlib import Path

from mammolibs.catalog import Skipped, read_catalog, write_skipped
from mammolibs.ingest import ingest_images
from mammolibs.pipeline.cli import option, run_script
from mammolibs.prepare import Contract, parse_canvas


@dataclass(frozen=True, kw_only=True)
class Options:
    catalog: str = option(MISSING, "the folder that holds catalog.parquet")
    out: str = option(MISSING, "the folder for the shards")
    canvas: tuple = option(Contract().canvas, "height x width in pixels, both divisible by 16, such as 512x320", parse=parse_canvas, metavar="HxW")
    workers: int = option(1, "processes; 0 works in this one, without a time limit per file")


def main(options: Options) -> None:
    contract = replace(Contract(), canvas_height_px=options.canvas[0], canvas_width_px=options.canvas[1])
    report = ingest_images(read_catalog(Path(options.catalog) / "catalog.parquet"), contract, options.out, workers=options.workers)
    write_skipped(Path(options.out) / "skipped.csv", [Skipped(item, reason) for item, reason in report.skipped])
    print(f"{options.out}: {report}")


if __name__ == "__main__":
    run_script(main, Options, __doc__)
