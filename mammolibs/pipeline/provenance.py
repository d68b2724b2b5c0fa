"""What a result stands on: written into every JSON that holds figures."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Mapping

from mammolibs.catalog import read_catalog, split_hash
from mammolibs.evaluate import Threshold
from mammolibs.models.runs import find_weights, weights_hash
from mammolibs.pipeline.facts import last_part
from mammolibs.pipeline.run import Run

PACKAGES = ("mammolibs", "torch", "torch_xla", "numpy", "opencv-python-headless", "pydicom", "imagecodecs")


def provenance(run: Run, iterations: Mapping[str, int | None], thresholds: Mapping[str, Threshold] | None = None) -> dict[str, Any]:
    """Contract, split, seed, weights by stage, thresholds by name and versions behind figures of this run.

    iterations: stage -> the iteration that was judged, None for the best.
    """
    elsewhere = {stage: last_part(notes["elsewhere"]) for stage, notes in run.settings.notes.items() if "elsewhere" in notes}
    which = {stage: "best" if iteration is None else iteration for stage, iteration in iterations.items()}
    return {
        "sources": [name for name, _ in run.settings.sources],
        "fold": "{} of {}".format(*run.settings.fold) if run.settings.fold else "",
        "preset": run.settings.preset,
        "seed": run.settings.seed,
        "contract_hash": run.contract.hash(),
        "split_hash": split_hash(read_catalog(run.catalog)),
        "weights": {stage: find_weights(run.stage(stage), chosen).stem for stage, chosen in which.items()},
        "weights_sha256": {stage: weights_hash(run.stage(stage), chosen) for stage, chosen in which.items()},
        "weights_from_elsewhere": elsewhere,
        "thresholds": {threshold.name: threshold.value for threshold in (thresholds or {}).values()},
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Package name -> version, of those that are installed, and Python's own."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
