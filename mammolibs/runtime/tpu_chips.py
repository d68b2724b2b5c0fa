"""Is there a TPU at all? Asked of the PCI bus, before anything is imported or started."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from mammolibs.errors import RuntimeUnavailable

_GOOGLE = "0x1ae0"
_CHIPS = ("0x0027", "0x005e", "0x0062", "0x0063", "0x006f", "0x0076")


def count_chips(pci: Path = Path("/sys/bus/pci/devices")) -> int:
    """The number of TPU chips of this machine."""
    return sum(_read(device / "vendor") == _GOOGLE and _read(device / "device") in _CHIPS for device in pci.glob("*"))


def require_tpu(pci: Path = Path("/sys/bus/pci/devices")) -> int:
    """The number of TPU chips of this machine.

    Without a chip the TPU library asks a metadata server for minutes before it gives up.

    Raises RuntimeUnavailable where there is no chip, or no library to drive it.
    """
    chips = count_chips(pci)
    if not chips:
        remedy = "unset PJRT_DEVICE, or try XLA with PJRT_DEVICE=CPU CPU_NUM_DEVICES=4"
        raise RuntimeUnavailable(f"PJRT_DEVICE=TPU: this machine has no TPU chip; {remedy}")
    if importlib.util.find_spec("libtpu") is None:
        raise RuntimeUnavailable("PJRT_DEVICE=TPU: libtpu is not installed; pip install 'torch_xla[tpu]==2.9.0'")
    return chips


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
