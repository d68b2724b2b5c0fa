"""Are planted faults named, and do clean runs raise no alarm? Each fault is planted so many times, beside as many clean runs.

    python scripts/planted_faults.py                      # every fault, 20 times each
    python scripts/planted_faults.py overconfident        # these alone

Exits 1 where a fault was missed or a clean run raised an alarm.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial

from benches import fault_leak, fault_overconfident, fault_promise, fault_shortcut, fault_slices, fault_stages

# Fault -> (seed, planted) -> the alarms that a report raises.
FAULTS: dict[str, Callable[[int, bool], Sequence[str]]] = {
    "overconfident": fault_overconfident.alarms,
    "broken promise": fault_promise.alarms,
    "marker": fault_shortcut.marker_alarms,
    "one maker": fault_shortcut.maker_alarms,
    "leaking split": fault_leak.alarms,
    "bad slice": fault_slices.bad_slice_alarms,
    "swapped labels": fault_slices.swapped_alarms,
    **{fault: partial(fault_stages.alarms, fault) for fault in fault_stages.FAULTS},
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="planted_faults.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"of {', '.join(FAULTS)} (default all)")
    parser.add_argument("--repeats", type=int, default=20, help="times that each is planted (default 20)")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.faults if name not in FAULTS]:
        parser.error(f"no fault named {unknown[0]!r}; there are {', '.join(FAULTS)}")
    failed = False
    print(f"{'fault':<24}{'found':>12}{'false alarms':>16}")
    for name in options.faults or FAULTS:
        found, false = (sum(bool(FAULTS[name](seed, planted)) for seed in range(options.repeats)) for planted in (True, False))
        failed |= found < options.repeats or false > 0
        print(f"{name:<24}{f'{found} of {options.repeats}':>12}{f'{false} of {options.repeats}':>16}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
