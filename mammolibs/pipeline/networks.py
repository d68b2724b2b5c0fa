"""What the networks behind a report are, as the cards beside their weights tell."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mammolibs.engine.folder import BEST_NAME
from mammolibs.models.runs import find_weights
from mammolibs.models.weights import load_weights
from mammolibs.pipeline.run import Run

TRAINED_WITH = ("iterations", "steps_per_iteration", "learning_rate", "weight_decay", "clip_norm", "ema", "accumulate")
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def network_facts(run: Run, which: Mapping[str, int | str]) -> dict[str, Any]:
    """stage -> architecture, number of parameters, how it was trained and chosen, from whose weights it began, hashes; JSON types.

    which: stage -> iteration or "best". A weight file without a card is left out.
    Raises what reading weights raises.
    """
    loaded = {stage: load_weights(find_weights(run.stage(stage), chosen)) for stage, chosen in which.items()}
    return {
        stage: {
            "architecture": card.architecture,
            "parameters": count_parameters(state),
            "iteration": card.iteration,
            "steps": card.steps,
            "chosen_by": _monitor(run.stage(stage)) if which[stage] == "best" else "named by the command",
            "trained_with": {name: value for name, value in card.options.get("fit", {}).items() if name in TRAINED_WITH}
            | {"global_batch": card.options.get("global_batch"), "seed": card.seed},
            "started_from": dict(card.parents),
            "weights_sha256": card.weights_sha256,
            "data_hash": card.data_hash,
            "data_licences": list(card.data_licences),
            "data_truth": list(card.data_truth),
            "intended_use": card.intended_use,
        }
        for stage, (state, card) in loaded.items()
        if card is not None
    }


def count_parameters(state: Mapping[str, Tensor]) -> int:
    """Trainable numbers of a network: all of its weights but what a batch norm has only counted."""
    return sum(tensor.numel() for name, tensor in state.items() if not name.endswith(STATISTICS))


def _monitor(folder: Path) -> str:
    try:
        return f"{json.loads((folder / BEST_NAME).read_text())['metric']} on validation patients"
    except (OSError, ValueError, KeyError, TypeError):
        return "not on record"
