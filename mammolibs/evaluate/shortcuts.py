"""How much of the AUC can be had without tissue: probes of metadata, surroundings, outline and blur, and what tells the sources apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mammolibs.evaluate.analysis import Evidence, Part
from mammolibs.evaluate.bootstrap import Draws, Statistic, difference, estimate_all, mean_over_folds, point, problem_of
from mammolibs.evaluate.metrics import statistics_of
from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.ranking import auc_statistic
from mammolibs.evaluate.result import block
from mammolibs.evaluate.shortcuts_page import LEVEL, PROBES, SHARE, alarms, section
from mammolibs.records import Estimate


def source_probe(source: str) -> str:
    """The name of the probe that tells this source from the others by the blurred image."""
    return f"source {source}"


def shortcuts(evidence: Evidence) -> Part | None:
    """The audit; None where no row holds a probe's score.

    A probe is a ridge-logistic regression on training patients, its strength fixed beforehand. Its AUC and the pipeline's are
    counted on the same held-out images, inside each fold where there are several.
    """
    asked = [name for name in PROBES if any(name in _names(p) for p in evidence.held_out)]
    if not asked:
        return None
    audits = {name: Audit(evidence.held_out, name) for name in asked}
    figures = {f"{name}_{kind}": found for name, audit in audits.items() for kind, found in audit.figures(evidence.draws).items()}
    tests = _tests(audits, evidence.draws)
    sources = source_figures(evidence)
    result: dict[str, Any] = {"probes": block(figures, evidence.split_hash), "tests": tests, "rule": _rule()}
    if sources:
        result["sources"] = block(sources, evidence.split_hash)
    return Part(name="shortcuts", result=result, sections=(section(result, asked, evidence.held_out),), alarms=alarms(result))


class Audit:
    """One probe beside the pipeline, on the images that it has a score of."""

    def __init__(self, held_out: Sequence[Prediction], name: str):
        self.name = name
        self.rows = [p for p in held_out if p.label >= 0 and _score(p, name) is not None]
        untrained = any(name in _names(p) for p in held_out) and not self.rows
        self.reason = "its training images held one class only, or no held-out image has a known label" if untrained else ""
        self.auc = self._auc(lambda p: _score(p, name), self.rows, f"AUC of a probe that sees {PROBES[name].sees}")
        self.pipeline = self._auc(lambda p: p.image_score, self.rows, "image AUC of the pipeline")

    def _auc(self, score: Callable[[Prediction], float], rows: Sequence[Prediction], method: str) -> Statistic:
        statistic = within_folds(rows, score, lambda p: p.label, f"{method}, malignant against the rest")
        return replace(statistic, problem=self.reason or statistic.problem)

    def figures(self, draws: Draws) -> dict[str, Estimate]:
        """Its AUC, the pipeline's on the same images, how much more the pipeline has, the share, and whether the pipeline follows it."""
        wanted = {"auc": self.auc, "pipeline_auc": self.pipeline, "share": self._share(), "followed": self._followed()}
        return estimate_all(wanted, draws) | {"pipeline_minus": difference(self.pipeline, self.auc, draws)}

    def _share(self) -> Statistic:
        """(AUC of the probe - 0.5) / (AUC of the pipeline - 0.5)."""
        own, whole = self.auc.evaluate, self.pipeline.evaluate
        problem = problem_of(self.auc) or problem_of(self.pipeline)
        if not problem and point(self.pipeline) <= 0.5:
            problem = "the pipeline ranks no better than chance"
        method = "what the probe's AUC has above 0.5, over what the pipeline's has"
        return replace(self.auc, evaluate=lambda w: (own(w) - 0.5) / (whole(w) - 0.5), scale="real", method=method, problem=problem)

    def _followed(self) -> Statistic:
        """AUC of the pipeline's score for the upper against the lower half by the probe, among images that are not malignant."""
        well = [p for p in self.rows if p.label == 0]
        half = {fold: np.median([_score(p, self.name) for p in well if p.fold == fold]) for fold in {p.fold for p in well}}
        method = "how often the pipeline scores an image of the probe's upper half above one of its lower half, among images that are not malignant"
        return within_folds(well, lambda p: p.image_score, lambda p: int(_score(p, self.name) > half[p.fold]), method)


