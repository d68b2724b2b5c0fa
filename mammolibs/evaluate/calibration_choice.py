"""Which calibration of the image score: chosen by what each loses on validation patients that it was not fitted on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mammolibs.evaluate.analysis import Evidence, Part
from mammolibs.evaluate.bootstrap import Draws, estimate_all
from mammolibs.evaluate.calibration import FLAT_SLOPE, RAW, RAW_FLOOR, Calibration, fit_calibration, raw_log_odds, region_features
from mammolibs.evaluate.chosen import Chosen
from mammolibs.evaluate.document import Item, Section, Text
from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.result import block
from mammolibs.evaluate.sections import figure_table
from mammolibs.evaluate.sums import mean_statistic
from mammolibs.records import Estimate

Fit = Callable[[np.ndarray, np.ndarray, np.ndarray], Calibration]
DEFAULT = "logistic"
NAME = "image score"
CROSS_FOLDS = 5
# Fewer patients of a class than this tell no calibration from another.
MINIMUM_PATIENTS = 20
# Another than the default must lose less by so many standard errors over patients: chance alone passes it once in forty.
ERRORS_BETTER = 2.0
STEEPEST = 50.0
NOTE = (
    "Chosen by log loss, the mean of -log of the probability given to what is true; lower is better. Each image is judged by a fit "
    "on other validation patients. Held-out patients had no part in this."
)


def choose_calibration(features: np.ndarray, raw: np.ndarray, labels: np.ndarray, patients: np.ndarray) -> Calibration:
    """The calibration of image scores: logistic on the features unless temperature scaling or isotonic regression is clearly better.

    features float (n, f), raw float (n,) in [0, 1], labels int (n,) (1, 0, -1 passed over), patients str (n,), all of validation
    images. Better: a lower log loss, cross-validated by patient, by more than ERRORS_BETTER standard errors. Where a class has fewer
    than MINIMUM_PATIENTS patients the default stands. `choice` says what was taken and why.
    """
    losses = cross_validated_losses(features, raw, labels, patients)
    known = np.asarray(labels) >= 0
    if not losses:
        few = min(patients_of_each_class(np.asarray(labels)[known], np.asarray(patients, str)[known]))
        name, why = DEFAULT, f"{few} validation patients of the rarer class, {MINIMUM_PATIENTS} needed to choose; {DEFAULT} by default"
    else:
        name, why = _pick(losses, np.asarray(patients, str)[known])
    fitted = FITS[name](np.asarray(features, float), np.asarray(raw, float), np.asarray(labels))
    return replace(fitted, choice=why)


def cross_validated_losses(features: np.ndarray, raw: np.ndarray, labels: np.ndarray, patients: np.ndarray) -> dict[str, np.ndarray]:
    """Kind of calibration -> log loss float (m,) of each labelled image, by a fit on other patients; empty where patients are too few."""
    known = np.asarray(labels) >= 0
    features, raw, labels = (np.asarray(values)[known] for values in (features, raw, labels))
    patients = np.asarray(patients, str)[known]
    if min(patients_of_each_class(labels, patients)) < MINIMUM_PATIENTS:
        return {}
    fold = _folds(labels, patients)
    losses = {name: np.zeros(len(labels)) for name in FITS}
    for number in range(CROSS_FOLDS):
        out = fold == number
        for name, fit in FITS.items():
            said = fit(features[~out], raw[~out], labels[~out]).apply(features[out], raw[out])
            right = np.where(labels[out] == 1, said, 1 - said)
            losses[name][out] = -np.log(np.clip(right, RAW_FLOOR, 1.0))
    return losses


def patients_of_each_class(labels: np.ndarray, patients: np.ndarray) -> tuple[int, int]:
    """Patients with a positive image, patients with a negative one."""
    return tuple(len(np.unique(patients[labels == kind])) for kind in (1, 0))


def _folds(labels: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """A fold for each image, the same for all of a patient; ill patients are dealt first, so that each fold has its share."""
    ids, codes = np.unique(patients, return_inverse=True)
    ill = np.zeros(len(ids), int)
    np.maximum.at(ill, codes, labels)
    fold = np.empty(len(ids), int)
    fold[np.argsort(-ill, kind="stable")] = np.arange(len(ids)) % CROSS_FOLDS
    return fold[codes]


def _pick(losses: Mapping[str, np.ndarray], patients: np.ndarray) -> tuple[str, str]:
    codes = np.unique(patients, return_inverse=True)[1]
    told, better = [], {}
    for name, values in losses.items():
        gaps = np.bincount(codes, weights=values - losses[DEFAULT])
        gap, error = gaps.sum() / len(values), gaps.std(ddof=1) * np.sqrt(len(gaps)) / len(values)
        told.append(f"{name} {values.mean():.4f}")
        if gap < -ERRORS_BETTER * error:
            better[name] = gap
    name = min(better, key=better.__getitem__, default=DEFAULT)
    rule = f"{name}: log loss over validation patients, cross-validated, {', '.join(told)}"
    if name == DEFAULT:
        return name, f"{rule}; none is better than the default by {ERRORS_BETTER:g} standard errors"
    return name, f"{rule}; better than the default by {-better[name]:.4f}, more than {ERRORS_BETTER:g} standard errors"


def fit_temperature(features: np.ndarray, raw: np.ndarray, labels: np.ndarray) -> Calibration:
    """One slope on the log odds of the raw value, through 0.5: temperature scaling (Guo et al. 2017). Arguments as `fit_calibration`'s."""
    from scipy.optimize import minimize_scalar

    known = labels >= 0
    odds, truth = raw_log_odds(raw[known]), labels[known]

    def loss(slope: float) -> float:
        return float(np.sum(np.logaddexp(0, slope * odds) - truth * slope * odds))

    found = minimize_scalar(loss, bounds=(FLAT_SLOPE, STEEPEST), method="bounded")
    return Calibration(name=NAME, features=RAW, slopes=(float(found.x),), n=int(known.sum()), events=int(truth.sum()))


