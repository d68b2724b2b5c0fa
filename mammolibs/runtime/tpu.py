"""TPUs through TorchTPU (`torch_tpu`), the successor of PyTorch/XLA: one process per chip, started by torchrun.

Written on the public interface of torch_tpu 0.2.0 (the device "tpu", `torch.tpu`, the process-group
backend "tpu_dist"). It has not been run: no TPU was at hand, and torch_tpu has no CPU mode. What it adds
to `DdpRuntime` is kept to what that interface asks for; the rest is run on CPUs and tested there.
"""

from __future__ import annotations

import importlib.util
import os

import torch

from mammolibs.errors import RuntimeUnavailable
from mammolibs.runtime.ddp import DdpRuntime
from mammolibs.runtime.tpu_chips import count_chips

_START = 'eval "$(python -m torch.tpu.distributed)"; torchrun --nproc-per-node {chips} -- SCRIPT'


class TpuRuntime(DdpRuntime):
    """Runtime of one torchrun process with one TPU chip; see `runtime.protocol.Runtime` for what each method promises."""

    kind = "tpu"

    def seed(self, value: int) -> None:
        super().seed(value)
        torch.tpu.manual_seed(value + self.host)

    def _own_device(self) -> tuple[str, str]:
        chips = count_chips()
        if not chips:
            raise RuntimeUnavailable("MAMMOLIBS_DEVICE=tpu: this machine has no TPU chip; unset MAMMOLIBS_DEVICE")
        if importlib.util.find_spec("torch_tpu") is None:
            raise RuntimeUnavailable(
                f"MAMMOLIBS_DEVICE=tpu: torch_tpu is not installed beside torch {torch.__version__}; pip install -r requirements-torch-tpu.txt "
                "in an environment of its own, or use PJRT_DEVICE=TPU with torch_xla"
            )
        if "RANK" not in os.environ:
            raise RuntimeUnavailable(f"MAMMOLIBS_DEVICE=tpu: one process per chip is needed; start it with {_START.format(chips=chips)}")
        import torch_tpu  # noqa: F401  registers the device and its backend

        if not torch.tpu.is_available():
            raise RuntimeUnavailable(
                f"MAMMOLIBS_DEVICE=tpu: torch_tpu finds none of this machine's {chips} chip(s); is another process using them?"
            )
        return "tpu", "cpu:gloo,tpu:tpu_dist"
