"""A trained network from a run's folder, whatever its width and kind."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from torch import nn

from mammolibs.errors import BadFile, BadWeights
from mammolibs.models.build import build, describe, infer
from mammolibs.models.transfer import transfer
from mammolibs.models.weights import ENDINGS, load_weights, read_card


def from_run(path: str | os.PathLike, iteration: int | str = "best") -> nn.Module:
    """The trained network of a stage's folder (`runs/x/unet`) or of one weight file, in eval mode on the CPU.

    iteration: "best" on validation patients, "last", or a number; a weight file is itself.
    Its card says which network it is; a file without a card is known by its tensors.

    Raises BadFile where there is no such iteration or the file is damaged, BadWeights where
    the tensors belong to no network of ours or to another than the card says.
    """
    file = find_weights(path, iteration)
    state, card = load_weights(file)
    architecture = card.architecture if card else infer(state)
    if architecture is None:
        raise BadWeights(f"{file}: belongs to no network of mammolibs; a card ({file.stem}.json) beside it would say which it is")
    if "classes" in architecture or (architecture.get("name") == "PretrainEncoder" and "out_features" not in architecture):
        raise BadWeights(
            f"{file}: holds {describe(architecture)} with a head of another make; load_model takes the rest into a network of ours"
        )
    model = build(architecture)
    try:
        transfer(model, state, source=infer(state))
    except BadWeights as error:
        raise BadWeights(f"{file}: {error}") from error
    return model.eval()


def find_weights(path: str | os.PathLike, iteration: int | str = "best") -> Path:
    """The weight file of an iteration in a stage's folder, .safetensors before .pth; a file is itself.

    Raises BadFile where it is not there; names the iterations that are.
    """
    folder = Path(path)
    if not folder.is_dir():
        if folder.suffix in ENDINGS:
            return folder
        raise BadFile(folder, "is no folder of a trained stage and no weight file", "train the stage first, or check the path")
    there = iterations(folder)
    if not there:
        raise BadFile(folder, "holds no trained weights (model_iter_<n>.safetensors)", "train this stage first")
    number = _best(folder, there) if iteration == "best" else there[-1] if iteration == "last" else iteration
    if number not in there:
        raise BadFile(folder, f"holds no iteration {number}", f"there are {', '.join(map(str, there))}")
    stem = folder / f"model_iter_{number}"
    return next(file for ending in ENDINGS if (file := Path(f"{stem}{ending}")).exists())


def weights_hash(path: str | os.PathLike, iteration: int | str = "best") -> str:
    """sha256 of an iteration's weights, as its card says. Raises BadFile where it has no card."""
    file = find_weights(path, iteration)
    card = read_card(file.with_suffix(".json"))
    if card is None:
        raise BadFile(file.with_suffix(".json"), "is not there", "restore it beside its weights, or train the stage again")
    return card.weights_sha256


def iterations(folder: str | os.PathLike) -> list[int]:
    """The numbers n for which model_iter_<n> lies in the folder, ascending."""
    names = (re.fullmatch(r"model_iter_(\d+)(\.safetensors|\.pth)", file.name) for file in Path(folder).iterdir())
    return sorted({int(found[1]) for found in names if found})


def _best(folder: Path, there: list[int]) -> int:
    best = folder / "best.json"
    try:
        return int(json.loads(best.read_bytes())["iteration"])
    except FileNotFoundError as error:
        raise BadFile(best, "is not there", f"name an iteration: there are {', '.join(map(str, there))}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadFile(best, f"cannot be read ({error})", f"name an iteration: there are {', '.join(map(str, there))}") from error
