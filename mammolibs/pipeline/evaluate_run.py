"""A trained run, judged on its held-out patients: predictions, operating points, report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Sequence

from mammolibs.catalog import read_catalog, split_hash
from mammolibs.evaluate import Prediction, write_predictions, write_report
from mammolibs.models.weights import read_card
from mammolibs.pipeline.examples import report_examples
from mammolibs.pipeline.judge import OPERATING_NAME, Judge, Operating
from mammolibs.pipeline.options import PipelineEvalOptions
from mammolibs.pipeline.run import Run
from mammolibs.pipeline.stage_figures import pretraining_figures
from mammolibs.pipeline.versions import versions
from mammolibs.records import ImageRow
from mammolibs.runtime import Runtime, get_runtime

STAGES_WITH_HISTORY = ("encoder", "autoencoder", "unet", "patches", "resnet")


def evaluate_run(options: PipelineEvalOptions) -> dict[str, Any]:
    """Choose operating points on validation patients, score the held-out ones, write `<run>/report/`; returns report.json.

    Raises BadConfig where a stage is not trained.
    """
    run = Run.open(options.run, preset_name=options.preset, seed=options.seed)
    runtime = get_runtime(precision=options.precision, seed=run.settings.seed)
    judge, operating, predictions = judge_run(run, runtime, options.workers, {"unet": options.unet, "resnet": options.resnet})
    rows = read_catalog(run.catalog)
    result = write_report(
        run.report,
        predictions=predictions,
        stages=pretraining_figures(run, runtime),
        data=data_facts(rows, judge.skipped),
        runtime=runtime_facts(runtime, judge.models),
        split_hash=split_hash(rows),
        history=histories(run),
        examples=report_examples(judge, predictions, operating),
        thresholds=list(operating.thresholds.values()),
        command=command_line(),
    )
    print(f"{run.report / 'report.html'}", flush=True)
    return result


def judge_run(run: Run, runtime: Runtime, workers: int, iterations: dict[str, int | None]) -> tuple[Judge, Operating, list[Prediction]]:
    """Operating points chosen and saved, held-out predictions made and saved."""
    judge = Judge.open(run, runtime, unet=iterations.get("unet"), resnet=iterations.get("resnet"), workers=workers)
    operating = judge.choose_operating_points()
    predictions = judge.predictions("test", operating)
    if runtime.is_main:
        operating.save(run.folder / OPERATING_NAME)
        write_predictions(run.report / "predictions.parquet", predictions)
    return judge, operating, predictions


def data_facts(rows: Sequence[ImageRow], skipped: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """What the report says of the data: images and patients by split, truth, licences, what could not be read."""
    splits = {}
    for split in ("train", "validation", "test"):
        of_split = [row for row in rows if row.split == split]
        splits[split] = {
            "images": len(of_split),
            "patients": len({row.patient_id for row in of_split}),
            "malignant_images": sum(row.pathology == "malignant" for row in of_split),
            "lesions": sum(len(row.lesions) for row in of_split),
        }
    return {
        "sources": sorted({row.source for row in rows}),
        "splits": splits,
        "truth": sorted({row.truth for row in rows}),
        "licences": sorted({row.licence for row in rows if row.licence}),
        "skipped": [{"item": item, "reason": reason} for item, reason in skipped],
    }


def runtime_facts(runtime: Runtime, models: dict[str, str]) -> dict[str, Any]:
    """What the report says of the machine and the weights."""
    return {
        "kind": runtime.kind,
        "why": runtime.reason,
        "cores": runtime.world,
        "precision": runtime.precision,
        "versions": versions(),
        "weights_sha256": models,
    }


def histories(run: Run) -> dict[str, Any]:
    """history.csv of each stage that was trained; for the U-Net with and without pretraining, where both were run."""
    paths: dict[str, Any] = {}
    for name in STAGES_WITH_HISTORY:
        folder = run.stage(name)
        if (folder / "history.csv").is_file():
            paths[name] = unet_histories(folder) if name == "unet" else folder / "history.csv"
    return paths


def unet_histories(folder: Path) -> Any:
    """"pretrained" and "from scratch" -> history.csv, the newest of each among this run and those moved aside; one path where there is one kind."""
    found: dict[str, Path] = {}
    asides = sorted((p for p in folder.glob("aside-*") if p.name[6:].isdigit()), key=lambda path: int(path.name[6:]), reverse=True)
    for place in (folder, *asides):
        card = next((read_card(path) for path in sorted(place.glob("model_iter_*.json"))), None)
        if card is not None and (place / "history.csv").is_file():
            found.setdefault("pretrained" if card.parents else "from scratch", place / "history.csv")
    return found if len(found) > 1 else folder / "history.csv"


def command_line() -> str:
    """How this process was called, to be written where the result is."""
    return " ".join(["python", *sys.argv]) if not sys.argv[0].endswith("__main__.py") else " ".join(["bash train/train.sh", *sys.argv[1:]])
