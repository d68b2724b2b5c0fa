"""The two trained stages on one split: a row of predictions per image, operating points from validation patients."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mammolibs.catalog import read_catalog, split_hash
from mammolibs.catalog.nameless import anonymous
from mammolibs.errors import BadConfig, BadFile, MammolibsError
from mammolibs.evaluate import (
    Calibration,
    Chosen,
    DiceSweep,
    PatchScore,
    Prediction,
    Region,
    Threshold,
    ViewRule,
    calibrate_regions,
    choose_calibration,
    choose_mask_threshold,
    choose_region_threshold,
    choose_score_threshold,
    choose_view_rule,
    fit_combiner,
    fit_region_calibration,
    region_features,
)
from mammolibs.evaluate.detection import is_located
from mammolibs.imaging.pool import map_files
from mammolibs.ingest import Cues, prepare_row, prepare_row_with_cues
from mammolibs.models import from_run
from mammolibs.models.runs import weights_hash
from mammolibs.pipeline.outcomes import PATCH_LABELS, as_prediction, lesion_truths, matched_regions, raw_score, region_label, true_regions
from mammolibs.pipeline.progress import progress
from mammolibs.pipeline.run import Run
from mammolibs.predict import Analysis, Finder
from mammolibs.prepare import Prepared, cut_patch, patch_side_px
from mammolibs.records import ImageRow
from mammolibs.runtime import Runtime
from mammolibs.storage import write_json

OPERATING_NAME = "operating.json"


@dataclass(frozen=True, kw_only=True)
class Operating:
    """What was chosen on validation patients, and for which weights; `predict` applies it unchanged.

    region_calibration: from the U-Net's word to the share of such regions that are lesions.
    calibration: from the most suspicious region to the image score, fitted after the other.
    models: stage -> sha256 of its weights. view_rule, combiner: from a breast's image scores to its own, by rule and by learned slopes;
    a run that was evaluated before there were these has the defaults. adapted: to which site, where that was asked for; it is never
    stored with them.
    """

    region_calibration: Calibration
    calibration: Calibration
    thresholds: dict[str, Threshold]
    models: dict[str, str]
    contract_hash: str
    split_hash: str
    view_rule: ViewRule = ViewRule()
    combiner: Calibration = Calibration(name="breast score", reason="no combiner was fitted")
    adapted: str = ""

    @property
    def chosen(self) -> Chosen:
        """As the report takes it."""
        fits = (self.region_calibration, self.calibration, self.combiner)
        return Chosen(thresholds=tuple(self.thresholds.values()), calibrations=fits, view_rule=self.view_rule)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of findings should know of them; empty where calibrations and thresholds rest on enough and stand as they were chosen."""
        adapted = (self.adapted,) if self.adapted else ()
        weak = tuple(f"{c.name} says little: {c.reason}" for c in (self.region_calibration, self.calibration) if c.reason)
        return (
            adapted
            + weak
            + tuple(f"no cut for {t.name.replace('_', ' ')}: {t.reason}" for t in self.thresholds.values() if t.value is None)
        )

    def calibrated(self, regions: Sequence[Region]) -> tuple[Region, ...]:
        """The regions with probabilities that can be compared between runs and folds."""
        return calibrate_regions(regions, self.region_calibration)

    def image_score(self, regions: Sequence[Region]) -> float:
        """The probability that the image shows a malignant lesion, of calibrated regions."""
        return float(self.calibration.apply(np.array([region_features(regions)]), np.array([raw_score(regions)]))[0])

    def save(self, path: Path) -> None:
        write_json(
            path,
            {
                "region_calibration": self.region_calibration.to_dict(),
                "calibration": self.calibration.to_dict(),
                "view_rule": asdict(self.view_rule),
                "combiner": self.combiner.to_dict(),
                "thresholds": {name: t.to_dict() for name, t in self.thresholds.items()},
                "models": self.models,
                "contract_hash": self.contract_hash,
                "split_hash": self.split_hash,
            },
        )

    @classmethod
    def load(cls, path: Path) -> Operating:
        """Raises BadConfig where they were never chosen, BadFile where the file is damaged."""
        if not path.is_file():
            raise BadConfig(
                f"{path.parent}: no operating points yet (trained, never evaluated); run: python eval/pipeline_eval.py --run {path.parent}"
            )
        try:
            values = json.loads(path.read_text())
            for name in {"region_calibration", "calibration", "combiner"} & values.keys():
                values[name] = Calibration.from_dict(values[name])
            if "view_rule" in values:
                values["view_rule"] = ViewRule(**values["view_rule"])
            values["thresholds"] = {name: Threshold(**t) for name, t in values["thresholds"].items()}
            return cls(**values)
        except (ValueError, TypeError, KeyError) as error:
            raise BadFile(path, f"is damaged ({error})", "run eval/pipeline_eval.py again") from error


