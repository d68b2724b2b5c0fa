"""Do 95 % intervals hold the truth as often as they say? Simulated patients whose truth is known in closed form.

    python scripts/coverage.py                      # all cells, 1,000 repeats each; about eight minutes on two cores
    python scripts/coverage.py --repeats 200 --cells auc:100

Every patient has two units (images) that share half their noise, as two views of one breast do; 30 % of the patients
are ill, in the smallest set a fifth. Figures: AUC, sensitivity at 90 % specificity, mean Dice, lesion sensitivity at one false positive
per image, AUC of the laboratory phantom's ideal observer on simulated pixels, each with the bootstrap that the reports use, 400 rounds.
From 100 patients with 30 events on 93 to 97 % of the intervals must hold the truth, below 91 to 98 %; exits 1 where a cell lies
outside by more than its own chance error allows.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm
from tqdm import tqdm

from mammolibs.evaluate import Draws, Statistic, estimate, mean_statistic
from mammolibs.evaluate.detection import Detections, lesion_sensitivity_statistic
from mammolibs.evaluate.ranked import Ranked
from mammolibs.evaluate.ranking import auc, sensitivity_at
from mammolibs.phantom import Laboratory

ROUNDS = 400
LIFT = 1.2
SPECIFICITY = 0.9
FALSE_PER_IMAGE, FALSE_SPREAD = 2.5, 1.0
LESION_MEAN, LESION_SPREAD = 1.0, 1.0
SIZES = (50, 100, 200, 500, 1000)
# As much of the laboratory's images as the ideal observer looks at, at coarser pixels.
LABORATORY = Laboratory(shape=(32, 32), step_mm=1.6)
OBSERVER = LABORATORY.ideal_observer((16, 16))


@dataclass(frozen=True)
class Cell:
    """One figure at one number of patients. band: the shares of intervals that must hold the truth."""

    figure: str
    patients: int
    ill: int

    @property
    def band(self) -> tuple[float, float]:
        return (0.93, 0.97) if self.patients >= 100 and self.ill >= 30 else (0.91, 0.98)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="coverage.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1000, help="simulated sets of each cell (default 1000)")
    parser.add_argument("--cells", default="", metavar="FIGURE:PATIENTS,...", help="these alone")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    cells = [Cell(name, size, round((0.2 if size == SIZES[0] else 0.3) * size)) for name in FIGURES for size in SIZES]
    if options.cells:
        cells = [cell for cell in cells if f"{cell.figure}:{cell.patients}" in options.cells.split(",")]
    print(f"{options.repeats} repeats, {ROUNDS} rounds; two units a patient")
    print(f"{'figure':<14}{'patients':>9}{'ill':>6}{'truth':>8}{'covered':>9}{'below':>8}{'above':>8}{'width':>8}  band")
    failed = 0
    with ProcessPoolExecutor(options.processes) as pool, tqdm(total=len(cells) * options.repeats, unit="set", leave=False) as bar:
        for cell in cells:
            parts = []
            for part in pool.map(repeat, [cell] * options.repeats, range(options.repeats), chunksize=10):
                parts.append(part)
                bar.update()
            failed += told(cell, np.array(parts))
    print("every cell within its band" if not failed else f"{failed} cells outside their band")
    return 1 if failed else 0


def told(cell: Cell, found: np.ndarray) -> bool:
    """Print a cell; True where it fails. found: float (repeats, 2), low and high, NaN where there was no interval."""
    truth = FIGURES[cell.figure][1]
    low, high = found.T
    below, above = float(np.mean(high < truth)), float(np.mean(low > truth))
    missing = float(np.mean(np.isnan(low)))
    covered = 1 - below - above - missing
    # What chance alone does to a true share at the edge of the band, once in forty.
    least, most = (edge + sign * 1.96 * math.sqrt(edge * (1 - edge) / len(low)) for edge, sign in zip(cell.band, (-1, 1), strict=True))
    fails = not least <= covered <= most
    line = f"{cell.figure:<14}{cell.patients:>9}{cell.ill:>6}{truth:>8.3f}{covered:>9.3f}{below:>8.3f}{above:>8.3f}{np.nanmean(high - low):>8.3f}"
    tqdm.write(
        f"{line}  {cell.band[0]:.2f} to {cell.band[1]:.2f}{'  OUTSIDE' if fails else ''}"
        + (f"  {missing:.1%} without interval" if missing else "")
    )
    return fails


def repeat(cell: Cell, seed: int) -> tuple[float, float]:
    """One simulated set: the low and high end of its interval."""
    rng = np.random.default_rng([seed, cell.patients, len(cell.figure)])
    statistic = FIGURES[cell.figure][0](rng, cell)
    found = estimate(statistic, Draws(statistic.patients, rounds=ROUNDS, seed=seed))
    return (math.nan, math.nan) if found.low is None else (found.low, found.high)


def scored(rng: np.random.Generator, cell: Cell) -> Ranked:
    """Two images a patient, of unit variance, those of ill patients LIFT higher; half the variance is the patient's."""
    ill = np.repeat(np.arange(cell.patients) < cell.ill, 2)
    own, shared = rng.normal(size=2 * cell.patients), np.repeat(rng.normal(size=cell.patients), 2)
    scores = LIFT * ill + math.sqrt(0.5) * (own + shared)
    return Ranked(scores, ill.astype(int), np.repeat(np.arange(cell.patients), 2).astype(str), "image")


