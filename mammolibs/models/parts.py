"""What the networks are made of: blocks, encoder, decoder.

Layers and tensor names are those of the published DLMammoClassifier checkpoints
(`encoder.conv1.0.weight` ... `decoder.conv.bias`), which therefore load.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mammolibs.errors import BadConfig
from mammolibs.models.norm import make_norm

HEADS = ("narrow", "wide")


class Encoder(nn.Module):
    """`depth` blocks with 2x2 max pooling between them; every level doubles the width.

    forward: (B, in_channels, H, W) -> features of every level, finest first: level i has
    width x 2^i channels and sides H / 2^i, W / 2^i. H and W are divisible by 2^(depth-1).
    """

    def __init__(self, in_channels: int = 1, width: int = 32, depth: int = 5, norm: str = "group"):
        super().__init__()
        check_at_least(in_channels=(in_channels, 1), width=(width, 1), depth=(depth, 2))
        self.depth = depth
        self.pool = nn.MaxPool2d(2)
        widths = [in_channels] + [width * 2**i for i in range(depth)]
        for level in range(depth):
            setattr(self, f"conv{level + 1}", double_conv(widths[level], widths[level + 1], norm))

    def forward(self, images: Tensor) -> list[Tensor]:
        check_size(images, self.conv1[0].in_channels, self.depth)
        features = [self.conv1(images)]
        for level in range(2, self.depth + 1):
            features.append(getattr(self, f"conv{level}")(self.pool(features[-1])))
        return features


class Decoder(nn.Module):
    """2x2 transposed convolutions and blocks from the deepest features back to full size.

    head "narrow", as published: the last block narrows to the output channels before a 1x1
    convolution. "wide": it keeps its width. With `skips` the encoder's features are joined
    in at every level. forward: what `Encoder` returns -> logits (B, out_channels, H, W).
    """

    def __init__(
        self,
        out_channels: int = 1,
        width: int = 32,
        depth: int = 5,
        norm: str = "group",
        head: str = "narrow",
        skips: bool = False,
    ):
        super().__init__()
        check_at_least(out_channels=(out_channels, 1), width=(width, 1), depth=(depth, 2))
        if head not in HEADS:
            raise BadConfig(f"head is {head!r}, allowed are {', '.join(HEADS)}")
        last = out_channels if head == "narrow" else width
        self.depth, self.skips = depth, skips
        for level in range(depth - 1, 0, -1):
            narrow = width * 2 ** (level - 1)
            setattr(self, f"upconv{level}", nn.ConvTranspose2d(2 * narrow, narrow, 2, stride=2))
            setattr(self, f"conv{level}", double_conv(2 * narrow if skips else narrow, narrow if level > 1 else last, norm))
        self.conv = nn.Conv2d(last, out_channels, 1)
        if head == "narrow":
            # A random factor on one rectified channel may be near 0 or negative: then nothing below it learns.
            nn.init.dirac_(self.conv.weight)

    def forward(self, features: list[Tensor]) -> Tensor:
        current = features[-1]
        for level in range(self.depth - 1, 0, -1):
            current = getattr(self, f"upconv{level}")(current)
            if self.skips:
                current = torch.cat((current, features[level - 1]), dim=1)
            current = getattr(self, f"conv{level}")(current)
        return self.conv(current)


def double_conv(in_channels: int, out_channels: int, norm: str) -> nn.Sequential:
    """Two 3x3 convolutions that keep the size, each with norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1),
        make_norm(norm, out_channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(out_channels, out_channels, 3, padding=1),
        make_norm(norm, out_channels),
        nn.ReLU(inplace=True),
    )


def check_at_least(**arguments: tuple[int, int]) -> None:
    """Raise BadConfig where an argument (value, least) is no whole number or below its least."""
    for name, (value, least) in arguments.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise BadConfig(f"{name} is {value!r}, expected a whole number of at least {least}")


def check_images(images: Tensor, channels: int) -> None:
    """Raise BadConfig where images are not (B, channels, H, W)."""
    if images.ndim != 4:
        raise BadConfig(f"images have shape {tuple(images.shape)}, expected batch, channels, height, width")
    if images.shape[1] != channels:
        raise BadConfig(f"this network takes {channels} channel{'s' * (channels > 1)}, the images have {images.shape[1]}")


def check_size(images: Tensor, channels: int, depth: int) -> None:
    """As check_images; also where the sides cannot be halved depth - 1 times: names the nearest that can."""
    check_images(images, channels)
    step = 2 ** (depth - 1)
    height, width = images.shape[2:]
    if height % step or width % step or not height or not width:
        nearest = tuple(max(step, (side + step // 2) // step * step) for side in (height, width))
        raise BadConfig(
            f"images of {height} x {width} pixels do not fit a network of depth {depth}: "
            f"sides must be divisible by {step}; the nearest size is {nearest[0]} x {nearest[1]}"
        )
