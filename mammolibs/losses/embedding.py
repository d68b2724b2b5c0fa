"""What embeddings are worth: do two views find each other, and have all fallen on one point?"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mammolibs.losses.common import full_precision, per_image, same_shape
from mammolibs.losses.contrastive import NEVER, SHORTEST


def retrieval_top1(a: Tensor, b: Tensor, weights: Tensor) -> Tensor:
    """Share of images whose view `a` has its own `b` as the nearest of all `b` by cosine; float32 scalar.

    a, b: (B, D). weights: (B,), 0 for padding, which is neither counted nor found.
    Chance is 1 / images. A tie with another image is a miss, so that collapsed embeddings
    score 0. 0 where every weight is 0.

    Raises BadConfig where shapes do not agree.
    """
    same_shape(a=a, b=b)
    per_image(weights, a)
    with full_precision(a):
        similarity = F.normalize(a.float(), dim=1, eps=SHORTEST) @ F.normalize(b.float(), dim=1, eps=SHORTEST).T
        own = torch.eye(len(a), dtype=torch.bool, device=a.device)
        best_other = torch.where(own | (weights <= 0), NEVER, similarity).amax(1)
        hit = similarity.diagonal() > best_other
        weights = weights.float()
        return (weights * hit).sum() / weights.sum().clamp_min(torch.finfo(torch.float32).tiny)


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
