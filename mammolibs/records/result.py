"""From training to a reader: figures, cards of weights, findings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mammolibs.records.acceptance import Verdict


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure with its uncertainty. `value` is None where it cannot be computed; `reason` says why.

    unit: lesion, patch, image, breast, exam, patient or pixel: what was counted. n: how many of
    them, events: how many of those are positive. low, high: the 95 % interval.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    events: int | None = None
    unit: str = "image"
    method: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class RunCard:
    """What a weight file says of itself, written beside it as JSON.

    architecture: name and arguments of the network. parents: stage name -> sha256 of the
    weights it started from. metrics: name -> Estimate or float on validation patients.
    audit: the verdict on the split in short, as catalog's `Verdict.short`; "first_weights" in it:
    that of the split that its first weights were made on, where it is another. seen_patients: whom
    the weights were trained on or chosen by, first weights included, packed as in `catalog/seen.py`.
    seen_unknown: files among the first weights that do not say whom they have seen. operating_points: where the thresholds and
    calibrations of these weights lie, which are chosen after the card was written; empty for stages that none are chosen for.
    """

    stage: str
    iteration: int
    steps: int
    architecture: dict[str, Any]
    contract: dict[str, Any]
    contract_hash: str
    data_hash: str
    split_hash: str
    seed: int
    options: dict[str, Any] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    data_licences: tuple[str, ...] = ()
    data_truth: tuple[str, ...] = ()
    weights_sha256: str = ""
    audit: dict[str, Any] = field(default_factory=dict)
    seen_patients: str = ""
    seen_unknown: tuple[str, ...] = ()
    operating_points: str = ""
    intended_use: str = "Research only. Not a medical device."


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One region that the pipeline reports, in pixels of the original image.

    outline: polygon vertices (x, y). box: x0, y0, x1, y1. size_mm: longest side, None where
    the spacing is unknown. probability: that it is a lesion, calibrated on validation
    patients. malignancy: how malignant its patch looks to the second stage, against benign
    lesions and false alarms alike; not calibrated. Both in [0, 1]. score: their product,
    which ranks the regions of an image.
    """

    outline: tuple[tuple[float, float], ...]
    box: tuple[float, float, float, float]
    centre: tuple[float, float]
    size_mm: float | None
    probability: float
    malignancy: float
    score: float


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All that the pipeline says of one image. No findings is an outcome with its own score.

    image_score: None where the image was refused. verdict: what speaks against the image; refused is an outcome too. models: stage -> sha256
    of its weights. contract_hash, split_hash: how its images were prepared, and which patients it was trained, tuned and tested on.
    """

    image_id: str
    source_file: str
    findings: tuple[Finding, ...]
    image_score: float | None
    outcome: str
    spacing_mm: float | None
    laterality: str
    view: str
    original: tuple[int, int]
    contract_hash: str
    split_hash: str
    models: dict[str, str] = field(default_factory=dict)
    threshold: float | None = None
    verdict: Verdict | None = None
    notes: tuple[str, ...] = ()
    disclaimer: str = "Research only. Not a medical device."