def overlaps(rng: np.random.Generator, cell: Cell) -> Statistic:
    """Dice of the ill patients' images: a third missed, the rest round a mean that is the patient's."""
    mean = np.repeat(rng.uniform(0.5, 0.8, cell.ill), 2)
    hit = rng.random(2 * cell.ill) < 2 / 3
    values = np.where(hit, rng.beta(8 * mean, 8 * (1 - mean)), 0.0)
    return mean_statistic(values, np.repeat(np.arange(cell.ill), 2).astype(str), "image", method="Dice")


def detected(rng: np.random.Generator, cell: Cell) -> Statistic:
    """One lesion on each image of an ill patient; false positives on all images, more of them on some patients'."""
    images = np.repeat(np.arange(cell.patients), 2)
    rate = np.repeat(rng.gamma(4, FALSE_PER_IMAGE / 4, cell.patients), 2)
    false = np.repeat(images, rng.poisson(rate))
    own, shared = rng.normal(size=2 * cell.ill), np.repeat(rng.normal(size=cell.ill), 2)
    found = Detections(
        lesion_scores=LESION_MEAN + LESION_SPREAD * math.sqrt(0.5) * (own + shared),
        lesion_patients=np.repeat(np.arange(cell.ill), 2).astype(str),
        false_scores=FALSE_SPREAD * rng.normal(size=len(false)),
        false_patients=false.astype(str),
        image_patients=images.astype(str),
    )
    return lesion_sensitivity_statistic(found, false_per_image=1.0)


def observed(rng: np.random.Generator, cell: Cell) -> Ranked:
    """The ideal observer's scores of two images a patient, with a lesion where she is ill; half the variance of the pixels is hers."""
    ill = np.repeat(np.arange(cell.patients) < cell.ill, 2)
    own, shared = LABORATORY.fields(rng, 2 * cell.patients), np.repeat(LABORATORY.fields(rng, cell.patients), 2, axis=0)
    scores = OBSERVER.scores(math.sqrt(0.5) * (own + shared) + ill[:, None, None] * LABORATORY.lesion((16, 16)))
    return Ranked(scores, ill.astype(int), np.repeat(np.arange(cell.patients), 2).astype(str), "image")


FIGURES: dict[str, tuple[Callable[[np.random.Generator, Cell], Statistic], float]] = {
    "auc": (lambda rng, cell: auc(scored(rng, cell)), float(norm.cdf(LIFT / math.sqrt(2)))),
    "sensitivity": (lambda rng, cell: sensitivity_at(scored(rng, cell), SPECIFICITY), float(norm.sf(norm.ppf(SPECIFICITY) - LIFT))),
    "observer": (lambda rng, cell: auc(observed(rng, cell)), LABORATORY.ceiling),
    "dice": (overlaps, 2 / 3 * 0.65),
    "froc": (detected, float(norm.sf((FALSE_SPREAD * norm.isf(1 / FALSE_PER_IMAGE) - LESION_MEAN) / LESION_SPREAD))),
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