@dataclass
class Judge:
    """The trained networks of a run, the images that could not be read, with reasons, and the cues of those that were predicted, by id.

    given: the rows that it judges in the place of the catalog's, where they come from elsewhere.
    """

    run: Run
    finder: Finder
    models: dict[str, str]
    workers: int = 1
    fold: int = -1
    iterations: dict[str, int | None] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    cues: dict[str, Cues] = field(default_factory=dict)
    given: tuple[ImageRow, ...] | None = None

    @classmethod
    def open(
        cls, run: Run, runtime: Runtime, *, unet: int | None = None, resnet: int | None = None, workers: int = 1, second_stage: bool = True
    ) -> Judge:
        """The best weights of both stages, or those iterations. Raises BadConfig, saying what to type, where one is not trained."""
        chosen = {"unet": unet} | ({"resnet": resnet} if second_stage else {})
        networks, hashes = {}, {}
        for stage, iteration in chosen.items():
            try:
                which = "best" if iteration is None else iteration
                networks[stage] = from_run(run.stage(stage), which)
                hashes[stage] = weights_hash(run.stage(stage), which)
            except MammolibsError as error:
                raise BadConfig(
                    f"{run.folder}: no trained {stage} ({error}); train it with: bash train/train.sh --run {run.folder}"
                ) from error
        finder = Finder(runtime, networks["unet"], networks.get("resnet"), run.contract)
        fold = run.settings.fold[0] if run.settings.fold else -1
        return cls(run, finder, hashes, workers, fold, chosen)

    def rows(self, split: str) -> list[ImageRow]:
        rows = read_catalog(self.run.catalog) if self.given is None else self.given
        return [row for row in rows if row.split == split]

    def prepared(self, rows: Sequence[ImageRow], name: str, prepare: Callable[..., Any] = prepare_row) -> Iterator[Prepared]:
        """Each image as the networks need it; one that cannot be read is noted in `skipped`."""
        results = map_files(
            partial(prepare, contract=self.run.contract, policy=self.run.policy), rows, workers=self.workers, describe=_path
        )
        for row, result in progress(results, name, unit="image", total=len(rows)):
            if isinstance(result, MammolibsError):
                told = result.problem if isinstance(result, BadFile) else str(result)
                self.skipped.append((row.image_id, anonymous(told, (row.path,))))
                continue
            yield result

    def analyses(
        self, rows: Sequence[ImageRow], name: str, prepare: Callable[..., Any] = prepare_row
    ) -> Iterator[tuple[Prepared, Analysis]]:
        """Both stages on each image that can be read."""
        waiting: list[Prepared] = []
        for prepared in self.prepared(rows, name, prepare):
            waiting.append(prepared)
            if len(waiting) == self.finder.batch:
                yield from zip(waiting, self.finder.analyse(waiting))
                waiting = []
        yield from zip(waiting, self.finder.analyse(waiting))

    def choose_operating_points(self) -> tuple[Operating, list[Prediction]]:
        """Mask, region and score thresholds and both calibrations, on validation patients only, and what they make of those: a row
        per image, sorted by image, without an overlap, as its cut was chosen by it."""
        sweep, rows = DiceSweep(), []
        for _, analysis in self.analyses(self.rows("validation"), "validation patients"):
            if analysis.sample.mask is not None:
                sweep.add(analysis.probability, analysis.sample.mask)
            rows.append(as_prediction(analysis, matched_regions(analysis), mask_threshold=None, fold=self.fold))
        region_calibration = fit_region_calibration(rows)
        rows = [_with_regions(r, calibrate_regions(r.regions, region_calibration)) for r in rows]
        calibration = choose_calibration(
            np.array([region_features(r.regions) for r in rows]),
            np.array([r.raw_score for r in rows]),
            np.array([r.label for r in rows]),
            np.array([r.patient_id for r in rows], str),
        )
        operating = Operating(
            region_calibration=region_calibration,
            calibration=calibration,
            thresholds={"mask": choose_mask_threshold(sweep), "region": choose_region_threshold(rows)},
            models=self.models,
            contract_hash=self.run.contract.hash(),
            split_hash=split_hash(read_catalog(self.run.catalog)),
        )
        scored = [replace(r, image_score=operating.image_score(r.regions)) for r in rows]
        view_rule = choose_view_rule(scored)
        operating = replace(
            operating,
            thresholds=operating.thresholds | {f"{unit}_score": choose_score_threshold(scored, unit) for unit in ("image", "exam")},
            view_rule=view_rule,
            combiner=fit_combiner(scored, view_rule.name),
        )
        return operating, sorted(scored, key=lambda r: r.image_id)

    def predictions(self, split: str, operating: Operating) -> list[Prediction]:
        """One row per image of the split, sorted by image."""
        rows = []
        for prepared, analysis in self.analyses(self.rows(split), f"{split} patients", prepare_row_with_cues):
            self.cues[analysis.sample.image_id] = prepared.cues
            regions = operating.calibrated(matched_regions(analysis))
            row = as_prediction(
                analysis,
                regions,
                image_score=operating.image_score(regions),
                fold=self.fold,
                mask_threshold=operating.thresholds["mask"].value,
                patches=self._patches(prepared, analysis, regions),
            )
            rows.append(replace(row, oracle_score=self._oracle_score(row, operating)))
        return sorted(rows, key=lambda r: r.image_id)

    def _oracle_score(self, row: Prediction, operating: Operating) -> float | None:
        """What the same second stage and calibration make of the true lesions; None where they are not all known by place."""
        if self.finder.resnet is None or not is_located(row):
            return None
        return operating.image_score(true_regions(row.lesions, row.patches))

    def _patches(self, prepared: Prepared, analysis: Analysis, regions: Sequence[Region]) -> tuple[PatchScore, ...]:
        """What the second stage says of patches round true lesions and round the regions found."""
        if self.finder.resnet is None:
            return ()
        truths = lesion_truths(analysis.sample)
        placed = [(index, t) for index, t in enumerate(truths) if t.placed]
        scores = self.finder.malignancies([cut_patch(prepared.full, (t.centre_x, t.centre_y), self.run.contract) for _, t in placed])
        judged = [
            PatchScore(label=PATCH_LABELS.get(t.pathology, -1), score=s, origin="lesion", lesion=i) for (i, t), s in zip(placed, scores)
        ]
        side_px = patch_side_px(self.run.contract, prepared.full.spacing_mm, prepared.full.breast_height_px)
        for region in regions:
            label = region_label(analysis.sample, truths, region, side_px)
            judged.append(PatchScore(label=-1 if label is None else label, score=region.malignancy, origin="region", lesion=region.hit))
        return tuple(judged)


def _with_regions(row: Prediction, regions: tuple[Region, ...]) -> Prediction:
    return replace(row, regions=regions, raw_score=raw_score(regions))


def _path(row: ImageRow) -> str:
    return row.path
