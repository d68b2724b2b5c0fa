"""Autoencoder: reconstruct the blocks of breast that were hidden."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from mammolibs.losses import masked_reconstruction, mean_fill_error
from mammolibs.models import Autoencoder
from mammolibs.records import Batch


@dataclass(frozen=True, kw_only=True)
class AutoencoderStage:
    """Masked reconstruction (He et al. 2022) with a convolutional network; only hidden breast pixels are scored."""

    width: int
    depth: int
    norm: str
    shuffle: int = 1
    name = "autoencoder"
    views = "masked"
    monitor = "masked_error"
    higher_is_better = False

    def build(self) -> nn.Module:
        return Autoencoder(width=self.width, depth=self.depth, norm=self.norm, head="wide", shuffle=self.shuffle)

    def loss(self, model: nn.Module, batch: Batch, runtime: Any) -> tuple[Tensor, dict[str, tuple[Tensor, Tensor]]]:
        """Mean squared error over hidden breast pixels of the global batch."""
        logits = model(batch.images * (1 - batch.hidden))
        loss = masked_reconstruction(logits, batch.images, batch.hidden, batch.breast, batch.weights, global_sum=runtime.global_sum)
        return loss, {}

    def validate(self, model: nn.Module, batches: Iterable[Batch], runtime: Any) -> dict[str, float]:
        """Masked error, and its ratio to filling each image's hidden part with the mean of what is shown."""
        values = self.per_image(model, batches, runtime)
        error, fill = values["masked_error"].mean(), values["mean_fill_error"].mean()
        return {"masked_error": float(error), "error_against_mean_fill": float(error / max(fill, 1e-12))}

    def remark(self, history: list[dict[str, float]]) -> str:
        """Nothing."""
        return ""

    def per_image(self, model: nn.Module, batches: Iterable[Batch], runtime: Any) -> dict[str, np.ndarray]:
        """One value per image, in the order of the shard index: its error, that of the mean fill, and whether it beats that."""
        found = {}
        for batch in runtime.feed(batches):
            logits = model(batch.images * (1 - batch.hidden))
            *tensors, rows = runtime.gather_rows(
                (logits.float(), batch.images, batch.hidden, batch.breast, batch.weights, list(batch.rows))
            )
            for i, row in enumerate(rows):
                if row >= 0:
                    image = [t[i : i + 1] for t in tensors]
                    found[row] = float(masked_reconstruction(*image)), float(mean_fill_error(*image[1:]))
        error, fill = np.array([found[row] for row in sorted(found)]).T
        return {"masked_error": error, "mean_fill_error": fill, "better_than_mean_fill": (error < fill).astype(float)}
