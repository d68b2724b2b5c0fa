"""What a result stands on: written into every JSON that holds figures."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Mapping

from mammolibs.catalog import read_catalog, split_hash
from mammolibs.evaluate import Threshold
from mammolibs.pipeline.run import Run

PACKAGES = ("mammolibs", "torch", "torch_xla", "torchvision", "numpy", "opencv-python-headless", "pydicom", "imagecodecs")


def provenance(run: Run, weights_sha256: Mapping[str, str], thresholds: Mapping[str, Threshold] | None = None) -> dict[str, Any]:
    """Contract, split, seed, weights by stage, thresholds by name and versions behind figures of this run."""
    return {
        "preset": run.settings.preset,
        "seed": run.settings.seed,
        "contract_hash": run.contract.hash(),
        "split_hash": split_hash(read_catalog(run.catalog)),
        "weights_sha256": dict(weights_sha256),
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
