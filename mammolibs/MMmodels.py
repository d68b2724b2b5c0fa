"""The door to networks, their weights and losses. Re-exports only; torch loads when a name is first touched."""

from __future__ import annotations

import importlib

_HOME = {
    "Autoencoder": "mammolibs.models",
    "Decoder": "mammolibs.models",
    "Encoder": "mammolibs.models",
    "PretrainEncoder": "mammolibs.models",
    "ResNet": "mammolibs.models.resnet",
    "TransferReport": "mammolibs.models",
    "UNet": "mammolibs.models",
    "build": "mammolibs.models",
    "dice_bce": "mammolibs.losses",
    "from_run": "mammolibs.models",
    "load_weights": "mammolibs.models",
    "masked_reconstruction": "mammolibs.losses",
    "nt_xent": "mammolibs.losses",
    "save_weights": "mammolibs.models",
    "transfer": "mammolibs.models",
    "weighted_bce": "mammolibs.losses",
}

__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
