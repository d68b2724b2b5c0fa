"""Shards, weights and catalog must mean the same split: else held-out patients are not held out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mammolibs.catalog import read_catalog, split_hash
from mammolibs.errors import BadData, BadWeights
from mammolibs.models.runs import find_weights
from mammolibs.models.weights import read_card
from mammolibs.pipeline.run import Run
from mammolibs.records import SPLITS, ImageRow
from mammolibs.shards import is_finished, open_index
from mammolibs.storage import open_store


def check_split(run: Run, rows: Mapping[str, ImageRow]) -> None:
    """rows: image_id -> row of the catalog. Raises BadData where a split's shards hold an image that the catalog puts elsewhere."""
    for split in SPLITS:
        store = open_store(run.shards(split))
        if not is_finished(store):
            continue
        index = open_index(store)
        strayed = [name for name in index.image_ids if name in rows and rows[name].split != split]
        if strayed:
            raise BadData(
                f"{run.shards(split)}: {len(strayed)} images that the catalog has in another split, {strayed[0]} first; "
                "the split was made anew after the shards: make the shards again, and train in a new --run"
            )


def from_elsewhere(run: Run, weights: Path) -> bool:
    """True where a first weight file was not made on this run's split, so that nobody knows whom it has seen.

    Raises BadWeights where it lies in the run itself: the split was made anew after it.
    """
    card, wanted = read_card(weights.with_suffix(".json")), split_hash(read_catalog(run.catalog))
    if card is not None and card.split_hash == wanted:
        return False
    if run.folder.resolve() in weights.resolve().parents:
        found = "has no card that says on which split" if card is None else f"was trained on another split of the data ({card.split_hash}, the catalog has {wanted})"
        raise BadWeights(f"{weights}: {found}: held-out patients may be among those it has seen; train that stage again")
    return True


def check_cards(run: Run, iterations: Mapping[str, int | None]) -> None:
    """iterations: stage -> number, None for the best. Raises BadWeights where its weights were trained on another split."""
    wanted = split_hash(read_catalog(run.catalog))
    for stage, iteration in iterations.items():
        path = find_weights(run.stage(stage), "best" if iteration is None else iteration)
        card = read_card(path.with_suffix(".json"))
        if card is not None and card.split_hash != wanted:
            raise BadWeights(
                f"{path}: was trained on another split of the data ({card.split_hash}, the catalog has {wanted}): held-out patients "
                "may be among those it has seen; train it again"
            )
