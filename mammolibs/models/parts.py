"""What the networks are made of: blocks, encoder, decoder.

Layers and tensor names are those of the published DLMammoClassifier checkpoints
(`encoder.conv1.0.weight` ... `decoder.conv.bias`), which therefore load.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mammolibs.errors import BadConfig
from mammolibs.models.norm import make_norm

HEADS = ("narrow", "wide")


class Encoder(nn.Module):
    """`depth` blocks with 2x2 max pooling between them; every level doubles the width.

    forward: (B, in_channels, H, W) -> features of every level, finest first: level i has
    width x 2^i channels and sides H / (shuffle x 2^i), W / (shuffle x 2^i). H and W are divisible by
    shuffle x 2^(depth-1). shuffle: each square of shuffle x shuffle pixels becomes one pixel of as many
    channels first (Shi et al. 2016, backwards): nothing is lost, and the costly full-size level is left out.
    """

    def __init__(self, in_channels: int = 1, width: int = 32, depth: int = 5, norm: str = "group", shuffle: int = 1):
        super().__init__()
        check_at_least(in_channels=(in_channels, 1), width=(width, 1), depth=(depth, 2), shuffle=(shuffle, 1))
        self.in_channels, self.depth, self.shuffle = in_channels, depth, shuffle
        self.pool = nn.MaxPool2d(2)
        widths = [in_channels * shuffle**2] + [width * 2**i for i in range(depth)]
        for level in range(depth):
            setattr(self, f"conv{level + 1}", double_conv(widths[level], widths[level + 1], norm))

    def forward(self, images: Tensor) -> list[Tensor]:
        check_size(images, self.in_channels, self.shuffle * 2 ** (self.depth - 1))
        features = [self.conv1(F.pixel_unshuffle(images, self.shuffle) if self.shuffle > 1 else images)]
        for level in range(2, self.depth + 1):
            features.append(getattr(self, f"conv{level}")(self.pool(features[-1])))
        return features


class Decoder(nn.Module):
    """2x2 transposed convolutions and blocks from the deepest features back to full size.

    head "narrow", as published: the last block narrows to the output channels before a 1x1
    convolution. "wide": it keeps its width. With `skips` the encoder's features are joined
    in at every level. shuffle: as in `Encoder`; the output layer gives shuffle x shuffle pixels at each place.
    forward: what `Encoder` returns -> logits (B, out_channels, H, W).
    """

    def __init__(
        self,
        out_channels: int = 1,
        width: int = 32,
        depth: int = 5,
        norm: str = "group",
        head: str = "narrow",
        skips: bool = False,
        shuffle: int = 1,
    ):
        super().__init__()
        check_at_least(out_channels=(out_channels, 1), width=(width, 1), depth=(depth, 2))
        if head not in HEADS:
            raise BadConfig(f"head is {head!r}, allowed are {', '.join(HEADS)}")
        outputs = out_channels * shuffle**2
        last = outputs if head == "narrow" else width
        self.depth, self.skips, self.shuffle = depth, skips, shuffle
        for level in range(depth - 1, 0, -1):
            narrow = width * 2 ** (level - 1)
            setattr(self, f"upconv{level}", nn.ConvTranspose2d(2 * narrow, narrow, 2, stride=2))
            setattr(self, f"conv{level}", double_conv(2 * narrow if skips else narrow, narrow if level > 1 else last, norm))
        self.conv = nn.Conv2d(last, outputs, 1)
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
        logits = self.conv(current)
        return F.pixel_shuffle(logits, self.shuffle) if self.shuffle > 1 else logits


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


def check_size(images: Tensor, channels: int, step: int) -> None:
    """As check_images; also where a side is not divisible by `step`: names the nearest size that is."""
    check_images(images, channels)
    height, width = images.shape[2:]
    if height % step or width % step or not height or not width:
        nearest = tuple(max(step, (side + step // 2) // step * step) for side in (height, width))
        raise BadConfig(
            f"images of {height} x {width} pixels do not fit this network: "
            f"sides must be divisible by {step}; the nearest size is {nearest[0]} x {nearest[1]}"
        )
