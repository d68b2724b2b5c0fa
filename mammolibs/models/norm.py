"""The choice of norm, made in one place."""

from __future__ import annotations

from torch import nn

from mammolibs.errors import BadConfig

NORMS = ("group", "batch", "frozen")
MOST_GROUPS = 8


class FrozenBatchNorm2d(nn.BatchNorm2d):
    """Batch norm that always uses the statistics it was loaded with; scale and shift still learn."""

    def train(self, mode: bool = True) -> FrozenBatchNorm2d:
        return super().train(False)


def make_norm(kind: str, channels: int) -> nn.Module:
    """The norm layer for so many channels.

    kind "group": at most 8 groups of equal size; an image's result depends on that image
    alone. "batch": statistics of the batch while training, running ones after. "frozen":
    batch norm whose statistics stay as loaded, for small batches on somebody's weights.

    Raises BadConfig for another kind.
    """
    if kind == "group":
        return nn.GroupNorm(groups_for(channels), channels)
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "frozen":
        return FrozenBatchNorm2d(channels).eval()
    raise BadConfig(f"norm is {kind!r}, allowed are {', '.join(NORMS)}")


def groups_for(channels: int) -> int:
    """The largest number of groups, at most 8, that divides the channels."""
    return max(g for g in range(1, min(MOST_GROUPS, channels) + 1) if channels % g == 0)
