"""All figures of a table of scores with their intervals, against a plain loop over scikit-learn.

10,000 images of 2,500 patients, 2,000 bootstrap rounds over patients. The loop does what most scripts do: in each round
draw patients, put their images together, call scikit-learn once per figure. A few of its rounds are timed, in turns with ours, and
multiplied. Both give the same figures, which is checked.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score, roc_curve

from mammolibs.evaluate import Draws
from mammolibs.evaluate.bootstrap import estimate_all
from mammolibs.evaluate.decisions import at_cut
from mammolibs.evaluate.probability import probability_figures
from mammolibs.evaluate.ranked import Ranked
from mammolibs.evaluate.score_report import ranking_figures

CUT = 0.5


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench.py figures", description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=2000, help="of the bootstrap (default 2000)")
    parser.add_argument("--timed", type=int, default=10, help="rounds of the loop that are timed in a turn (default 10)")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args(arguments)
    scores, labels, patients = table(options.images)
    ratios, seconds = [], []
    for turn in range(options.turns):
        began = time.perf_counter()
        ours = measured(scores, labels, patients, options.rounds)
        own_s = time.perf_counter() - began
        began = time.perf_counter()
        loop(scores, labels, patients, options.timed, seed=turn)
        loop_s = (time.perf_counter() - began) / options.timed * options.rounds
        ratios.append(loop_s / own_s)
        seconds.append(own_s)
    check(ours, plain(scores, labels))
    print(f"{len(ours)} figures of {options.images} images, {options.rounds} rounds: {statistics.median(seconds):.1f} s")
    print(
        f"a loop over scikit-learn: {statistics.median(ratios):.0f} times as long (rounds {min(ratios):.0f} to {max(ratios):.0f}; wanted 50)"
    )


def table(images: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores in [0, 1], labels (one in ten positive), patients with four images each."""
    rng = np.random.default_rng(0)
    labels = (rng.random(images) < 0.1).astype(int)
    scores = 1 / (1 + np.exp(1.5 - rng.normal(1.5 * labels)))
    return scores, labels, np.char.add("p", (np.arange(images) // 4).astype(str))


def measured(scores: np.ndarray, labels: np.ndarray, patients: np.ndarray, rounds: int) -> dict:
    """Ours, the ranking and the draws included."""
    ranked = Ranked(scores, labels, patients, "image")
    figures = {
        **ranking_figures(ranked),
        **probability_figures(ranked),
        **{f"{name} at the cut": f for name, f in at_cut(ranked, CUT, 0.1, "given").items()},
    }
    return estimate_all(figures, Draws(patients, rounds=rounds))


def loop(scores: np.ndarray, labels: np.ndarray, patients: np.ndarray, rounds: int, seed: int) -> None:
    """Theirs."""
    rng = np.random.default_rng(seed)
    ids, codes = np.unique(patients, return_inverse=True)
    images_of = [np.flatnonzero(codes == code) for code in range(len(ids))]
    for _ in range(rounds):
        drawn = np.concatenate([images_of[code] for code in rng.integers(0, len(ids), len(ids))])
        plain(scores[drawn], labels[drawn])


def plain(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """The same figures by scikit-learn and numpy."""
    false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
    called, ill = scores >= CUT, labels == 1
    sensitivity, specificity = called[ill].mean(), (~called[~ill]).mean()
    found, alarmed = 0.1 * sensitivity, 0.9 * (1 - specificity)
    odds = np.log(scores / (1 - scores))[:, None]
    order = np.array_split(np.argsort(scores, kind="stable"), 10)
    precision, recall = (scores * labels).sum() / scores.sum(), (scores * labels).sum() / labels.sum()
    return {
        "auc": roc_auc_score(labels, scores),
        "partial_auc": roc_auc_score(labels, scores, max_fpr=0.1),
        "average_precision": average_precision_score(labels, scores),
        "sensitivity_at_90_specificity": true[false <= 0.1 + 1e-9].max(),
        "sensitivity_at_95_specificity": true[false <= 0.05 + 1e-9].max(),
        "specificity_at_90_sensitivity": 1 - false[true >= 0.9 - 1e-9].min(),
        "specificity_at_95_sensitivity": 1 - false[true >= 0.95 - 1e-9].min(),
        "brier": brier_score_loss(labels, scores),
        "calibration_error": sum(len(p) * abs(scores[p].mean() - labels[p].mean()) for p in order) / len(scores),
        "calibration_slope": float(LogisticRegression(C=np.inf).fit(odds, labels).coef_[0, 0]),
        "probabilistic_f1": 2 * precision * recall / (precision + recall),
        "sensitivity at the cut": sensitivity,
        "specificity at the cut": specificity,
        "ppv at the cut": found / (found + alarmed),
        "recall_rate at the cut": found + alarmed,
    }


def check(ours: dict, theirs: dict[str, float]) -> None:
    """Raises SystemExit where a figure differs."""
    for name, value in theirs.items():
        if abs(ours[name].value - value) > (2e-3 if name == "calibration_slope" else 1e-6):
            raise SystemExit(f"{name}: {ours[name].value} here, {value} by scikit-learn")
