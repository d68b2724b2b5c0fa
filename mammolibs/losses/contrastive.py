"""NT-Xent: two views of one image attract, all other images of the global batch repel."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mammolibs.errors import BadConfig
from mammolibs.losses.common import Hook, full_precision, identity, per_image, same_shape

SHORTEST = 1e-4
"""Embeddings shorter than this are not stretched to unit length: bounds the gradient at a zero vector."""

NEVER = -1e9
"""Logit of a column that must not count; finite, so that a row without any column stays finite."""


def nt_xent(a: Tensor, b: Tensor, weights: Tensor, *, temperature: float = 0.05, global_cat: Hook = identity) -> Tensor:
    """Normalised temperature-scaled cross-entropy (Chen et al. 2020, SimCLR); float32 scalar, at least 0.

    a, b: (B, D), embeddings of two views of the same images, any float type, any length.
    weights: (B,), 0 for padding: such rows neither count nor serve as negatives.
    temperature: > 0; similarities are divided by it in float32, right down to 0.01.
    0 where every weight is 0. With m images of equal weight, log(2m - 1) where all
    embeddings are one point.

    Raises BadConfig for a temperature that is not positive or shapes that do not agree.
    """
    if not temperature > 0:
        raise BadConfig(f"temperature is {temperature}, expected a positive number; 0.05 is usual")
    same_shape(a=a, b=b)
    per_image(weights, a)
    with full_precision(a):
        left, right, weights = global_cat(a.float()), global_cat(b.float()), global_cat(weights.float())
        points = F.normalize(torch.cat((left, right)), dim=1, eps=SHORTEST)
        similarity = points @ points.T / temperature
        weights = torch.cat((weights, weights))
        itself = torch.eye(len(points), dtype=torch.bool, device=points.device)
        partner = itself.roll(len(left), 0)
        allowed = ~itself & (weights > 0)
        total = torch.where(allowed, similarity, NEVER).logsumexp(1)
        positive = torch.where(partner, similarity, 0.0).sum(1)
        return (weights * (total - positive)).sum() / weights.sum().clamp_min(torch.finfo(torch.float32).tiny)
