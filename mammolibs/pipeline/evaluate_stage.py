"""One stage of a run, judged on held-out patients: what every script under eval/ but pipeline_eval.py calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mammolibs.errors import BadConfig
from mammolibs.evaluate import Draws, estimate, estimate_all
from mammolibs.evaluate.examples import Example
from mammolibs.evaluate.metrics import METRICS, statistics_of
from mammolibs.evaluate.stage_report import stage_report, write_stage
from mammolibs.models.runs import find_weights
from mammolibs.pipeline.examples import report_examples
from mammolibs.pipeline.judge import Judge
from mammolibs.pipeline.looks import note_look
from mammolibs.pipeline.options import EvalOptions
from mammolibs.pipeline.provenance import provenance
from mammolibs.pipeline.run import Run
from mammolibs.pipeline.samples import pretraining_plot
from mammolibs.pipeline.splits import check_held_out
from mammolibs.pipeline.stage_figures import stage_values
from mammolibs.runtime import Runtime, get_runtime

SAMPLES = 4


def evaluate_stage(name: str, options: EvalOptions) -> None:
    """Print the stage's figures with their intervals, write evaluation.json and plot.png into its folder.

    Raises BadConfig where it is not trained, BadFile for an iteration that is not there, and as
    `check_held_out` where the test set is not held out.
    """
    run = Run.open(options.run, preset_name=options.preset, seed=options.seed, data=options.data)
    runtime = get_runtime(precision=options.precision, seed=run.settings.seed, one_process=True)
    if not run.stage(name).is_dir():
        raise BadConfig(f"{run.folder}: the {name} is not trained yet; train it with: bash train/train.sh --run {run.folder}")
    weights = find_weights(run.stage(name), "best" if options.iter is None else options.iter)
    judge = judged_stage if name in ("unet", "resnet") else pretraining_stage
    table = stage_report(run.stage(name), name, **judge(run, name, runtime, options))
    run.send()
    print(f"{weights}, held-out patients\n{table}\n{run.stage(name) / 'plot.png'}", flush=True)


def pretraining_stage(run: Run, name: str, runtime: Runtime, options: EvalOptions) -> dict[str, Any]:
    """Figures and plot of the encoder or the autoencoder."""
    iteration = "best" if options.iter is None else options.iter
    check_held_out(run, {name: options.iter}, force_touched=options.force_touched)
    note_look(run)
    return {
        "figures": {figure: estimate(values.statistic()) for figure, values in stage_values(run, name, runtime, iteration).items()},
        "plot": pretraining_plot(run, name, runtime, iteration, SAMPLES),
        "provenance": provenance(run, {name: options.iter}),
    }


def judged_stage(run: Run, name: str, runtime: Runtime, options: EvalOptions) -> dict[str, Any]:
    """Figures and samples of the U-Net, or of the ResNet behind the best U-Net, through the pipeline's own path."""
    chosen = {name: options.iter}
    judge = Judge.open(run, runtime, workers=options.workers, second_stage=name == "resnet", **chosen)
    check_held_out(run, judge.iterations, force_touched=options.force_touched)
    note_look(run)
    operating, _ = judge.choose_operating_points()
    predictions = judge.predictions("test", operating)
    draws = Draws([p.patient_id for p in predictions])
    return {
        "figures": estimate_all(statistics_of(predictions, METRICS[name]), draws),
        "samples": report_examples({judge.fold: (judge, operating)}, predictions, kinds=("example",)),
        "provenance": provenance(run, judge.iterations, operating.thresholds),
    }


def write_stage_reports(run: Run, runtime: Runtime, report: Mapping[str, Any], examples: Sequence[Example]) -> None:
    """evaluation.json and plot.png of every stage, from what the pipeline's evaluation found."""
    samples = [example for example in examples if example.kind == "example"]
    for name in ("unet", "resnet"):
        write_stage(run.stage(name), name, report[name], provenance=report["provenance"], samples=samples)
    for name in ("encoder", "autoencoder"):
        if report[name].keys() - {"split_hash"}:
            write_stage(
                run.stage(name),
                name,
                report[name],
                provenance=provenance(run, {name: None}),
                plot=pretraining_plot(run, name, runtime, "best", SAMPLES),
            )
