#!/usr/bin/env python
"""Synthetic screening exams as DICOM files: python scripts/make_phantoms.py --out FOLDER --exams 40 --rows 1024"""

import argparse
import sys

from mammolibs.errors import MammolibsError
from mammolibs.phantom import Difficulty, make_phantoms


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True, help="folder to write to")
    parser.add_argument("--exams", type=int, default=40, help="four images each")
    parser.add_argument("--rows", type=int, default=1024, help="of every image, 512 to 4096")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same bytes")
    parser.add_argument("--workers", type=int, help="processes (default: all cores)")
    parser.add_argument("--difficulty", type=float, default=0.5, help="0 plain to 1 hard to see")
    parser.add_argument("--no-traps", action="store_true", help="only files that a validator accepts")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    a = parser.parse_args()
    try:
        made = make_phantoms(a.out, exams=a.exams, rows=a.rows, seed=a.seed, workers=a.workers,
                             traps=not a.no_traps, difficulty=Difficulty(level=a.difficulty))  # fmt: skip
    except MammolibsError as error:
        if a.debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{len(made.truth)} images of {a.exams} exams in {made.folder}, {len(made.lesions)} lesion masks")
    return 0


if __name__ == "__main__":
    sys.exit(main())
