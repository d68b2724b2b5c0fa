"""Which runtime this process is to use, from what the environment says."""

from __future__ import annotations

import difflib
import os

from mammolibs.errors import BadConfig, RuntimeUnavailable
from mammolibs.runtime.protocol import Runtime
from mammolibs.runtime.tpu_chips import require_tpu

DEVICE_KINDS = ("CPU", "TPU", "CUDA")
DEVICE_VARIABLE = "MAMMOLIBS_DEVICE"


def get_runtime(precision: str = "auto", seed: int = 0, *, announce: bool = True, one_process: bool = False) -> Runtime:
    """The runtime for this process: `xla` where PJRT_DEVICE is set, `ddp` under torchrun, else `single`.

    MAMMOLIBS_DEVICE=tpu asks for TorchTPU (`tpu`), which is not to be chosen by accident.

    The main host prints one line with the choice and its reasons; all generators are seeded.

    Raises RuntimeUnavailable where the device that is asked for is not there, BadConfig for
    an unknown precision, and with `one_process` where several work together.
    """
    check_asked_device()
    if os.environ.get(DEVICE_VARIABLE):
        from mammolibs.runtime.tpu import TpuRuntime

        runtime: Runtime = TpuRuntime(precision)
    elif os.environ.get("PJRT_DEVICE"):
        from mammolibs.runtime.xla import XlaRuntime

        runtime = XlaRuntime(precision)
    elif "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        from mammolibs.runtime.ddp import DdpRuntime

        runtime = DdpRuntime(precision)
    else:
        from mammolibs.runtime.single import SingleRuntime

        runtime = SingleRuntime(precision)
    if one_process and runtime.hosts > 1:
        raise BadConfig(
            f"this script works in one process, {runtime.hosts} were started: start it on one host, without torchrun; the stage scripts run on several"
        )
    runtime.seed(seed)
    if announce and runtime.is_main:
        print(describe(runtime), flush=True)
    return runtime


def check_asked_device() -> None:
    """Ask whether the device that the environment names is there, without importing what drives it.

    Raises RuntimeUnavailable where it is not, or where the name is none.
    """
    if device := os.environ.get(DEVICE_VARIABLE):
        _check_own_variable(device)
    elif asked := os.environ.get("PJRT_DEVICE"):
        _check_device_kind(asked)


def describe(runtime: Runtime) -> str:
    """One line: what was chosen and why."""
    cores = f", {runtime.world} cores in {runtime.hosts} process{'es' * (runtime.hosts > 1)}" if runtime.world > 1 else ""
    return f"Runtime: {runtime.kind} on {runtime.device}{cores} ({runtime.reason}); {runtime.precision} ({runtime.precision_reason})"


def _check_own_variable(device: str) -> None:
    if device != "tpu":
        raise RuntimeUnavailable(f"{DEVICE_VARIABLE}={device}: the only value is tpu (TorchTPU); unset it for CPU, GPU and PyTorch/XLA")
    if os.environ.get("PJRT_DEVICE"):
        raise RuntimeUnavailable(
            f"{DEVICE_VARIABLE}=tpu and PJRT_DEVICE={os.environ['PJRT_DEVICE']}: these are TorchTPU and PyTorch/XLA; unset one"
        )


def _check_device_kind(asked: str) -> None:
    if asked not in DEVICE_KINDS:
        near = difflib.get_close_matches(asked.upper(), DEVICE_KINDS, n=1, cutoff=0.0)[0]
        raise RuntimeUnavailable(f"PJRT_DEVICE={asked}: expected one of {', '.join(DEVICE_KINDS)}; did you mean {near}?")
    if asked == "TPU":
        require_tpu()
