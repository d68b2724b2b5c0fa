"""Which runtime this process is to use, from what the environment says."""

from __future__ import annotations

import difflib
import os

from mammolibs.errors import BadConfig, RuntimeUnavailable
from mammolibs.runtime.protocol import Runtime
from mammolibs.runtime.tpu_chips import require_tpu

DEVICE_KINDS = ("CPU", "TPU", "CUDA")


def get_runtime(precision: str = "auto", seed: int = 0, *, announce: bool = True, one_process: bool = False) -> Runtime:
    """The runtime for this process: `xla` where PJRT_DEVICE is set, `ddp` under torchrun, else `single`.

    The main host prints one line with the choice and its reasons; all generators are seeded.

    Raises RuntimeUnavailable where the device that is asked for is not there, BadConfig for
    an unknown precision, and with `one_process` where several work together.
    """
    if asked := os.environ.get("PJRT_DEVICE"):
        _check_device_kind(asked)
        from mammolibs.runtime.xla import XlaRuntime

        runtime: Runtime = XlaRuntime(precision)
    elif "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        from mammolibs.runtime.ddp import DdpRuntime

        runtime = DdpRuntime(precision)
    else:
        from mammolibs.runtime.single import SingleRuntime

        runtime = SingleRuntime(precision)
    if one_process and runtime.hosts > 1:
        raise BadConfig(f"this script works in one process, {runtime.hosts} were started: start it on one host, without torchrun; the stage scripts run on several")
    runtime.seed(seed)
    if announce and runtime.is_main:
        print(describe(runtime), flush=True)
    return runtime


def describe(runtime: Runtime) -> str:
    """One line: what was chosen and why."""
    cores = f", {runtime.world} cores in {runtime.hosts} process{'es' * (runtime.hosts > 1)}" if runtime.world > 1 else ""
    return f"Runtime: {runtime.kind} on {runtime.device}{cores} ({runtime.reason}); {runtime.precision} ({runtime.precision_reason})"


def _check_device_kind(asked: str) -> None:
    if asked not in DEVICE_KINDS:
        near = difflib.get_close_matches(asked.upper(), DEVICE_KINDS, n=1, cutoff=0.0)[0]
        raise RuntimeUnavailable(f"PJRT_DEVICE={asked}: expected one of {', '.join(DEVICE_KINDS)}; did you mean {near}?")
    if asked == "TPU":
        require_tpu()
