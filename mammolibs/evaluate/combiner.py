"""A breast's score from all its views and from the other breast: a rule, or a few slopes that validation patients taught."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mammolibs.evaluate.bootstrap import Draws, difference
from mammolibs.evaluate.calibration import Calibration, fit_calibration, logit
from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.ranking import auc
from mammolibs.evaluate.units import HIGHEST, RULES, by_breast, exam_name, scores_at
from mammolibs.records import UNKNOWN

NAME = "breast score"
CC_LIKE = ("CC", "XCC")
MLO_LIKE = ("MLO", "ML", "LM", "LMO")
FEATURES = ("highest_cc", "mean_cc", "highest_mlo", "mean_mlo", "agreement", "asymmetry", "no_cc", "no_mlo")
# Not scores: a breast without a view may be likelier or less likely to be malignant.
FREE = ("no_cc", "no_mlo")
# Fixed beforehand, four times the image score's: these features say much the same.
STRENGTH = 4.0
MINIMUM_BREASTS = 10
MINIMUM_PATIENTS = 20


@dataclass(frozen=True, kw_only=True)
class ViewRule:
    """The rule over the views of a breast, one of `units.RULES`, and why it was taken."""

    name: str = HIGHEST
    choice: str = "highest by default"


@dataclass(frozen=True, kw_only=True, eq=False)
class Breasts:
    """The breasts of some exams, sorted by name: FEATURES float (n, 8), labels int (n,) (-1 unknown, or of unknown side)."""

    names: tuple[str, ...]
    features: np.ndarray
    labels: np.ndarray
    views: tuple[tuple[float, ...], ...]

    def by_rule(self, rule: str) -> np.ndarray:
        """The rule's score of each, float (n,)."""
        return np.array([RULES[rule](scores) for scores in self.views], float)


def breasts_of(predictions: Sequence[Prediction]) -> Breasts:
    """Features of every breast, none of which depends on the order of images or exams.

    On log odds: highest and mean image score of the CC-like views, and of the MLO-like ones; agreement, the lower of the two
    highest; asymmetry, the highest of all views less that of the same exam's other breast, 0 where there is none; and 1 where a kind
    of view is missing, which then takes the other's values. A view of unknown or other kind counts with both.
    """
    groups = dict(sorted(by_breast(predictions).items()))
    highest: dict[str, dict[str, float]] = {}
    for name, views in groups.items():
        if views[0].laterality != UNKNOWN:
            highest.setdefault(exam_name(views[0]), {})[name] = max(logit(p.image_score) for p in views)
    rows, labels = [], []
    for name, views in groups.items():
        sides = highest.get(exam_name(views[0]), {})
        others = [value for other, value in sides.items() if other != name] if name in sides else []
        rows.append(_features(views, others))
        known = {p.label for p in views}
        labels.append(-1 if name not in sides or (1 not in known and known != {0}) else int(1 in known))
    return Breasts(
        names=tuple(groups),
        features=np.array(rows, float).reshape(len(rows), len(FEATURES)),
        labels=np.array(labels, int),
        views=tuple(tuple(p.image_score for p in views) for views in groups.values()),
    )


def _features(views: Sequence[Prediction], others: Sequence[float]) -> tuple[float, ...]:
    odds = [(p.view, logit(p.image_score)) for p in views]
    seen = [view in CC_LIKE + MLO_LIKE for view, _ in odds]
    kinds = []
    for kind in (CC_LIKE, MLO_LIKE):
        kinds.append([value for (view, value), named in zip(odds, seen, strict=True) if view in kind or not named])
    cc, mlo = kinds[0] or kinds[1], kinds[1] or kinds[0]
    mean = RULES["mean"]
    asymmetry = max(value for _, value in odds) - max(others) if others else 0.0
    missing = (float(not any(view in kind for view, _ in odds)) for kind in (CC_LIKE, MLO_LIKE))
    return (max(cc), mean(cc), max(mlo), mean(mlo), min(max(cc), max(mlo)), asymmetry, *missing)


def choose_view_rule(validation: Sequence[Prediction]) -> ViewRule:
    """The highest view speaks unless another rule's breast AUC is higher on validation patients, the whole 95 % interval above 0."""
    ranked = {rule: scores_at("breast", validation, rule).ranked for rule in RULES}
    first = ranked[HIGHEST]
    if min(first.patients_of_each_class) < MINIMUM_PATIENTS:
        few = f"{min(first.patients_of_each_class)} validation patients of the rarer class, {MINIMUM_PATIENTS} needed to choose"
        return ViewRule(choice=f"{few}; {HIGHEST} by default")
    draws = Draws(first.patients)
    gaps = {rule: difference(auc(other), auc(first), draws) for rule, other in ranked.items() if rule != HIGHEST}
    told = ", ".join(
        f"{rule} {gap.reason if gap.low is None else f'{gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]'}" for rule, gap in gaps.items()
    )
    better = {rule: gap.value for rule, gap in gaps.items() if gap.low is not None and gap.low > 0}
    name = max(better, key=better.__getitem__, default=HIGHEST)
    return ViewRule(name=name, choice=f"{name}: breast AUC on validation patients against that of the highest view: {told}")


def fit_combiner(validation: Sequence[Prediction], rule: str) -> Calibration:
    """Logistic regression on FEATURES over validation breasts, ridge STRENGTH, slopes of scores not below 0.

    Where there are fewer than MINIMUM_BREASTS malignant ones, or others, or nothing ranks them, the rule's score passes and
    `reason` says so.
    """
    breasts = breasts_of(validation)
    known = breasts.labels >= 0
    events, n = int(np.sum(breasts.labels == 1)), int(known.sum())
    facts = {"name": NAME, "n": n, "events": events}
    if min(events, n - events) < MINIMUM_BREASTS:
        few = f"{events} malignant validation breasts and {n - events} others, {MINIMUM_BREASTS} of each needed"
        return Calibration(reason=f"{few}; the rule ({rule} view) passes", **facts)
    counted = "malignant validation breasts"
    fitted = fit_calibration(
        breasts.features, breasts.by_rule(rule), breasts.labels, FEATURES, strength=STRENGTH, name=NAME, counted=counted, free=FREE
    )
    if fitted.reason:
        return Calibration(reason=f"no feature ranks {counted} higher; the rule ({rule} view) passes", **facts)
    return fitted


def breast_scores(predictions: Sequence[Prediction], rule: str, combiner: Calibration | None = None) -> dict[str, float]:
    """`breast_name` -> score, by the rule, or by the combiner where one is given."""
    breasts = breasts_of(predictions)
    scores = breasts.by_rule(rule)
    if combiner is not None and breasts.names:
        scores = combiner.apply(breasts.features, scores)
    return dict(zip(breasts.names, scores.tolist(), strict=True))
