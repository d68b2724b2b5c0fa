"""Trains each stage, very small, through `fit` on whatever runtime the environment asks for; writes what it saw as JSON.

usage: agree_worker.py FOLDER STEPS SHARDS
"""

import contextlib
import hashlib
import json
import sys
from pathlib import Path

import torch

from mammolibs.augment import Augment
from mammolibs.engine import FitOptions, Start, fit, read_history
from mammolibs.errors import RunInterrupted
from mammolibs.models.weights import load_weights
from mammolibs.runtime import get_runtime
from mammolibs.runtime.single import SingleRuntime
from mammolibs.stages import UNetStage
from mammolibs.stream import Stream
from tests.engine.tiny import Batches, DiceStage, StopAt, card, small_stages, validator

SIZE = 32
BATCH = 12  # no network here has twelve channels, so that a program's text shows where the batch is


class Written:
    """A stage whose losses are kept, one per step, where they were computed."""

    def __init__(self, stage):
        self.stage, self.losses = stage, []

    def __getattr__(self, name):
        return getattr(self.stage, name)

    def loss(self, model, batch, runtime):
        loss, terms = self.stage.loss(model, batch, runtime)
        self.losses.append(loss.detach())
        return loss, terms


def train(name: str, stage, runtime, folder: Path, steps: int, shards: str, **more) -> dict:
    """Losses of all steps, figures and programs compiled of each half, and the weights' names."""
    compiled, common = (
        [runtime.compile_count()],
        {"seed": 3, "hosts": runtime.hosts, "host": runtime.host, "views": stage.views, "global_batch": BATCH},
    )
    held_out = Stream(shards, mode="evaluate", augment=Augment() if stage.views == "two" else None, **common)

    def validate(model) -> dict[str, float]:
        figures = stage.validate(model, held_out.batches(), runtime)
        compiled.append(runtime.compile_count())
        return figures

    written = Written(stage)
    result = fit(
        written,
        runtime,
        train=Stream(shards, augment=Augment(), **common),
        validate=validate,
        folder=folder / name,
        card=card(stage=stage.name),
        options=FitOptions(
            iterations=2, steps_per_iteration=steps // 2, learning_rate=1e-3, clip_norm=0.5, check_every=2, log_every=2, **more
        ),
        start=Start.fresh(),
    )
    runtime.wait_for_hosts()
    state, _ = load_weights(result.weights)
    return {
        "stage": name,
        "losses": [float(loss) for loss in written.losses],
        "figures": [row[stage.monitor] for row in read_history(folder / name)],
        "compiled": [after - before for before, after in zip(compiled, compiled[1:], strict=False)],
        "weights": sorted(state),
        "fallbacks": runtime.fallbacks(),
    }


class BatchNormStage(DiceStage):
    views = "one"

    def validate(self, model, batches, runtime) -> dict[str, float]:
        return validator(runtime, size=SIZE, global_batch=BATCH)(model)


def batch_norm_unet() -> UNetStage:
    """Batch norm is what recomputing and parts could go wrong with."""
    return UNetStage(width=8, depth=2, norm="batch")


def stop_and_resume(runtime, folder: Path) -> list[str]:
    """sha256 of the weights of a run that was not stopped, and of one whose last host was told to stop."""
    options = FitOptions(iterations=3, steps_per_iteration=2, log_every=2, learning_rate=1e-2)
    shares = {"global_batch": BATCH, "hosts": runtime.hosts, "host": runtime.host}
    stopped = StopAt(1, **shares) if runtime.host == runtime.hosts - 1 else Batches(**shares)
    digests = []
    for name, stream, start in (("whole", Batches(**shares), "fresh"), ("cut", stopped, "fresh"), ("cut", Batches(**shares), "resume")):
        try:
            result = fit(
                DiceStage(dropout=0.3), runtime, train=stream, validate=validator(runtime, global_batch=BATCH), folder=folder / name, card=card(),
                options=options, start=Start(mode=start),
            )  # fmt: skip
            digests.append(hashlib.sha256(result.weights.read_bytes()).hexdigest())
        except RunInterrupted as told:
            digests.append(str(told))
        runtime.wait_for_hosts()
    return digests


def cross(runtime, folder: Path) -> dict[str, list[float]]:
    """Losses of a run that one CPU process begins and this runtime ends, and the other way round."""
    alone = SingleRuntime("float32", device="cpu")
    losses = {}
    for name, begins, ends in (("from one process", alone, runtime), ("to one process", runtime, alone)):
        for who, start in ((begins, Start.fresh()), (ends, Start.resume())):
            if who is runtime or runtime.is_main:
                _begin_or_end(who, folder / name, start)
            runtime.wait_for_hosts()
        losses[name] = [row["train_loss"] for row in read_history(folder / name)]
    return losses


def _begin_or_end(runtime, folder: Path, start: Start) -> None:
    shares = {"global_batch": BATCH, "hosts": runtime.hosts, "host": runtime.host}
    stream = StopAt(2, **shares) if start.mode == "fresh" else Batches(**shares)
    options = FitOptions(iterations=8, steps_per_iteration=1, log_every=1, learning_rate=1e-3)
    with contextlib.suppress(RunInterrupted):
        fit(
            DiceStage(), runtime, train=stream, validate=validator(runtime, global_batch=BATCH), folder=folder, card=card(), options=options,
            start=start,
        )  # fmt: skip


def main() -> None:
    folder, steps, shards = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    torch.set_num_threads(1)
    runtime = get_runtime("float32", seed=0)
    seen = {"kind": runtime.kind, "world": runtime.world, "hosts": runtime.hosts}
    stages = small_stages()
    for name, stage in (stages | {"batch norm": BatchNormStage(norm="batch")}).items():
        seen[name] = train(name, stage, runtime, folder, steps, shards)
    few = {"folder": folder, "steps": 6, "shards": shards, "runtime": runtime}
    seen["at once"] = train("at once", batch_norm_unet(), ema=0.5, accumulate=3, recompute=True, **few)
    if runtime.hosts == runtime.world == 1:
        seen["kept"] = train("kept", batch_norm_unet(), ema=0.5, accumulate=3, **few)
        seen["whole"] = train("whole", batch_norm_unet(), ema=0.5, **few)
        seen["float32"] = train("float32", stages["unet"], **few)
    runtime.precision = "bfloat16"
    seen["bfloat16"] = train("bfloat16", stages["unet"], **few)
    runtime.precision = "float32"
    seen["crossed"] = cross(runtime, folder)
    seen["stopped"] = stop_and_resume(runtime, folder)
    if runtime.is_main:
        (folder / "seen.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main()
