"""What a result stands on: written into every JSON that holds figures."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from mammolibs.catalog import read_catalog, split_hash
from mammolibs.catalog.verdict import short_verdict
from mammolibs.evaluate import Threshold
from mammolibs.models.runs import find_weights, weights_hash
from mammolibs.models.weights import read_card
from mammolibs.pipeline.facts import last_part
from mammolibs.pipeline.networks import network_facts
from mammolibs.pipeline.parents import noted_heritage
from mammolibs.pipeline.run import Run
from mammolibs.pipeline.splits import split_verdict, touched

PACKAGES = ("mammolibs", "torch", "torch_xla", "numpy", "opencv-python-headless", "pydicom", "imagecodecs")


def provenance(run: Run, iterations: Mapping[str, int | None], thresholds: Mapping[str, Threshold] | None = None) -> dict[str, Any]:
    """Contract, split with its audit, seed, weights by stage, thresholds by name and versions behind figures of this run.

    iterations: stage -> the iteration that was judged, None for the best. touched: what the test
    set shares with training, empty where nothing is known against it; seen_unknown: files among
    the first weights that do not say whom they have seen. Raises as `splits.touched`.
    """
    elsewhere = {stage: last_part(notes["elsewhere"]) for stage, notes in run.settings.notes.items() if "elsewhere" in notes}
    rows = read_catalog(run.catalog)
    which = {stage: "best" if iteration is None else iteration for stage, iteration in iterations.items()}
    return {
        "sources": [name for name, _ in run.settings.sources if name != run.settings.left_out],
        "fold": "{} of {}".format(*run.settings.fold) if run.settings.fold else "",
        "preset": run.settings.preset,
        "seed": run.settings.seed,
        "contract": run.contract.to_dict(),
        "contract_hash": run.contract.hash(),
        "split_hash": split_hash(rows),
        "audit": short_verdict(split_verdict(run, rows), split_hash(rows)),
        "touched": list(touched(run, rows, iterations)),
        "weights": {stage: find_weights(run.stage(stage), chosen).stem for stage, chosen in which.items()},
        "weights_sha256": {stage: weights_hash(run.stage(stage), chosen) for stage, chosen in which.items()},
        "networks": network_facts(run, which),
        "weights_from_elsewhere": elsewhere,
        "seen_unknown": _unknown(run, which),
        "thresholds": {threshold.name: threshold.value for threshold in (thresholds or {}).values()},
        "versions": versions(),
    }


def _unknown(run: Run, which: Mapping[str, int | str]) -> list[str]:
    """First weights that do not say whom they have seen, by the cards and by what the run noted."""
    cards = [read_card(find_weights(run.stage(stage), chosen).with_suffix(".json")) for stage, chosen in which.items()]
    noted = [file for notes in run.settings.notes.values() for file in noted_heritage(notes).get("unknown", ())]
    return sorted({file for card in cards if card for file in card.seen_unknown} | set(noted))


def versions() -> dict[str, str]:
    """Package name -> version, of those that are installed, and Python's own."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
