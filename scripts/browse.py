"""One HTML page of a catalog or of shards: example films with outlines, distributions, splits, what was left out.

    python scripts/browse.py runs/mine --out browse.html       # a run, a folder with catalog.parquet, or the table
    python scripts/browse.py runs/mine/data/shards --images 200 --workers 4

The page refers to nothing outside itself and names no file and no person: images are called by their row.
All counts are of every image; --images says how many are read for the films and for what only pixels tell.
"""

from dataclasses import MISSING, dataclass

from mammolibs.pipeline.browse import MOST_IMAGES, TIMEOUT_S, browse
from mammolibs.pipeline.cli import option, run_script


@dataclass(frozen=True, kw_only=True)
class Options:
    data: str = option(MISSING, "folder or gs:// address of a catalog, a run or shards, or the table", positional=True, metavar="DATA")
    out: str = option("browse.html", "the page", metavar="FILE")
    images: int = option(MOST_IMAGES, "images to read at most")
    workers: int = option(1, "processes that read; 0 works in this one, without a time limit per file")
    timeout: float = option(TIMEOUT_S, "seconds that one image may take")


def main(options: Options) -> None:
    print(browse(options.data, options.out, images=options.images, workers=options.workers, timeout_s=options.timeout))


if __name__ == "__main__":
    run_script(main, Options, __doc__)
