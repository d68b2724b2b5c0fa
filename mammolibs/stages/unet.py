"""U-Net: where are lesions?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from mammolibs.evaluate import dice_iou
from mammolibs.losses import dice_bce
from mammolibs.models import UNet
from mammolibs.predict import RegionRule
from mammolibs.records import Batch
from mammolibs.stages.detection import canvas_prediction, sensitivity_at


@dataclass(frozen=True, kw_only=True)
class UNetStage:
    """Segmentation with BCE + soft Dice on the logits of one lesion channel."""

    width: int
    depth: int
    norm: str
    shuffle: int = 1
    rule: RegionRule = field(default_factory=RegionRule)
    name = "unet"
    views = "one"
    monitor = "detection"
    higher_is_better = True
    threshold = 0.5

    def build(self) -> nn.Module:
        # The published narrow head ends in one normalised channel: every image then has the same
        # spread, and a sure find on one cannot outrank a guess on another.
        return UNet(width=self.width, depth=self.depth, norm=self.norm, head="wide", shuffle=self.shuffle)

    def loss(self, model: nn.Module, batch: Batch, runtime: Any) -> tuple[Tensor, dict[str, tuple[Tensor, Tensor]]]:
        """Of the global batch; images whose lesions nobody drew or excluded have no part in it."""
        logits = model(batch.images)
        loss = dice_bce(logits, batch.masks, batch.mask_known, batch.weights, global_sum=runtime.global_sum)
        return loss, {}

    def validate(self, model: nn.Module, batches: Iterable[Batch], runtime: Any) -> dict[str, float]:
        """Dice and lesion sensitivity on validation images; `detection`, their mean over several operating points, chooses."""
        predictions, dices = [], []
        for batch in runtime.feed(batches):
            probability = torch.sigmoid(model(batch.images).float()) * (batch.images > 0)
            rows = runtime.gather_rows((probability, batch.masks, batch.mask_known * batch.weights))
            maps, masks, known = rows[0].numpy()[:, 0], rows[1].numpy()[:, 0], rows[2].numpy()
            for i in (known > 0).nonzero()[0]:
                predictions.append(canvas_prediction(str(len(predictions)), maps[i], masks[i], self.rule))
                if masks[i].any():
                    dices.append(dice_iou(maps[i] > self.threshold, masks[i])[0])
        found = {f: sensitivity_at(predictions, f) or 0.0 for f in (0.5, 1.0, 2.0)}
        dice = sum(dices) / max(len(dices), 1)
        return {
            "dice": dice,
            "lesion_sensitivity_at_1_fp": found[1.0],
            "detection": (dice + sum(found.values())) / (1 + len(found)),
        }

    def remark(self, history: list[dict[str, float]]) -> str:
        """Nothing."""
        return ""
