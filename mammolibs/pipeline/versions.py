"""Which versions of what made a result."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("mammolibs", "torch", "torch_xla", "torchvision", "numpy", "opencv-python-headless", "pydicom", "imagecodecs")


def versions() -> dict[str, str]:
    """Package name -> version, of those that are installed, and Python's own."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
