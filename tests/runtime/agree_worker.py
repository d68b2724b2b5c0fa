"""Trains each stage, very small, through `fit` on whatever runtime the environment asks for; writes what it saw as JSON.

usage: agree_worker.py FOLDER STEPS
"""

import hashlib
import json
import sys
from pathlib import Path

import torch

from mammolibs.engine import FitOptions, Start, fit, read_history
from mammolibs.errors import RunInterrupted
from mammolibs.models.weights import load_weights
from mammolibs.runtime import get_runtime
from tests.engine.tiny import Batches, DiceStage, StopAt, card, small_stages, validator

SIZE = 32
BATCH = 12  # no network here has twelve channels, so that a program's text shows where the batch is


def train(name: str, stage, runtime, folder: Path, steps: int) -> dict:
    """History of one step per iteration, the weights' sizes, and the programs compiled between iterations."""
    compiled, held_out = [], Batches(BATCH, size=SIZE, hosts=runtime.hosts, host=runtime.host)

    def validate(model) -> dict[str, float]:
        figures = stage.validate(model, held_out.batches(500, 502), runtime)
        compiled.append(runtime.compile_count())
        return figures

    options = FitOptions(iterations=steps, steps_per_iteration=1, learning_rate=1e-3, clip_norm=0.5, keep_every=100, ema=0.5 * (name == "unet"))
    result = fit(
        stage,
        runtime,
        train=Batches(BATCH, size=SIZE, hosts=runtime.hosts, host=runtime.host),
        validate=validate,
        folder=folder / name,
        card=card(stage=stage.name),
        options=options,
        start=Start.fresh(),
    )
    runtime.wait_for_hosts()
    state, _ = load_weights(result.weights)
    rows = read_history(folder / name)
    return {
        "losses": [row["train_loss"] for row in rows],
        "figures": [row[stage.monitor] for row in rows],
        "compiled": [after - before for before, after in zip(compiled, compiled[1:], strict=False)],
        "weights": sorted(state),
        "seconds": result.seconds,
    }


class BatchNormStage(DiceStage):
    def validate(self, model, batches, runtime) -> dict[str, float]:
        return validator(runtime, size=SIZE, global_batch=BATCH)(model)


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


def main() -> None:
    folder, steps = Path(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)
    runtime = get_runtime("float32", seed=0)
    seen = {"kind": runtime.kind, "world": runtime.world, "hosts": runtime.hosts}
    for name, stage in (small_stages() | {"batch norm": BatchNormStage(norm="batch")}).items():
        seen[name] = train(name, stage, runtime, folder, steps)
    seen["stopped"] = stop_and_resume(runtime, folder)
    if runtime.is_main:
        (folder / "seen.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main()
