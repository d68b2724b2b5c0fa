"""Shards, weights and catalog must mean one split, and nothing may lie on both sides of it: else held-out patients are not held out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from mammolibs.catalog import Verdict, read_catalog, read_verdict, split_hash
from mammolibs.catalog.files import SPLIT_NAME
from mammolibs.catalog.seen import patients_among
from mammolibs.catalog.verdict import count_of
from mammolibs.errors import BadData, BadWeights
from mammolibs.models.runs import find_weights
from mammolibs.models.weights import read_card
from mammolibs.pipeline.run import Run
from mammolibs.records import SPLITS, ImageRow
from mammolibs.shards import is_finished, open_index
from mammolibs.storage import below, locate, open_store


def check_split(run: Run, rows: Mapping[str, ImageRow]) -> None:
    """rows: image_id -> row of the catalog. Raises BadData where a split's shards hold an image or patient that it puts elsewhere."""
    sides: dict[str, set[str]] = defaultdict(set)
    for row in rows.values():
        sides[row.patient_id].add(row.split)
    for split in SPLITS:
        store = open_store(run.shards(split))
        if not is_finished(store):
            continue
        index = open_index(store)
        strayed = [
            name
            for name, patient in zip(index.image_ids, index.text["patient_id"], strict=True)
            if (rows[name].split != split if name in rows else split not in sides.get(patient, {split}))
        ]
        if strayed:
            raise BadData(
                f"{run.shards(split)}: {len(strayed)} images that the catalog has in another split, or their patients, {strayed[0]} first; "
                "the split was made anew after the shards, or they hold more than the catalog: make them again, and train in a new --run"
            )


def from_elsewhere(run: Run, weights: Path) -> bool:
    """True where a first weight file was not made on this run's split, so that nobody knows whom it has seen.

    Raises BadWeights where it lies in the run itself: the split was made anew after it.
    """
    card, wanted = read_card(weights.with_suffix(".json")), split_hash(read_catalog(run.catalog))
    if card is not None and card.split_hash == wanted:
        return False
    if run.folder.resolve() in weights.resolve().parents:
        found = (
            "has no card that says on which split"
            if card is None
            else f"was trained on another split of the data ({card.split_hash}, the catalog has {wanted})"
        )
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


def split_verdict(run: Run, rows: Sequence[ImageRow]) -> Verdict | None:
    """The audit's verdict that lies beside the catalog with these rows; None where there is none.

    Raises BadData where it is of another split, BadFile where it is damaged.
    """
    place = below(run.data, SPLIT_NAME)
    store, name = locate(place)
    verdict = read_verdict(place) if store.exists(name) else None
    if verdict and verdict.split_hash != split_hash(rows):
        raise BadData(
            f"{place}: its verdict is of another split ({verdict.split_hash}, the catalog has {split_hash(rows)}); "
            "build the catalog again (dataset_enhancement/build_catalog.py), and train in a new --run"
        )
    return verdict


def touched(run: Run, rows: Sequence[ImageRow], iterations: Mapping[str, int | None]) -> tuple[str, ...]:
    """What the test set shares with those that networks were trained on or chosen by: an offence with its number each.

    By the verdict of the split, and by whom the weights say that they have seen, first weights
    included. rows: of the catalog. iterations: stage -> number, None for the best. Empty where
    nothing is known against the test set. Raises as `split_verdict`.
    """
    return offences(run, split_verdict(run, rows), rows, iterations)


def offences(run: Run, verdict: Verdict | None, rows: Sequence[ImageRow], iterations: Mapping[str, int | None]) -> tuple[str, ...]:
    """As `touched`, by another verdict: that on test rows which need not be of the run's own split."""
    found = [f"{number} ({kind})" for kind, number in (verdict.offences("test") if verdict else {}).items()]
    told = {offender.name for offender in verdict.leaks.get("patient overlap", ())} if verdict else set()
    patients = {row.patient_id for row in rows if row.split == "test"} - told
    for stage, iteration in iterations.items():
        card = read_card(find_weights(run.stage(stage), "best" if iteration is None else iteration).with_suffix(".json"))
        if card and (known := patients_among(card.seen_patients, patients)):
            found.append(f"{count_of(len(known), 'patient')} seen by the weights of the {stage} (first {known[0]})")
    return tuple(found)


def check_held_out(run: Run, iterations: Mapping[str, int | None], *, force_touched: bool) -> None:
    """To be asked before anything is called held out. iterations: stage -> number, None for the best.

    Raises BadData or BadWeights where shards or weights were made under another split, and BadData
    where the test set is touched; with force_touched that is printed, and `provenance` repeats it.
    """
    rows = read_catalog(run.catalog)
    check_split(run, {row.image_id: row for row in rows})
    check_cards(run, iterations)
    found = "; ".join(touched(run, rows, iterations))
    if found and not force_touched:
        raise BadData(
            f"{run.data}: its test set is not held out: {found}; see who with: "
            f"python dataset_enhancement/audit_split.py --catalog {run.data}, and split or train anew; "
            "--force-touched of the scripts in eval/ evaluates all the same, and the report says so"
        )
    if found:
        print(f"Evaluated by force: the test set is not held out: {found}", flush=True)
