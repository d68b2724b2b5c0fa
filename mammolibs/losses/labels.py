"""Binary cross-entropy that leaves unknown labels out."""

from __future__ import annotations

from torch import Tensor

from mammolibs.errors import BadConfig
from mammolibs.losses.common import Hook, cross_entropy, full_precision, identity, per_image, ratio


def weighted_bce(logits: Tensor, labels: Tensor, weights: Tensor, *, pos_weight: float = 1.0, global_sum: Hook = identity) -> Tensor:
    """Mean cross-entropy of sigmoid(logits) over the examples with a known label; float32 scalar.

    logits: (B,) or (B, 1). labels: (B,), 1 malignant, 0 not, -1 unknown: left out.
    weights: (B,), 0 for padding. pos_weight: how much more a malignant example counts.
    0 where no label is known.

    Raises BadConfig where there is not one logit and one label per example.
    """
    if logits.numel() != labels.numel() or labels.ndim != 1:
        raise BadConfig(f"logits have shape {tuple(logits.shape)}, labels {tuple(labels.shape)}; expected one of each per example")
    with full_precision(logits):
        labels = labels.float()
        known = (labels >= 0).float() * per_image(weights, labels)
        entropy = cross_entropy(logits.float().reshape(-1), labels.clamp(0, 1), pos_weight)
        return ratio((known * entropy).sum(), known.sum(), global_sum)
