"""Where a stage's first weights come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

from torch import nn

from mammolibs.errors import BadConfig, BadFile
from mammolibs.models import load_weights, transfer
from mammolibs.models.runs import find_weights
from mammolibs.models.transfer import usual_gaps
from mammolibs.pipeline.run import Run

PARENT = {"autoencoder": "encoder", "unet": "autoencoder", "resnet": "patches"}
OPTIONAL = {"resnet"}


def parent_weights(run: Run, stage: str, iteration: int | None) -> Path | None:
    """The weight file of the previous stage: its best, or that iteration; None where the stage starts from nothing.

    Raises BadConfig where it should be there and is not.
    """
    parent = PARENT.get(stage)
    if parent is None or (stage in OPTIONAL and not (run.stage(parent) / "best.json").is_file()):
        return None
    try:
        return find_weights(run.stage(parent), "best" if iteration is None else iteration)
    except BadFile as error:
        raise BadConfig(f"the {stage} starts from the {parent}: {error}; or give --pretrain no --from-scratch") from error


def starter(stage: str, weights: Path | None, parents: dict[str, str]) -> Callable[[nn.Module], Any]:
    """What puts the first weights into a new network; notes their sha256 in `parents` and returns the line to print."""

    def init(model: nn.Module) -> str:
        if weights is None:
            return f"{stage}: starts from random weights"
        state, card = load_weights(weights)
        if card is None:
            from mammolibs.models.resnet import load_pretrained

            return f"{stage}: from {weights}: {load_pretrained(model, weights)}"
        report = transfer(model, state, expected_missing=usual_gaps(card.architecture, model.architecture), source=card.architecture)
        parents[card.stage] = card.weights_sha256
        return f"{stage}: from {weights}: {report}"

    return init
