"""Named randomness: (seed, names) in, generator or identifier out."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(*names: object) -> np.random.Generator:
    """A generator that depends on the names only, whatever was drawn elsewhere."""
    return np.random.Generator(np.random.PCG64(int.from_bytes(_digest(names)[:16], "big")))


def uid(*names: object) -> str:
    """A DICOM UID under 2.25 that depends on the names only."""
    return "2.25." + str(int.from_bytes(_digest(("uid", *names))[:16], "big"))


def _digest(names: tuple[object, ...]) -> bytes:
    return hashlib.sha256("\x1f".join(map(str, names)).encode()).digest()
