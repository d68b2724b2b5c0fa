"""Where a stage's first weights come from, and what they bring along beside tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from mammolibs.catalog import split_hash
from mammolibs.catalog.seen import count_packed, join_packed, pack_patients, patients_among, without_packed
from mammolibs.catalog.verdict import count_of, short_verdict
from mammolibs.errors import BadConfig, BadFile
from mammolibs.models import load_weights
from mammolibs.models.build import infer
from mammolibs.models.runs import find_weights
from mammolibs.models.transfer import load_into
from mammolibs.models.weights import read_card
from mammolibs.pipeline.facts import last_part
from mammolibs.pipeline.run import Run
from mammolibs.records import ImageRow

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


def heritage(weights: Path | None, rows: Sequence[ImageRow]) -> dict[str, Any]:
    """What first weights bring into a run, with these rows, that the run does not have itself; JSON types, empty where that is nothing.

    seen: patients beside the run's own, packed. unknown: files that do not say whom they have
    seen. audit: the verdict in short on the other split that they were made on.
    """
    if weights is None:
        return {}
    card = read_card(weights.with_suffix(".json"))
    if card is None:
        return {"unknown": [last_part(str(weights))]}
    is_ours = card.split_hash == split_hash(rows)
    found = {
        "seen": without_packed(card.seen_patients, own_patients(rows)),
        "unknown": [*card.seen_unknown, *([] if is_ours or card.seen_patients else [last_part(str(weights))])],
        "audit": card.audit.get("first_weights") if is_ours else card.audit or short_verdict(None, card.split_hash),
    }
    return {name: value for name, value in found.items() if value}


def noted_heritage(notes: Mapping[str, Any]) -> dict[str, Any]:
    """The heritage among a stage's notes in `run.json`. First weights from elsewhere of which nothing was noted are not known."""
    unknown = {"unknown": [last_part(notes["elsewhere"])]} if "elsewhere" in notes else {}
    return notes.get("heritage", unknown)


def own_patients(rows: Iterable[ImageRow]) -> str:
    """Whom a run trains on and chooses by, packed."""
    return pack_patients(row.patient_id for row in rows if row.split in ("train", "validation"))


def card_fields(own: str, audit: dict[str, Any], brought: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a card that say whom a network has seen. own: patients of the run, packed; audit: the verdict in short on its split;
    brought: from `heritage`."""
    return {
        "audit": audit | ({"first_weights": brought["audit"]} if "audit" in brought else {}),
        "seen_patients": join_packed(own, brought.get("seen", "")),
        "seen_unknown": tuple(brought.get("unknown", ())),
    }


def whom_they_saw(weights: Path, brought: Mapping[str, Any], rows: Iterable[ImageRow]) -> str:
    """A line on first weights that were made on another split: what is known of this run's test patients and them."""
    line = f"{weights}: not trained on this run's split; "
    if brought.get("unknown"):
        return line + "whether it has seen held-out patients is not known, and the report will say so"
    seen = patients_among(brought.get("seen", ""), (row.patient_id for row in rows if row.split == "test"))
    if seen:
        known = f"{count_of(len(seen), 'patient')} of the test set (first {seen[0]})"
        return line + f"it has seen {known}: evaluation will refuse it unless forced"
    others = count_of(count_packed(brought.get("seen", "")), "patient")
    return line + f"by their ids none of the test set is among the {others} that it has seen beside this run's own"
