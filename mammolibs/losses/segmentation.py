"""Soft Dice with binary cross-entropy, for one lesion channel."""

from __future__ import annotations

import torch
from torch import Tensor

from mammolibs.errors import BadConfig
from mammolibs.losses.common import Hook, cross_entropy, full_precision, identity, per_image, same_shape

SMOOTH_SHARE = 1e-4
"""Added to both sides of Dice, as a share of the scored pixels: about one lesion of 2 x 2 pixels per
256 x 160 image. Without it an empty batch divides nothing by nothing."""


def dice_bce(
    logits: Tensor,
    masks: Tensor,
    mask_known: Tensor,
    weights: Tensor,
    *,
    dice_weight: float = 0.5,
    pos_weight: float = 1.0,
    global_sum: Hook = identity,
) -> Tensor:
    """dice_weight x soft Dice loss + (1 - dice_weight) x cross-entropy, of sigmoid(logits); float32 scalar.

    logits, masks: (B, 1, H, W); masks hold 0 and 1. mask_known: (B,), 1 where somebody drew
    or excluded lesions, else the image is left out. weights: (B,), 0 for padding.
    pos_weight: how much more a lesion pixel counts in the cross-entropy.

    Dice is taken once over all pixels of the global batch (Milletari et al. 2016, squared
    denominator), not per image: most images have no lesion, and a Dice of their own would
    jump from 0 to 1 with a single pixel. So one figure weighs found against missed lesion
    pixels, false alarms in lesion-free images count in it, and the background has no share.
    A perfect mask scores 0; an empty one that is predicted empty scores 0 too.

    Raises BadConfig for a dice_weight outside [0, 1] or shapes that do not agree.
    """
    if not 0 <= dice_weight <= 1:
        raise BadConfig(f"dice_weight is {dice_weight}, allowed is 0 to 1; nearest is {min(max(dice_weight, 0), 1)}")
    same_shape(logits=logits, masks=masks)
    with full_precision(logits):
        logits, masks = logits.float(), masks.float()
        counted = (per_image(weights, logits) * per_image(mask_known, logits, "mask_known")).expand_as(logits)
        probability = logits.sigmoid()
        entropy = counted * cross_entropy(logits, masks, pos_weight)
        sums = torch.stack(
            (
                entropy.sum(),
                (counted * probability * masks).sum(),
                (counted * (probability.square() + masks.square())).sum(),
                counted.sum(),
            )
        )
        entropy, overlap, extent, pixels = global_sum(sums).unbind()
        pixels = torch.where(pixels > 0, pixels, torch.ones_like(pixels))
        smooth = SMOOTH_SHARE * pixels
        dice = 1 - (2 * overlap + smooth) / (extent + smooth)
        return dice_weight * dice + (1 - dice_weight) * entropy / pixels
