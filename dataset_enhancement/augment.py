"""Make derived copies of a catalog's images (turned, resized, with CLAHE, on one intensity scale) and a catalog that holds both.

    python dataset_enhancement/augment.py --catalog runs/mine/data --out runs/more/data --rotate 15,-15 --clahe 2 --normalise
    python dataset_enhancement/make_shards.py --catalog runs/more/data

A copy names its parent and stays in its split. Only training images get copies, unless --split says otherwise.
"""

from dataclasses import MISSING, dataclass

from mammolibs.catalog import Skipped, read_catalog, write_catalog, write_skipped, write_split_of_copies
from mammolibs.ingest import Recipe, derive_images, parse_rotations
from mammolibs.pipeline.cli import option, run_script
from mammolibs.pipeline.policy import accept_option, policy_of_sources, policy_option, read_policy
from mammolibs.storage import below


@dataclass(frozen=True, kw_only=True)
class Options:
    catalog: str = option(MISSING, "the folder or gs:// address that holds catalog.parquet")
    out: str = option(MISSING, "folder for the copies and the new catalog.parquet; what is there from the same input is kept")
    rotate: tuple = option((), "degrees clockwise, such as 15,-15 (or --rotate=-15,15)", parse=parse_rotations, metavar="LIST")
    clahe: float | None = option(None, "a copy with CLAHE beside each one without, at this clip limit, such as 2", metavar="CLIP")
    longest_px: int | None = option(None, "shrink copies as if the image's longer side became so many pixels")
    normalise: bool = option(False, "intensities by robust percentiles inside the breast, 0 outside")
    split: tuple = option((), "whose images get copies (default: train); may be given several times", parse=str, repeat=True)
    workers: int = option(1, "processes; 0 works in this one, without a time limit per image")
    policy: str | None = policy_option()
    accept: tuple = accept_option()


def main(options: Options) -> None:
    how = {"clahe_clip": options.clahe, "longest_px": options.longest_px, "normalise": options.normalise}
    recipe = Recipe(rotations=options.rotate, splits=options.split or ("train",), **how)
    rows = read_catalog(below(options.catalog, "catalog.parquet"))
    policy = read_policy(options.policy, options.accept, policy_of_sources(row.source for row in rows))
    report = derive_images(rows, recipe, options.out, policy=policy, workers=options.workers)
    write_catalog(below(options.out, "catalog.parquet"), report.rows)
    write_split_of_copies(below(options.out, "split.json"), report.rows, below(options.catalog, "split.json"))
    write_skipped(below(options.out, "skipped.csv"), [Skipped(item, reason) for item, reason in report.skipped])
    print(f"{options.out}: {report}")


if __name__ == "__main__":
    run_script(main, Options, __doc__)
