"""What embeddings are worth: do two views find each other, and have all fallen on one point?"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mammolibs.losses.common import full_precision, per_image, same_shape
from mammolibs.losses.contrastive import NEVER, SHORTEST


def retrieval_hits(a: Tensor, b: Tensor, weights: Tensor) -> Tensor:
    """1 for each image whose view `a` has its own `b` as the nearest of all `b` by cosine, else 0; float32 (B,).

    a, b: (B, D). weights: (B,), 0 for padding, which is neither counted nor found: 0. A
    tie with another image is a miss, so that collapsed embeddings score 0.

    Raises BadConfig where shapes do not agree.
    """
    same_shape(a=a, b=b)
    per_image(weights, a)
    with full_precision(a):
        similarity = F.normalize(a.float(), dim=1, eps=SHORTEST) @ F.normalize(b.float(), dim=1, eps=SHORTEST).T
        own = torch.eye(len(a), dtype=torch.bool, device=a.device)
        best_other = torch.where(own | (weights <= 0), NEVER, similarity).amax(1)
        return ((similarity.diagonal() > best_other) & (weights > 0)).float()


def retrieval_top1(a: Tensor, b: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean of `retrieval_hits`, float32 scalar; chance is 1 / images, and 0 where every weight is 0."""
    weights = weights.float()
    return (weights * retrieval_hits(a, b, weights)).sum() / weights.sum().clamp_min(torch.finfo(torch.float32).tiny)


def embedding_spread(embeddings: Tensor, weights: Tensor) -> Tensor:
    """How far normalised embeddings spread: 0 collapsed on one point, about 1 spread over the sphere.

    The mean over dimensions of the standard deviation over images, times sqrt(D) (Chen and
    He 2021, SimSiam); float32 scalar. embeddings: (B, D). weights: (B,), 0 for padding.
    """
    spread = per_image(weights, embeddings)
    with full_precision(embeddings):
        points = F.normalize(embeddings.float(), dim=1, eps=SHORTEST)
        total = spread.sum().clamp_min(torch.finfo(torch.float32).tiny)
        mean = (spread * points).sum(0) / total
        variance = (spread * (points - mean).square()).sum(0) / total
        return variance.sqrt().mean() * embeddings.shape[1] ** 0.5
