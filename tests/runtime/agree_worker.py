"""Trains each tiny stage through `fit` on whatever runtime the environment asks for; writes what it saw as JSON.

usage: agree_worker.py FOLDER STEPS
"""

import json
import sys
from pathlib import Path

import torch

from mammolibs.engine import FitOptions, Start, fit, read_history
from mammolibs.models.weights import load_weights
from mammolibs.runtime import get_runtime
from tests.engine.tiny import Batches, DiceStage, PairStage, card, validator

STAGES = {"dice": DiceStage(), "pairs": PairStage(), "batch norm": DiceStage(norm="batch")}


def train(name: str, runtime, folder: Path, steps: int) -> dict:
    """History of one step per iteration, the weights' sums, and the programs compiled between iterations."""
    compiled, validate = [], validator(runtime)

    def counting(model) -> dict[str, float]:
        figures = validate(model)
        compiled.append(runtime.compile_count())
        return figures

    options = FitOptions(iterations=steps, steps_per_iteration=1, learning_rate=1e-3, clip_norm=0.5, keep_every=100, ema=0.5 * (name == "dice"))
    train = Batches(hosts=runtime.hosts, host=runtime.host)
    result = fit(
        STAGES[name], runtime, train=train, validate=counting, folder=folder / name, card=card(), options=options, start=Start.fresh()
    )
    runtime.wait_for_hosts()
    state, _ = load_weights(result.weights)
    rows = read_history(folder / name)
    return {
        "losses": [row["train_loss"] for row in rows],
        "terms": [row.get("train_bce", 0.0) for row in rows],
        "dice": [row["dice"] for row in rows],
        "compiled": [after - before for before, after in zip(compiled, compiled[1:], strict=False)],
        "weights": {key: tensor.double().abs().mean().item() for key, tensor in state.items()},
    }


def main() -> None:
    folder, steps = Path(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)
    runtime = get_runtime("float32", seed=0)
    seen = {"kind": runtime.kind, "world": runtime.world, "hosts": runtime.hosts}
    for name in STAGES:
        if not (name == "batch norm" and runtime.kind == "ddp"):
            seen[name] = train(name, runtime, folder, steps)
    if runtime.is_main:
        (folder / "seen.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main()
