"""The patch classifier: ResNet-18 with a stem for grey images and one logit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, nn

from mammolibs.models.norm import make_norm
from mammolibs.models.parts import check_at_least, check_images


class ResNet(nn.Module):
    """ResNet-18 (He et al. 2016) on patches; tensor names, and at width 64 shapes, are torchvision's.

    norm "group" or "batch" for random weights; for weights that were trained with batch norm
    "batch", or "frozen" where their statistics are to stay as they are.
    forward: (B, in_channels, H, W), any size -> logits (B, 1).
    """

    def __init__(self, in_channels: int = 1, width: int = 64, norm: str = "group"):
        super().__init__()
        check_at_least(in_channels=(in_channels, 1), width=(width, 1))
        self.architecture: dict[str, Any] = {"name": "ResNet", "in_channels": in_channels, "width": width, "norm": norm}
        norm_layer = partial(make_norm, norm)
        self.conv1 = nn.Conv2d(in_channels, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = norm_layer(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _two_blocks(width, width, norm_layer)
        self.layer2 = _two_blocks(width, 2 * width, norm_layer)
        self.layer3 = _two_blocks(2 * width, 4 * width, norm_layer)
        self.layer4 = _two_blocks(4 * width, 8 * width, norm_layer)
        self.fc = nn.Linear(8 * width, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        check_images(images, self.conv1.in_channels)
        features = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            features = layer(features)
        return self.fc(features.mean((2, 3)))

    def predict_proba(self, images: Tensor) -> Tensor:
        """Sigmoid of the logits in float32: (B, 1), each in [0, 1]."""
        return self(images).float().sigmoid()


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a way round them (He et al. 2016); tensor names are torchvision's.

    A block that changes the number of channels halves height and width; its way round is a 1x1 convolution with stride 2.
    """

    def __init__(self, in_channels: int, out_channels: int, norm_layer: Callable[[int], nn.Module]):
        super().__init__()
        changes = in_channels != out_channels
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=2 if changes else 1, padding=1, bias=False)
        self.bn1 = norm_layer(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = norm_layer(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if changes:
            self.downsample = nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride=2, bias=False), norm_layer(out_channels))

    def forward(self, features: Tensor) -> Tensor:
        round_it = features if self.downsample is None else self.downsample(features)
        return self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(features))))) + round_it)


def _two_blocks(in_channels: int, out_channels: int, norm_layer: Callable[[int], nn.Module]) -> nn.Sequential:
    return nn.Sequential(BasicBlock(in_channels, out_channels, norm_layer), BasicBlock(out_channels, out_channels, norm_layer))