def within_folds(
    rows: Sequence[Prediction], score: Callable[[Prediction], float], label: Callable[[Prediction], int], method: str
) -> Statistic:
    """AUC of images, inside each fold and then averaged where there are several: scores of different probes never meet."""
    folds = sorted({p.fold for p in rows})
    parts = []
    for members in [[p for p in rows if p.fold == fold] for fold in folds] or [[]]:
        scores, labels = np.array([score(p) for p in members], float), np.array([label(p) for p in members], int)
        parts.append(auc_statistic(scores, labels, np.array([p.patient_id for p in members], str), "image", method=method))
    return parts[0] if len(parts) == 1 else mean_over_folds(parts)


def source_figures(evidence: Evidence) -> dict[str, Estimate]:
    """How well the blurred image, and the pipeline's score of images that are not malignant, tell each source from the others; pooled minus within."""
    sources = sorted({p.source for p in evidence.held_out})
    if len(sources) < 2:
        return {}
    wanted: dict[str, Statistic] = {}
    for source in sources:
        name = source_probe(source)
        seen = [p for p in evidence.held_out if _score(p, name) is not None]
        of_it = _is_of(source)
        wanted[f"{source}_by_blurred_auc"] = within_folds(
            seen, lambda p, n=name: _score(p, n), of_it, "AUC of the blurred image for this source against the others"
        )
        well = [p for p in evidence.held_out if p.label == 0]
        method = "AUC of the pipeline's score for this source against the others, among images that are not malignant (0.5: it does not tell them apart)"
        wanted[f"{source}_by_pipeline_auc"] = within_folds(well, lambda p: p.image_score, of_it, method)
    both = statistics_of(evidence.held_out, ["image_auc", "image_auc_within_source"])
    figures = estimate_all(wanted | both, evidence.draws)
    return figures | {"pooled_minus_within_source": difference(both["image_auc"], both["image_auc_within_source"], evidence.draws)}


def _is_of(source: str) -> Callable[[Prediction], int]:
    return lambda p: int(p.source == source)


def _tests(audits: dict[str, Audit], draws: Draws) -> dict[str, dict[str, Any]]:
    """Of each blind probe: p of an AUC above 0.5 by chance, one-sided, alone and corrected for their number (Holm 1979)."""
    ps = {name: _p_above_chance(audit.auc, draws) for name, audit in audits.items() if PROBES[name].blind and not problem_of(audit.auc)}
    tests, least = {}, 0.0
    for place, name in enumerate(sorted(ps, key=lambda name: ps[name])):
        least = max(least, min(1.0, ps[name] * (len(ps) - place)))
        tests[name] = {"p": ps[name], "p_holm": least, "surely_above_chance": least < LEVEL}
    return tests


def _p_above_chance(auc: Statistic, draws: Draws) -> float:
    """Student's t of (AUC - 0.5) over the draws' standard deviation, as many degrees of freedom as patients of the rarer class less one."""
    from scipy.special import stdtr

    above = point(auc) - 0.5
    spread = float(np.nanstd(draws.values(auc)[0], ddof=1))
    if spread > 0:
        return float(stdtr(max(auc.independent - 1, 1), -above / spread))
    # A perfect ranking does not vary. By chance patients fall so in one order of all, or, where each has both classes, each so.
    return min(1 / math.comb(len(auc.patients), auc.independent), 0.5**auc.independent) if above > 0 else 1.0


def _rule() -> dict[str, Any]:
    return {
        "level": LEVEL,
        "share_of_the_pipelines_auc_above_chance": SHARE,
        "correction": "Holm",
        "blind_probes": [n for n, p in PROBES.items() if p.blind],
    }


def _names(p: Prediction) -> set[str]:
    return {probe.name for probe in p.probes}


def _score(p: Prediction, name: str) -> float | None:
    return next((probe.score for probe in p.probes if probe.name == name), None)
