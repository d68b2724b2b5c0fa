"""Which runtime this process is to use, from what the environment says."""

from __future__ import annotations

import os

from mammolibs.runtime.protocol import Runtime


def get_runtime(precision: str = "auto", seed: int = 0, *, announce: bool = True) -> Runtime:
    """The runtime for this process: `xla` where PJRT_DEVICE is set, `ddp` under torchrun, else `single`.

    The main host prints one line with the choice and its reasons; all generators are seeded.

    Raises RuntimeUnavailable where the device that is asked for is not there, BadConfig for
    an unknown precision.
    """
    if os.environ.get("PJRT_DEVICE"):
        from mammolibs.runtime.xla import XlaRuntime

        runtime: Runtime = XlaRuntime(precision)
    elif "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        from mammolibs.runtime.ddp import DdpRuntime

        runtime = DdpRuntime(precision)
    else:
        from mammolibs.runtime.single import SingleRuntime

        runtime = SingleRuntime(precision)
    runtime.seed(seed)
    if announce and runtime.is_main:
        print(describe(runtime), flush=True)
    return runtime


def describe(runtime: Runtime) -> str:
    """One line: what was chosen and why."""
    cores = f", {runtime.world} cores in {runtime.hosts} process{'es' * (runtime.hosts > 1)}" if runtime.world > 1 else ""
    return f"Runtime: {runtime.kind} on {runtime.device}{cores} ({runtime.reason}); {runtime.precision} ({runtime.precision_reason})"
