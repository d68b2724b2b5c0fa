"""Synthetic screening exams as DICOM files, with exact masks and a table of what is in them.

    python scripts/make_phantoms.py --out FOLDER --exams 40 --rows 1024
    python scripts/make_phantoms.py --out FOLDER --exams 300 --laboratory

The laboratory's images hold known lesions at known places in noise of known covariance; --exams, --seed and --workers are for both.
"""

from dataclasses import MISSING, dataclass

from mammolibs.phantom import Difficulty, make_laboratory, make_phantoms
from mammolibs.pipeline.cli import option, run_script


@dataclass(frozen=True, kw_only=True)
class Options:
    out: str = option(MISSING, "folder to write to", metavar="FOLDER")
    exams: int = option(40, "four images each")
    rows: int = option(1024, "rows of every image, 512 to 4096")
    seed: int = option(0, "same seed, same bytes")
    workers: int | None = option(None, "processes (default: all cores)", parse=int)
    difficulty: float = option(0.5, "0 plain to 1 hard to see")
    no_traps: bool = option(False, "only files that a validator accepts")
    laboratory: bool = option(False, "images whose best possible AUC is known")


def main(options: Options) -> None:
    common = {"exams": options.exams, "seed": options.seed, "workers": options.workers}
    if options.laboratory:
        made = make_laboratory(options.out, **common)
    else:
        made = make_phantoms(
            options.out, rows=options.rows, traps=not options.no_traps, difficulty=Difficulty(level=options.difficulty), **common
        )  # fmt: skip
    print(f"{len(made.truth)} images of {options.exams} exams in {made.folder}, {len(made.lesions)} lesion masks")


if __name__ == "__main__":
    run_script(main, Options, __doc__)
