"""Whether this machine has more than a CPU, asked without touching a device."""

from __future__ import annotations

import os


def has_accelerator() -> bool:
    """True where a GPU is at hand or XLA is told to use something other than the CPU."""
    if os.environ.get("PJRT_DEVICE", "CPU") != "CPU" or os.environ.get("MAMMOLIBS_DEVICE"):
        return True
    import torch

    return torch.cuda.is_available()
