"""The choice of norm, made in one place."""

from __future__ import annotations

from torch import Tensor, nn

from mammolibs.errors import BadConfig

NORMS = ("group", "batch", "frozen")

GROUP_CHANNELS = 16
"""Channels per group (the best in Wu and He 2018, table 3). On CPU it is also what makes GroupNorm as
cheap as BatchNorm: torch's backward in channels_last is up to twenty times slower for groups
narrower than a vector register (`scripts/bench.py norm`)."""


class NarrowGroupNorm(nn.GroupNorm):
    """Group norm for fewer channels than a vector register holds: same values, computed plane by plane.

    Torch's channels_last kernels run through so few channels one number at a time.
    """

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.flatten(2)).view(images.shape)


class FrozenBatchNorm2d(nn.BatchNorm2d):
    """Batch norm that always uses the statistics it was loaded with; scale and shift still learn."""

    def train(self, mode: bool = True) -> FrozenBatchNorm2d:
        return super().train(False)


def make_norm(kind: str, channels: int) -> nn.Module:
    """The norm layer for so many channels.

    kind "group": groups of 16 channels; an image's result depends on that image alone. "batch": statistics of the batch
    while training, running ones after. "frozen": batch norm whose statistics stay as loaded, for small batches on somebody's weights.

    Raises BadConfig for another kind.
    """
    if kind == "group":
        layer = nn.GroupNorm if channels >= GROUP_CHANNELS else NarrowGroupNorm
        return layer(groups_for(channels), channels)
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "frozen":
        return FrozenBatchNorm2d(channels).eval()
    raise BadConfig(f"norm is {kind!r}, allowed are {', '.join(NORMS)}")


def groups_for(channels: int) -> int:
    """The number of equal groups that are nearest to 16 channels, and no narrower; 1 where none are."""
    return max(groups for groups in range(1, max(1, channels // GROUP_CHANNELS) + 1) if channels % groups == 0)
