"""ResNet: how malignant is the patch round a region? And, with other labels, is it a lesion at all?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mammolibs.evaluate import auc_statistic
from mammolibs.evaluate.bootstrap import point
from mammolibs.losses import weighted_bce
from mammolibs.models.resnet import ResNet
from mammolibs.records import Batch


@dataclass(frozen=True, kw_only=True)
class PatchStage:
    """BCE on one logit per patch. name "resnet": malignant against the rest; "patches": lesion against normal tissue."""

    name: str
    norm: str
    views = "one"
    monitor = "patch_loss"
    higher_is_better = False

    def build(self) -> nn.Module:
        return ResNet(norm=self.norm)

    def loss(self, model: nn.Module, batch: Batch, runtime: Any) -> tuple[Tensor, dict[str, tuple[Tensor, Tensor]]]:
        """Over the patches of the global batch whose label is known."""
        logits = model(batch.images)
        loss = weighted_bce(logits, batch.labels, batch.weights, global_sum=runtime.global_sum)
        return loss, {}

    def validate(self, model: nn.Module, batches: Iterable[Batch], runtime: Any) -> dict[str, float]:
        """Loss and AUC over all validation patches."""
        logits, labels = [], []
        for batch in runtime.feed(batches):
            logit, label, weight = runtime.gather_rows((model(batch.images).float().reshape(-1), batch.labels, batch.weights))
            keep = (weight > 0) & (label >= 0)
            logits.append(logit[keep])
            labels.append(label[keep])
        logit, label = torch.cat(logits), torch.cat(labels)
        loss = weighted_bce(logit, label, torch.ones_like(label))
        figures = {"patch_loss": float(loss)}
        if 0 < int(label.sum()) < len(label):
            figures["patch_auc"] = point(auc_statistic(logit.numpy(), label.numpy(), range(len(label)), "patch"))
        return figures

    def remark(self, history: list[dict[str, float]]) -> str:
        """Nothing."""
        return ""
