"""Prepare the images of a catalog as samples and write them as shards, one set per split.

    python dataset_enhancement/make_shards.py --catalog runs/mine/data
    python train/unet/encoder/train_encoder.py --run runs/mine

What cannot be used is skipped and listed in <out>/skipped.csv.
"""

from dataclasses import MISSING, dataclass, replace
from pathlib import Path

from mammolibs.catalog import Skipped, read_catalog, write_skipped
from mammolibs.ingest import ingest_images
from mammolibs.pipeline.cli import option, run_script
from mammolibs.pipeline.presets import PRESETS, contract_of, default_preset
from mammolibs.prepare import parse_canvas


@dataclass(frozen=True, kw_only=True)
class Options:
    catalog: str = option(MISSING, "the folder that holds catalog.parquet")
    out: str = option("", "the folder for the shards (default: shards in the catalog's folder, where a run looks for them)")
    preset: str | None = option(None, "sizes of images and patches (default: cpu, or standard with an accelerator)", choices=tuple(PRESETS))
    canvas: tuple | None = option(None, "another height x width in pixels, both divisible by 16, such as 512x320", parse=parse_canvas, metavar="HxW")
    workers: int = option(1, "processes; 0 works in this one, without a time limit per file")
    lanes: int = option(8, "lanes that the shards are dealt to; the number of hosts that train must divide it")


def main(options: Options) -> None:
    contract = contract_of(options.preset or default_preset())
    if options.canvas:
        contract = replace(contract, canvas_height_px=options.canvas[0], canvas_width_px=options.canvas[1])
    out = options.out or str(Path(options.catalog) / "shards")
    report = ingest_images(read_catalog(Path(options.catalog) / "catalog.parquet"), contract, out, workers=options.workers, lanes=options.lanes)
    write_skipped(Path(out) / "skipped.csv", [Skipped(item, reason) for item, reason in report.skipped])
    print(f"{out}: {report}")


if __name__ == "__main__":
    run_script(main, Options, __doc__)
