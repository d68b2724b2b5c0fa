"""Fitted on a site's images without any label: grey values, normalisation, the cut. One file, applied only where it is named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mammolibs.errors import BadConfig, BadData, BadFile
from mammolibs.evaluate import Beside, Prediction, Threshold
from mammolibs.pipeline.judge import Judge, Operating
from mammolibs.pipeline.run import Run
from mammolibs.predict import Finder, Statistics, estimate_statistics, running_norms
from mammolibs.prepare import Curve, landmarks
from mammolibs.records import ImageRow
from mammolibs.shards import open_shards, read_sample
from mammolibs.storage import write_json

ADAPTATION_NAME = "adaptation.json"
# Means over so many images move by less than what sets sites apart; of each half, and of the training images.
MOST_IMAGES = 256
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """What was fitted, for which weights and on whom; None for what was not asked for.

    models: stage -> sha256 of its weights. sources, images, patients: whose images, without their labels.
    """

    models: dict[str, str]
    contract_hash: str
    sources: tuple[str, ...]
    images: int
    patients: int
    curve: Curve | None = None
    statistics: Statistics | None = None
    cut: Threshold | None = None

    def finder(self, finder: Finder) -> Finder:
        """The same networks, adapted."""
        return finder.adapted(self.curve, self.statistics)

    def operating(self, operating: Operating) -> Operating:
        """The same operating points, but for the cut of the image score where that was fitted, and a note that says so."""
        cut = {} if self.cut is None else {"image_score": self.cut}
        return replace(operating, thresholds=operating.thresholds | cut, adapted=self.note)

    @property
    def note(self) -> str:
        """For every findings file that it had a part in."""
        kinds = {"grey values": self.curve, "batch norm's statistics": self.statistics, "cut of the image score": self.cut}
        fitted = ", ".join(name for name, found in kinds.items() if found is not None)
        return f"adapted without labels ({fitted}), fitted on {self.images} images of {self.patients} patients of {', '.join(self.sources)}"

    def save(self, path: Path) -> None:
        curve, cut = (None if part is None else part.to_dict() for part in (self.curve, self.cut))
        write_json(path, {"format": FORMAT, **vars(self), "curve": curve, "cut": cut})

    @classmethod
    def load(cls, path: str | Path, operating: Operating) -> Adaptation:
        """Raises BadFile where it cannot be read, BadConfig where it was fitted for other weights than these operating points."""
        try:
            values: dict[str, Any] = json.loads(Path(path).read_text())
            if values.pop("format") != FORMAT:
                raise ValueError("of another version")
            parts = {"curve": Curve.from_dict, "cut": lambda told: Threshold(**told)}
            values |= {name: None if values[name] is None else make(values[name]) for name, make in parts.items()}
            found = cls(**values | {"sources": tuple(values["sources"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise BadFile(path, f"is no adaptation ({error})", "fit it: python eval/external_eval.py --adapt intensity") from error
        if (found.models, found.contract_hash) != (operating.models, operating.contract_hash):
            raise BadConfig(
                f"{path}: was fitted for other weights; fit it again: python eval/external_eval.py --adapt ..., or leave --adapt away"
            )
        return found


def check_adaptations(judge: Judge, operating: Operating, kinds: Sequence[str]) -> None:
    """To be asked before any image is read. Raises BadConfig for a kind that this run does not allow."""
    if "norm" in kinds and not running_norms(judge.finder.unet):
        raise BadConfig(
            "--adapt norm: this U-Net keeps no running statistics (no batch norm), so there is nothing to estimate anew; leave it away"
        )
    if "recall" in kinds and operating.thresholds["image_score"].value is None:
        raise BadConfig(
            f"--adapt recall: no cut of the image score was chosen ({operating.thresholds['image_score'].reason}); leave it away"
        )


def adapt_to_site(judge: Judge, operating: Operating, kinds: Sequence[str], validation: Sequence[Prediction]) -> tuple[Adaptation, Beside]:
    """The adaptation fitted on all of the judge's images, and what it would do: each half of the patients judged by the fit on the other.

    validation: rows of the validation patients, whose share of calls `recall` repeats. Raises
    BadData for fewer than two patients.
    """
    halves = patient_halves(judge.rows("test"))
    home = home_landmarks(judge.run) if "intensity" in kinds else None
    quiet = replace(judge, skipped=[])
    canvases = [[p.sample.image for p in quiet.prepared(half[:MOST_IMAGES], "images to adapt to")] for half in halves]
    if not all(canvases):
        raise BadData("--adapt: no image can be read in one half of the patients; leave it away, or look at more of them")
    fits = [_fit(judge, images, home, kinds) for images in canvases[::-1]]
    judged = [
        replace(quiet, given=tuple(half), fold=number, finder=judge.finder.adapted(*fit)).predictions("test", operating)
        for number, (half, fit) in enumerate(zip(halves, fits, strict=True))
    ]
    share = _share_called(validation, operating) if "recall" in kinds else None
    cuts = [_cut(rows, share) for rows in (*judged[::-1], [*judged[0], *judged[1]])]
    curve, statistics = _fit(judge, [*canvases[0], *canvases[1]], home, kinds)
    facts = {"sources": tuple(sorted({row.source for half in halves for row in half})), "images": sum(map(len, canvases))}
    facts["patients"] = len({row.patient_id for half in halves for row in half[:MOST_IMAGES]})
    adaptation = Adaptation(
        models=judge.models, contract_hash=judge.run.contract.hash(), curve=curve, statistics=statistics, cut=cuts[2], **facts
    )
    chosen = {number: replace(adaptation, cut=cuts[number]).operating(operating).chosen for number in (0, 1)}
    return adaptation, Beside(rows=[*judged[0], *judged[1]], chosen=chosen, notes=_notes(kinds, adaptation, share))


def patient_halves(rows: Sequence[ImageRow]) -> tuple[list[ImageRow], list[ImageRow]]:
    """The rows in two parts that share no patient, in an order by hashes of their ids. Raises BadData for one patient alone."""
    patients = sorted({row.patient_id for row in rows}, key=_hash)
    if len(patients) < 2:
        raise BadData("--adapt is fitted on other patients than those who are judged, and there is one alone; leave it away")
    first = set(patients[::2])
    ordered = sorted(rows, key=lambda row: (_hash(row.patient_id), row.image_id))
    return [row for row in ordered if row.patient_id in first], [row for row in ordered if row.patient_id not in first]


def home_landmarks(run: Run) -> np.ndarray:
    """`landmarks` of up to MOST_IMAGES training images, evenly spread: float64 (images, 11). Raises as `open_shards`."""
    store, index = open_shards(run.shards("train"))
    numbers = np.unique(np.linspace(0, len(index) - 1, min(MOST_IMAGES, len(index))).round().astype(int))
    return np.stack([landmarks(read_sample(store, index, int(number)).image) for number in numbers])


def _hash(patient: str) -> str:
    return hashlib.sha256(patient.encode()).hexdigest()


def _fit(
    judge: Judge, images: Sequence[np.ndarray], home: np.ndarray | None, kinds: Sequence[str]
) -> tuple[Curve | None, Statistics | None]:
    curve = None if home is None else Curve.fit(np.stack([landmarks(image) for image in images]), home)
    if "norm" not in kinds:
        return curve, None
    seen = images if curve is None else [curve(image) for image in images]
    return curve, estimate_statistics(judge.finder.unet, seen, judge.finder.runtime, judge.finder.batch)


def _share_called(validation: Sequence[Prediction], operating: Operating) -> float:
    if not validation:
        raise BadData("--adapt recall: the run's table of predictions has no validation rows; make it again: python eval/pipeline_eval.py")
    return float(np.mean([p.image_score > operating.thresholds["image_score"].value for p in validation]))


def _cut(rows: Sequence[Prediction], share: float | None) -> Threshold | None:
    """The cut above which this share of the images lies; ties may leave fewer."""
    if share is None:
        return None
    scores = np.sort([p.image_score for p in rows])[::-1]
    value = float(scores[min(round(share * len(scores)), len(scores) - 1)])
    return Threshold(name="image_score", value=value, rule=f"{100 * share:.1f} % of images called, as of validation images", n=len(scores))


def _notes(kinds: Sequence[str], adaptation: Adaptation, share: float | None) -> tuple[str, ...]:
    notes = {
        "intensity": "Grey values inside the breast went through one curve for the site, which lays the means of its quantiles onto those of "
        "training images (after Nyul, Udupa and Zhang 2000).",
        "norm": f"Means and variances of the U-Net's {len(adaptation.statistics or ())} batch norms were estimated anew on the site's images "
        "(Li et al. 2018); the ResNet stays as it is.",
        "recall": f"The cut of the image score was moved so that as large a share of images is called as of validation images "
        f"({100 * (share or 0):.1f} %). That is right only where as many are ill here as there.",
    }
    crossed = (
        f"No label was used. Patients were cut into two halves, and each was judged by what the other half's images gave; {ADAPTATION_NAME} "
        f"beside this report holds what all {adaptation.images} give. predict.py applies it with --adapt; without that flag nothing is adapted."
    )
    return (*(text for kind, text in notes.items() if kind in kinds), crossed)
