"""Which global batches can be divided over the cores."""

from __future__ import annotations

from mammolibs.errors import BadConfig
from mammolibs.runtime.protocol import Runtime


def check_batch(global_batch: int, runtime: Runtime) -> int:
    """Rows of the global batch that this host feeds.

    Raises BadConfig where the batch does not divide over the cores; names the nearest that does.
    """
    if global_batch < 1 or global_batch % runtime.world:
        below = global_batch // runtime.world * runtime.world
        nearest = [str(n) for n in (below, below + runtime.world) if n > 0]
        raise BadConfig(f"a batch of {global_batch} does not divide over {runtime.world} cores; take --batch {' or '.join(nearest)}")
    return global_batch // runtime.hosts
