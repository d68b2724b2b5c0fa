"""What frozen features are worth: a linear classifier on them, fitted on training patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

FOLDS = 5
STRENGTHS = (0.001, 0.01, 0.1, 1.0)
LEAST_OF_A_CATEGORY = 5


def linear_probe(
    train: np.ndarray, labels: np.ndarray, patients: np.ndarray, other: np.ndarray, *, strengths: Sequence[float] = STRENGTHS
) -> np.ndarray | None:
    """Scores float (m,) of `other` (m, d) by a ridge-logistic on standardised `train` (n, d); None where labels hold one class.

    labels: (n,), 1 or 0, others are passed over. patients: (n,), the clusters in which the
    ridge's strength is chosen among `strengths` (inverse, as scikit-learn's C), by log loss over
    up to five folds; `other` plays no part in it.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known = labels >= 0
    train, labels, patients = train[known], labels[known], np.asarray(patients)[known]
    if len(np.unique(labels)) < 2:
        return None
    folds = min(FOLDS, *(len(np.unique(patients[labels == kind])) for kind in (0, 1)))
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    if folds < 2 or len(strengths) == 1:
        return model.set_params(logisticregression__C=strengths[0]).fit(train, labels).decision_function(other)
    search = GridSearchCV(model, {"logisticregression__C": strengths}, cv=StratifiedGroupKFold(folds), scoring="neg_log_loss")
    return search.fit(train, labels, groups=patients).decision_function(other)


def one_hot(train: Sequence[Mapping[str, str]], other: Sequence[Mapping[str, str]]) -> tuple[np.ndarray, np.ndarray]:
    """A column per category of each fact, float (n, d) of both; categories that training images have fewer than five times share one.

    train, other: name -> category, the same names in all.
    """
    from sklearn.preprocessing import OneHotEncoder

    encoder = OneHotEncoder(min_frequency=LEAST_OF_A_CATEGORY, handle_unknown="infrequent_if_exist", sparse_output=False)
    tables = [np.array([list(facts.values()) for facts in rows], dtype=object) for rows in (train, other)]
    return encoder.fit_transform(tables[0]), encoder.transform(tables[1])
