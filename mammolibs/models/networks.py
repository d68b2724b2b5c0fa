"""The three networks built of encoder and decoder: pretraining, reconstruction, segmentation."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from mammolibs.models.parts import Decoder, Encoder, check_at_least


class Autoencoder(nn.Module):
    """Encoder and decoder without skips: the image must pass through the deepest features.

    forward: (B, in_channels, H, W) -> logits (B, out_channels, H, W); the picture is their
    sigmoid. H and W are divisible by shuffle x 2^(depth-1), else BadConfig. shuffle: as in `Encoder`.
    """

    SKIPS = False

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        width: int = 32,
        depth: int = 5,
        norm: str = "group",
        head: str = "narrow",
        shuffle: int = 1,
    ):
        super().__init__()
        self.architecture: dict[str, Any] = {
            "name": type(self).__name__,
            "in_channels": in_channels,
            "out_channels": out_channels,
            "width": width,
            "depth": depth,
            "norm": norm,
            "head": head,
            "shuffle": shuffle,
        }
        self.encoder = Encoder(in_channels, width, depth, norm, shuffle)
        self.decoder = Decoder(out_channels, width, depth, norm, head, skips=self.SKIPS, shuffle=shuffle)

    def forward(self, images: Tensor) -> Tensor:
        return self.decoder(self.encoder(images))

    def predict_proba(self, images: Tensor) -> Tensor:
        """Sigmoid of the logits in float32, each channel by itself, in [0, 1]."""
        return self(images).float().sigmoid()


class UNet(Autoencoder):
    """Encoder and decoder with skips; one lesion channel by default (7.7 million parameters).

    forward: (B, in_channels, H, W) -> logits (B, out_channels, H, W).
    """

    SKIPS = True
    START_LOGIT = -3.0
    """Before training every pixel is a lesion with probability 0.05, so that the first steps need not unlearn one half."""

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__(*arguments, **named)
        nn.init.constant_(self.decoder.conv.bias, self.START_LOGIT)


class PretrainEncoder(nn.Module):
    """Encoder with a projection head: global average pooling, then two linear layers (SimCLR).

    forward: (B, in_channels, H, W) -> embeddings (B, out_features), of any length.
    `embed` gives what the linear probe sees: the pooled features, before the head.
    """

    def __init__(
        self, in_channels: int = 1, width: int = 32, depth: int = 5, norm: str = "group", out_features: int = 128, shuffle: int = 1
    ):
        super().__init__()
        check_at_least(out_features=(out_features, 1))
        self.architecture: dict[str, Any] = {
            "name": "PretrainEncoder",
            "in_channels": in_channels,
            "width": width,
            "depth": depth,
            "norm": norm,
            "out_features": out_features,
            "shuffle": shuffle,
        }
        self.encoder = Encoder(in_channels, width, depth, norm, shuffle)
        features = width * 2 ** (depth - 1)
        self.head = nn.Sequential(nn.Linear(features, features), nn.ReLU(inplace=True), nn.Linear(features, out_features))

    def embed(self, images: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, width x 2^(depth-1)): the mean of the deepest features."""
        return self.encoder(images)[-1].mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.embed(images))
