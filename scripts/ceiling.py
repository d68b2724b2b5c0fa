"""How near does the pipeline come to the best that is possible? Trained and judged where that is known in closed form.

    python scripts/ceiling.py --out runs/ceiling                        # the whole of it
    python scripts/ceiling.py --out runs/small --exams 60 --it 2        # to see that it works

Makes laboratory phantoms (`make_phantoms.py --laboratory`), trains every stage on them as `train/train.sh` does, cpu preset, and scores
the held-out images at their known places. Prints the pipeline's AUC there beside the ceiling, and a ledger of where the rest is lost:
the truth is put in the place of one step after the other, each difference paired, with a 95 % interval over patients. Writes
ceiling.json. What is trained already is not trained again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mammolibs.catalog.words import make_id
from mammolibs.evaluate import Draws, LesionTruth, Region, match_regions
from mammolibs.evaluate.bootstrap import Statistic, difference, estimate_all
from mammolibs.evaluate.ranked import Ranked
from mammolibs.evaluate.ranking import auc
from mammolibs.evaluate.result import block, is_figure, show
from mammolibs.ingest import read_row
from mammolibs.phantom import PhantomSet, laboratory_of, make_laboratory, read_places
from mammolibs.phantom.laboratory import Laboratory
from mammolibs.phantom.laboratory_set import LESION_SHARE, KnownPlace, canonical, tissue_of
from mammolibs.pipeline.chain import run_chain
from mammolibs.pipeline.cli import option, run_script
from mammolibs.pipeline.facts import command_line
from mammolibs.pipeline.judge import OPERATING_NAME, Judge, Operating
from mammolibs.pipeline.options import TrainOptions
from mammolibs.pipeline.outcomes import found_regions
from mammolibs.pipeline.run import Run
from mammolibs.predict import Analysis
from mammolibs.prepare import Prepared, cut_patch, to_canvas
from mammolibs.runtime import get_runtime
from mammolibs.storage import write_json

WANTED = 0.95
# Scores at a place, and of an image: what is asked, told the truth of the steps before it.
AT_PLACES = {
    "ideal_stored": "ideal observer, stored pixels",
    "ideal_prepared": "ideal observer, prepared pixels",
    "both": "both stages, told the place",
    "unet": "U-Net alone, told the place",
    "resnet": "ResNet alone, told the place",
    "found": "regions that the pipeline finds there",
}
OF_IMAGES = {
    "ideal_image": "ideal observer, told the places",
    "both_image": "both stages, told the places",
    "image_score": "image score of the pipeline",
}
LOSSES = {
    "preparation": ("ideal_stored", "ideal_prepared"),
    "networks": ("ideal_prepared", "both"),
    "patch grading (U-Net alone less both)": ("unet", "both"),
    "looking for the place": ("both", "found"),
    "networks, images": ("ideal_image", "both_image"),
    "looking for the places and false alarms, images": ("both_image", "image_score"),
}


@dataclass(frozen=True, kw_only=True)
class CeilingOptions:
    out: str = option("runs/ceiling", "folder for phantoms and run", metavar="FOLDER")
    exams: int = option(250, "patients with four images each, two known places an image")
    it: int = option(20, "iterations of every stage")
    seed: int = option(0, "of phantoms and training")
    workers: int = option(1, "processes that read and augment")
    precision: str = option("auto", "arithmetic of the networks", choices=("auto", "float32", "bfloat16"))


def main(options: CeilingOptions) -> None:
    folder = Path(options.out)
    made = make_laboratory(folder / "phantoms", exams=options.exams, seed=options.seed)
    run_chain(
        TrainOptions(
            run=str(folder / "run"), source=(f"phantom={made.folder}",), preset="cpu", it=options.it, seed=options.seed,
            workers=options.workers, precision=options.precision,
        )
    )  # fmt: skip
    result = ledger(score_places(Run.open(folder / "run"), made, options.precision), laboratory_of(made).ceiling)
    write_json(folder / "ceiling.json", result | {"command": command_line()})
    print(told(result))


def score_places(run: Run, made: PhantomSet, precision: str) -> list[dict[str, Any]]:
    """One record per held-out image: patient, and per known place `present` and the scores of AT_PLACES."""
    lab = laboratory_of(made)
    runtime = get_runtime(precision=precision, seed=run.settings.seed, announce=False, one_process=True)
    judge, operating = Judge.open(run, runtime), Operating.load(run.folder / OPERATING_NAME)
    places: dict[str, list[KnownPlace]] = {}
    for place in read_places(made):
        places.setdefault(make_id("phantom", place.image_id), []).append(place)
    rows = {row.image_id: row for row in judge.rows("test")}
    records = []
    for prepared, analysis in judge.analyses(list(rows.values()), "known places"):
        name = analysis.sample.image_id
        stored = np.asarray(read_row(rows[name]).pixels, float)
        regions = operating.calibrated(found_regions(analysis))
        scores = []
        for place in places[name]:
            scores.append(_ideal(lab, stored, prepared, place) | _stages(judge, operating, prepared, analysis, place, lab))
            scores[-1]["found"] = found_at(regions, place, lab)
        records.append({"patient": rows[name].patient_id, "places": scores, "image_score": operating.image_score(regions)})
    return records


def _ideal(lab: Laboratory, stored: np.ndarray, prepared: Prepared, place: KnownPlace) -> dict[str, float]:
    """The ideal observer on the file's pixels, and on what is left of them after clipping to the contract's levels."""
    sample, full = prepared.sample, prepared.full
    low, high = sample.extra["levels"]
    left = np.zeros_like(stored)
    x0, y0, x1, y1 = full.crop
    levels = low + (np.asarray(full.pixels, float) - 1) * (high - low) / 65534
    left[y0:y1, x0:x1] = levels[:, ::-1] if full.mirrored else levels
    observer = lab.ideal_observer(canonical(lab, sample.laterality, place))
    views = (view[:, ::-1] if sample.laterality == "R" else view for view in (stored, left))
    scores = [float(observer.scores(tissue_of(lab, view))) for view in views]
    return {"present": place.present, "ideal_stored": scores[0], "ideal_prepared": scores[1]}


def _stages(
    judge: Judge, operating: Operating, prepared: Prepared, analysis: Analysis, place: KnownPlace, lab: Laboratory
) -> dict[str, float]:
    """What the U-Net's map says within the lesion's radius, the ResNet of the patch there, and both as the pipeline puts them together."""
    placement, rule = analysis.sample.placement, judge.finder.rule
    ((x, y),) = to_canvas(np.array([(place.x, place.y)]), placement)
    smooth = cv2.GaussianBlur(analysis.probability, (0, 0), rule.smooth_px)
    rows, columns = np.ogrid[: smooth.shape[0], : smooth.shape[1]]
    radius = lab.lesion_mm / 2 / lab.step_mm * placement.scale
    lesion = float(smooth[(columns - x) ** 2 + (rows - y) ** 2 <= radius**2].max())
    (malignancy,) = judge.finder.malignancies([cut_patch(prepared.full, (place.x, place.y), judge.run.contract)])
    region = Region(
        probability=min(lesion, 1.0), malignancy=malignancy, score=lesion * malignancy, centre_x=place.x, centre_y=place.y,
        box=(place.x, place.y, place.x, place.y), area_px=0,
    )  # fmt: skip
    return {"unet": lesion, "resnet": malignancy, "both": operating.calibrated((region,))[0].score}


def found_at(regions: Sequence[Region], place: KnownPlace, lab: Laboratory) -> float:
    """The highest score of the regions that hit the place, 0 where none does."""
    truth = LesionTruth(lesion_id="", centre_x=place.x, centre_y=place.y, radius_px=lab.lesion_mm / 2 / lab.step_mm)
    return max((r.score for r in match_regions(regions, [truth], lab.step_mm) if r.hit == 0), default=0.0)


def ledger(records: Sequence[Mapping[str, Any]], ceiling: float) -> dict[str, Any]:
    """Blocks "places", "images" and "losses" of figures; "ceiling", and which share of it the pipeline reaches at the known places.

    records: as of `score_places`. ceiling: AUC of the ideal observer in closed form.
    """
    draws = Draws([record["patient"] for record in records])
    asked = _statistics(records)
    found = estimate_all(asked, draws)
    both = found["both"]
    ends = {"value": both.value, "low": both.low, "high": both.high}
    reached = {name: None if value is None else value / ceiling for name, value in ends.items()}
    return {
        "ceiling": ceiling,
        "reached": reached,
        "reached_above_chance": None if both.value is None else (both.value - 0.5) / (ceiling - 0.5),
        "places": block({name: found[name] for name in AT_PLACES}, None),
        "images": block({name: found[name] for name in OF_IMAGES}, None),
        "losses": block({name: difference(asked[before], asked[after], draws) for name, (before, after) in LOSSES.items()}, None),
    }


def _statistics(records: Sequence[Mapping[str, Any]]) -> dict[str, Statistic]:
    places = [(record["patient"], place) for record in records for place in record["places"]]
    patients, present = [patient for patient, _ in places], np.array([place["present"] for _, place in places])
    asked = {
        name: auc(Ranked([place[name] for _, place in places], present, patients, "place"), method=f"AUC of {words}")
        for name, words in AT_PLACES.items()
    }
    images = {
        "ideal_image": [any_lesion([place["ideal_stored"] for place in record["places"]]) for record in records],
        "both_image": [max(place["both"] for place in record["places"]) for record in records],
        "image_score": [record["image_score"] for record in records],
    }
    ill = [max(place["present"] for place in record["places"]) for record in records]
    owners = [record["patient"] for record in records]
    return asked | {name: auc(Ranked(images[name], ill, owners, "image"), method=f"AUC of {words}") for name, words in OF_IMAGES.items()}


def any_lesion(ratios: Sequence[float]) -> float:
    """Probability that a lesion is at any of the places, of their log likelihood ratios."""
    odds = np.log(LESION_SHARE / (1 - LESION_SHARE)) + np.asarray(ratios)
    return float(1 - np.prod(1 / (1 + np.exp(odds))))


def told(result: Mapping[str, Any]) -> str:
    """The whole as text."""
    lines = [f"ceiling {result['ceiling']:.4f}, the ideal observer's AUC at a known place in closed form"]
    for name, words in (("places", AT_PLACES), ("images", OF_IMAGES)):
        lines += [f"AUC by {name[:-1]}"]
        for key, figure in _of(result[name]):
            lines += [f"  {words[key]:<42}{show(figure, digits=3)}  ({figure['n']} {name}, {figure['events']} with a lesion)"]
    lines += ["lost on the way (difference of AUC)", *(f"  {name:<50}{show(figure, digits=3)}" for name, figure in _of(result["losses"]))]
    value, low, high = result["reached"].values()
    if value is None:
        return "\n".join([*lines, "how much of the ceiling the pipeline reaches is not known"])
    interval = "" if low is None else f" [{low:.1%}, {high:.1%}]"
    verdict = "at least" if value >= WANTED else "less than"
    lines += [f"the pipeline at the known places: {value:.1%}{interval} of the ceiling, {verdict} the {WANTED:.0%} that is wanted"]
    lines += [f"  above chance {result['reached_above_chance']:.1%}"]
    return "\n".join(lines)


def _of(figures: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(name, figure) for name, figure in figures.items() if is_figure(figure)]


if __name__ == "__main__":
    run_script(main, CeilingOptions, __doc__)
