"""Which global batches can be divided over the cores."""

from __future__ import annotations

from mammolibs.errors import BadConfig
from mammolibs.runtime.protocol import Runtime


def check_batch(global_batch: int, runtime: Runtime, parts: int = 1) -> int:
    """Rows of the global batch that this host feeds in one of so many parts of a step.

    Raises BadConfig where the parts do not divide over the cores; names the nearest batch that does.
    """
    share = runtime.world * parts
    if global_batch < 1 or global_batch % share:
        below = global_batch // share * share
        nearest = [str(n) for n in (below, below + share) if n > 0]
        cut = f", in {parts} parts" if parts > 1 else ""
        raise BadConfig(
            f"a batch of {global_batch} does not divide over {runtime.world} core{'s' * (runtime.world > 1)}{cut}; take --batch {' or '.join(nearest)}"
        )
    return global_batch // runtime.hosts // parts
