"""Masked reconstruction: only what was hidden, and lies inside the breast, is scored."""

from __future__ import annotations

from torch import Tensor

from mammolibs.losses.common import Hook, full_precision, identity, per_image, ratio, same_shape


def masked_reconstruction(
    logits: Tensor, target: Tensor, hidden: Tensor, breast: Tensor, weights: Tensor, *, global_sum: Hook = identity
) -> Tensor:
    """Mean squared error of sigmoid(logits) over hidden breast pixels of the global batch; float32 scalar.

    logits: (B, 1, H, W), the network's output before any activation. target: the same shape
    in [0, 1]. hidden, breast: the same shape, 1 where the network was not shown the pixel
    and inside the breast. weights: (B,), 0 for padding. 0 where nothing is scored.

    Raises BadConfig where shapes do not agree.
    """
    same_shape(logits=logits, target=target, hidden=hidden, breast=breast)
    with full_precision(logits):
        scored = hidden.float() * breast.float() * per_image(weights, logits)
        error = (logits.float().sigmoid() - target.float()).square()
        return ratio((scored * error).sum(), scored.sum(), global_sum)


def mean_fill_error(target: Tensor, hidden: Tensor, breast: Tensor, weights: Tensor, *, global_sum: Hook = identity) -> Tensor:
    """The error of `masked_reconstruction` where each hidden pixel is filled with its image's visible mean.

    The mean is taken over the visible breast pixels of the same image, 0 where there are
    none. A network that does not beat this figure has learnt no anatomy. Arguments as in
    `masked_reconstruction`; float32 scalar.
    """
    same_shape(target=target, hidden=hidden, breast=breast)
    with full_precision(target):
        target, breast = target.float(), breast.float()
        visible = breast * (1 - hidden.float())
        axes = tuple(range(1, target.ndim))
        mean = (visible * target).sum(axes, keepdim=True) / visible.sum(axes, keepdim=True).clamp_min(1)
        scored = hidden.float() * breast * per_image(weights, target)
        return ratio((scored * (mean - target).square()).sum(), scored.sum(), global_sum)
