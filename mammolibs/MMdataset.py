"""The door to images and data sets. Re-exports only; what stands in `__all__` is promised."""

from __future__ import annotations

import importlib

_HOME = {
    "StoredImage": "mammolibs.imaging",
    "is_image_name": "mammolibs.imaging",
    "iter_image_files": "mammolibs.imaging",
    "read_facts": "mammolibs.imaging",
    "read_mammogram": "mammolibs.imaging",
    "read_stored": "mammolibs.imaging",
}

__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
