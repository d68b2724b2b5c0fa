"""Where a stage's first weights come from."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

from torch import nn

from mammolibs.errors import BadConfig, BadFile
from mammolibs.models import load_weights
from mammolibs.models.build import infer
from mammolibs.models.runs import find_weights
from mammolibs.models.transfer import load_into
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


def starter(stage: str, weights: Path | None) -> Callable[[nn.Module], str]:
    """What puts the first weights into a new network and returns the line that says so."""

    def init(model: nn.Module) -> str:
        if weights is None:
            return f"{stage}: starts from random weights"
        return f"{stage}: from {weights}: {load_into(model, weights)}"

    return init


def norm_of(weights: Path) -> str | None:
    """The kind of norm that a weight file was trained with, None where the file is of no network that we know."""
    state, card = load_weights(weights)
    return (card.architecture if card else infer(state) or {}).get("norm")
