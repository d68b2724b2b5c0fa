"""The door to tools round the networks. Re-exports only; what stands in `__all__` is promised."""

from __future__ import annotations

import importlib

_HOME = {
    "load_model": "mammolibs.models",
}

__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
