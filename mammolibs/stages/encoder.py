"""Encoder: two augmented views of one image lie together, those of different images apart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mammolibs.losses import embedding_spread, nt_xent, retrieval_hits, retrieval_top1
from mammolibs.models import PretrainEncoder
from mammolibs.records import Batch

COLLAPSED = 1e-3
"""A spread of the embeddings below which nothing tells images apart."""
COLLAPSED_FOR = 3
"""Iterations in a row that must show it: a network that has hardly begun to learn shows it too."""


@dataclass(frozen=True, kw_only=True)
class EncoderStage:
    """Contrastive pretraining (Chen et al. 2020, SimCLR) with every image of the global batch as its own class."""

    width: int
    depth: int
    norm: str
    shuffle: int = 1
    temperature: float = 0.05
    name = "encoder"
    views = "two"
    monitor = "contrastive_loss"
    higher_is_better = False

    def build(self) -> nn.Module:
        return PretrainEncoder(width=self.width, depth=self.depth, norm=self.norm, shuffle=self.shuffle)

    def loss(self, model: nn.Module, batch: Batch, runtime: Any) -> tuple[Tensor, dict[str, tuple[Tensor, Tensor]]]:
        """NT-Xent of the global batch."""
        first, second = model(batch.images), model(batch.second)
        loss = nt_xent(first, second, batch.weights, temperature=self.temperature, global_cat=runtime.global_cat)
        return loss, {}

    def validate(self, model: nn.Module, batches: Iterable[Batch], runtime: Any) -> dict[str, float]:
        """Over all validation images at once: loss, share whose other view is the nearest, spread of the embeddings."""
        first, second, weights = self._embed(model, batches, runtime)
        return {
            "contrastive_loss": float(nt_xent(first, second, weights, temperature=self.temperature)),
            "retrieval_top1": float(retrieval_top1(first, second, weights)),
            "embedding_spread": float(embedding_spread(first, weights)),
        }

    def remark(self, history: list[dict[str, float]]) -> str:
        """Says where the network has collapsed: a constant answer."""
        spreads = [row["embedding_spread"] for row in history[-COLLAPSED_FOR:] if "embedding_spread" in row]
        if len(spreads) < COLLAPSED_FOR or max(spreads) >= COLLAPSED:
            return ""
        return (
            f"all images have had the same embedding for {COLLAPSED_FOR} iterations (spread {spreads[-1]:.1g}): it has collapsed;"
            " start again: train/unet/encoder/train_encoder.py --pretrain no with a lower --lr"
        )

    def per_image(self, model: nn.Module, batches: Iterable[Batch], runtime: Any) -> dict[str, np.ndarray]:
        """One value per image, in the order of the shard index: is its other view the nearest of all?"""
        first, second, weights = self._embed(model, batches, runtime)
        return {"retrieval_top1": retrieval_hits(first, second, weights).numpy()}

    def _embed(self, model: nn.Module, batches: Iterable[Batch], runtime: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Both embeddings of every image and their weights, in the order of the shard index, padding left out."""
        firsts, seconds, weights, rows = [], [], [], []
        for batch in runtime.feed(batches):
            gathered = runtime.gather_rows((model(batch.images).float(), model(batch.second).float(), batch.weights, list(batch.rows)))
            for column, part in zip((firsts, seconds, weights, rows), gathered):
                column.extend(part)
        order = [i for i in sorted(range(len(rows)), key=rows.__getitem__) if rows[i] >= 0]
        return tuple(torch.stack([column[i] for i in order]) for column in (firsts, seconds, weights))
