"""Where a stage's first weights come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

from torch import nn

from mammolibs.errors import BadConfig, BadFile
from mammolibs.models import load_model, load_weights
from mammolibs.models.build import infer
from mammolibs.models.runs import find_weights
from mammolibs.models.weights import read_card
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
    """What puts the first weights into a new network and notes their sha256 in `parents`; says what it did."""

    def init(model: nn.Module) -> str | None:
        if weights is None:
            return f"{stage}: starts from random weights"
        load_model(model, weights)
        card = read_card(weights.with_suffix(".json"))
        if card is not None:
            parents[card.stage] = card.weights_sha256
        return None

    return init


def norm_of(weights: Path) -> str | None:
    """The kind of norm that a weight file was trained with, None where the file is of no network that we know."""
    state, card = load_weights(weights)
    return (card.architecture if card else infer(state) or {}).get("norm")
