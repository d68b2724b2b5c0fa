"""Weights on disk: one set of tensors in two formats, and the card that says what they are."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import pickle
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from mammolibs.errors import BadFile, BadWeights
from mammolibs.records import Estimate, RunCard
from mammolibs.storage import write_atomic, write_json

State = dict[str, Tensor]
ENDINGS = (".safetensors", ".pth")


def save_weights(stem: str | os.PathLike, state_dict: Mapping[str, Tensor], card: RunCard) -> tuple[Path, Path, Path]:
    """Write `<stem>.pth`, `<stem>.safetensors` and `<stem>.json`; returns the three paths.

    The first is a plain state dict for any torch program, the second the same tensors,
    which our own tools load, the third the card with the second's sha256. Each is whole or
    not there; the card comes last, so that it never speaks of tensors that are missing.
    The tensors are copied: the network stays where it is. A figure of the card that is not
    finite is written as null.

    Raises BadFile where the folder cannot be written.
    """
    state = {name: tensor.detach().to("cpu", copy=False).contiguous() for name, tensor in state_dict.items()}
    pth, tensors, json_path = (Path(f"{os.fspath(stem)}{ending}") for ending in (".pth", ".safetensors", ".json"))
    packed = safetensors.torch.save(state)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomic(tensors, packed)
    write_atomic(pth, buffer.getvalue())
    card = replace(card, weights_sha256=hashlib.sha256(packed).hexdigest())
    write_json(json_path, _finite(asdict(card)))
    return pth, tensors, json_path


def load_weights(path: str | os.PathLike) -> tuple[State, RunCard | None]:
    """The tensors of a weight file, on the CPU, and the card beside it, or None where there is none.

    path: a .safetensors file, or a .pth file with a plain state dict, ours or one of the
    published DLMammoClassifier checkpoints. Nothing in the file is executed.

    Raises BadFile where the file is absent or damaged, BadWeights where it holds something
    other than named tensors or not the tensors that its card describes.
    """
    path = Path(path)
    data = _read(path)
    if path.suffix == ".safetensors":
        state = _unpack_safetensors(path, data)
    elif path.suffix in (".pth", ".pt"):
        state = _unpack_pth(path, data)
    else:
        raise BadFile(path, "is no weight file by its name", f"expected one that ends in {' or '.join(ENDINGS)}")
    card = read_card(path.with_suffix(".json"))
    if card and path.suffix == ".safetensors" and hashlib.sha256(data).hexdigest() != card.weights_sha256:
        raise BadWeights(
            f"{path}: is not the file that {path.with_suffix('.json').name} describes; restore the pair, or move the card away"
        )
    return state, card


def read_card(path: str | os.PathLike) -> RunCard | None:
    """The card of a weight file, None where there is none. Raises BadFile where it is damaged."""
    path = Path(path)
    if not path.exists():
        return None
    try:
        value = json.loads(_read(path))
        value["metrics"] = {name: _estimate(figure) for name, figure in value.get("metrics", {}).items()}
        lists = {name: tuple(value.get(name, ())) for name in ("data_licences", "data_truth", "seen_unknown")}
        return RunCard(**{**value, **lists})
    except (ValueError, TypeError, AttributeError) as error:
        raise BadFile(
            path, f"is no card of a weight file ({error})", "restore it, or move it away to load the weights without it"
        ) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadFile(path, f"cannot be read ({error.strerror})", "check that it is there and readable") from error


def _unpack_safetensors(path: Path, data: bytes) -> State:
    try:
        return safetensors.torch.load(data)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise BadFile(path, f"is damaged or no safetensors file ({error})", "restore it or train again") from error


def _unpack_pth(path: Path, data: bytes) -> State:
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError, OSError, AttributeError, TypeError, IndexError) as error:
        problem = (str(error).splitlines() or [""])[0][:120]
        raise BadFile(path, f"is damaged or no plain state dict ({problem})", "restore it, or save model.state_dict() alone") from error
    if not isinstance(state, dict) or not state or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()):
        raise BadWeights(f"{path}: holds something other than named tensors; save model.state_dict() alone")
    return dict(state)


def _estimate(figure: Any) -> Any:
    names = {f.name for f in fields(Estimate)}
    return Estimate(**figure) if isinstance(figure, dict) and set(figure) == names else figure


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