def fit_isotonic(features: np.ndarray, raw: np.ndarray, labels: np.ndarray) -> Calibration:
    """The rising steps that fit best (Zadrozny and Elkan 2002), as knots over the raw value; never nearer to 0 or 1 than half an
    image in all that it was fitted on. Arguments as `fit_calibration`'s."""
    from sklearn.isotonic import IsotonicRegression

    known = labels >= 0
    least = 0.5 / (int(known.sum()) + 1)
    fitted = IsotonicRegression(y_min=least, y_max=1 - least, out_of_bounds="clip").fit(raw[known], labels[known])
    knots = zip(fitted.X_thresholds_.tolist(), fitted.y_thresholds_.tolist(), strict=True)
    return Calibration(name=NAME, knots=tuple(knots), n=int(known.sum()), events=int(labels[known].sum()))


FITS: dict[str, Fit] = {DEFAULT: fit_calibration, "temperature": fit_temperature, "isotonic": fit_isotonic}


def calibration_choice(evidence: Evidence) -> Part | None:
    """What each kind of calibration loses on validation patients, and which was taken, by fold."""
    if not evidence.validation:
        return None
    result: dict[str, Any] = {}
    items: list[Item] = []
    for fold in sorted({p.fold for p in evidence.validation}):
        rows = [p for p in evidence.validation if p.fold == fold]
        name = "validation" if fold < 0 else f"fold {fold}"
        found = _losses_of(rows, evidence.draws)
        fitted = evidence.chosen.get(fold, Chosen()).calibration(NAME)
        taken = fitted.choice if fitted else ""
        result[name] = block(found, evidence.split_hash) | {"choice": taken or "not recorded"}
        items.append(Text(f"{'' if fold < 0 else f'Fold {fold}: '}{taken or 'which was taken, and why, was not recorded'}."))
        items += [figure_table(result[name])] if found else []
    items.append(Text(NOTE, "note"))
    return Part(name="calibration_choice", result=result, sections=(Section("How image scores became probabilities", tuple(items)),))


def _losses_of(rows: Sequence[Prediction], draws: Draws) -> dict[str, Estimate]:
    labels, patients = np.array([p.label for p in rows]), np.array([p.patient_id for p in rows], str)
    features, raw = np.array([region_features(p.regions) for p in rows]), np.array([p.raw_score for p in rows])
    losses = cross_validated_losses(features, raw, labels, patients)
    held, events = patients[labels >= 0], int(np.sum(labels == 1))
    statistics = {
        f"log_loss_{name}": replace(
            mean_statistic(values, held, "image", events=events, method=f"log loss of {name} calibration, cross-validated by patient"),
            scale="positive",
        )
        for name, values in losses.items()
    }
    return estimate_all(statistics, Draws(held, rounds=draws.rounds, seed=draws.seed))
