"""Make derived copies of a catalog's images (turned, resized, with CLAHE, on one intensity scale) and a catalog that holds both.

    python dataset_enhancement/augment.py --catalog runs/mine/data --out runs/more/data --rotate 15,-15 --clahe 2 --normalise
    python dataset_enhancement/make_shards.py --catalog runs/more/data

A copy names its parent and stays in its split. Only training images get copies, unless --split says otherwise.
"""

from dataclasses import MISSING, dataclass

from mammolibs.ingest import Recipe, parse_rotations
from mammolibs.pipeline.cli import option, run_script
from mammolibs.pipeline.copies import make_copies
from mammolibs.pipeline.policy import accept_option, policy_option


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
    report = make_copies(options.catalog, options.out, recipe, policy_file=options.policy, accept=options.accept, workers=options.workers)
    print(f"{options.out}: {report}")


if __name__ == "__main__":
    run_script(main, Options, __doc__)
