"""How often the promise of a rule-out cut is broken, over simulated validation sets whose population is known in closed form.

    python scripts/bench.py promise

Three scores: one that was made elsewhere, which is what the theorem speaks of; ours, whose calibration is fitted on the same validation
patients (two features, `fit_calibration`); and ours where the cancers met later differ. Exits 1 where the first breaks it too often.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from scipy.stats import norm

from mammolibs.evaluate.calibration import fit_calibration
from mammolibs.evaluate.conformal import DELTA, safe_rank

SHIFT = np.array([1.0, 1.0])
CASES = ((0.05, 45), (0.05, 120), (0.10, 22), (0.10, 60), (0.20, 11), (0.20, 40))


def shares_beyond(level: float, cancers: int, rounds: int, *, calibrated: bool, later: float = 1.0) -> np.ndarray:
    """True share of the cancers met later below each cut, float (rounds,). later: how far these stand out, as a share of those of validation."""
    rng, found = np.random.default_rng(0), np.empty(rounds)
    labels = np.repeat([1, 0], [cancers, 3 * cancers])
    for number in range(rounds):
        features = rng.normal(size=(len(labels), 2)) + labels[:, None] * SHIFT
        slopes = np.ones(2)
        if calibrated:
            fitted = fit_calibration(features, np.full(len(labels), 0.5), labels)
            slopes = np.array(fitted.slopes) if len(fitted.slopes) == 2 else slopes
        cut = np.sort((features @ slopes)[labels == 1])[safe_rank(cancers, level) - 1]
        found[number] = norm.cdf((cut - later * SHIFT @ slopes) / np.linalg.norm(slopes))
    return found


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench.py promise", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2000)
    options = parser.parse_args(arguments)
    most = DELTA + 3 * np.sqrt(DELTA * (1 - DELTA) / options.rounds)
    print(f"Promised: broken in at most {DELTA:.2f} of validation sets; {options.rounds} of them, so up to {most:.3f} is noise.")
    print(f"{'level':>6}{'cancers':>9}{'made elsewhere':>17}{'calibrated here':>17}{'other cancers':>16}")
    failed = False
    for level, cancers in CASES:
        ways = ({"calibrated": False}, {"calibrated": True}, {"calibrated": True, "later": 0.8})
        broken = [float(np.mean(shares_beyond(level, cancers, options.rounds, **way) > level)) for way in ways]
        failed |= broken[0] > most
        print(f"{level:>6.2f}{cancers:>9}{broken[0]:>17.3f}{broken[1]:>17.3f}{broken[2]:>16.3f}", flush=True)
    sys.exit(int(failed))
