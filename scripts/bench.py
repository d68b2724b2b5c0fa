"""Measure a part of mammolibs and print ratios: absolute times depend on the machine, ratios hardly.

For example:

    python scripts/bench.py decode            # reading DICOM against plain pydicom
    python scripts/bench.py decode --help     # the options of one bench
"""

import importlib
import sys
from pathlib import Path

NOT_RUN_HERE = ("baseline", "fault")


def main(arguments: list[str]) -> int:
    folder = Path(__file__).parent / "benches"
    known = sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith(NOT_RUN_HERE))
    if arguments[:1] in (["-h"], ["--help"]):
        print(f"{__doc__}\nThere are {', '.join(known)}.")
        return 0
    if not arguments or arguments[0] not in known:
        print(f"{' '.join(arguments[:1]) or 'nothing'}: no such bench; there are {', '.join(known)}", file=sys.stderr)
        return 2
    importlib.import_module(f"benches.{arguments[0]}").main(arguments[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
