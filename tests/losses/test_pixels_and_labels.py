"""Reconstruction, Dice with cross-entropy, and labels: closed forms and what must not count."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mammolibs.errors import BadConfig
from mammolibs.losses import dice_bce, masked_reconstruction, mean_fill_error, weighted_bce


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def lesion_masks(shares, side=40):
    """One square lesion of about that share of the image each; 0 for none."""
    masks = torch.zeros(len(shares), 1, side, side)
    for mask, share in zip(masks, shares, strict=True):
        width = round(side * share**0.5)
        mask[0, :width, :width] = 1
    return masks


def sure(masks, logit=12.0):
    return logit * (2 * masks - 1)


def test_reconstruction_scores_hidden_breast_pixels_only():
    target = torch.rand(3, 1, 8, 8)
    hidden, breast = (torch.rand(2, 3, 1, 8, 8) > 0.4).float()
    logits = torch.randn(3, 1, 8, 8)
    scored = (hidden * breast).bool()
    expected = (logits.sigmoid() - target)[scored].square().mean().item()
    assert masked_reconstruction(logits, target, hidden, breast, torch.ones(3)).item() == pytest.approx(expected, rel=1e-5)
    logits[~scored] = 1e4
    assert masked_reconstruction(logits, target, hidden, breast, torch.ones(3)).item() == pytest.approx(expected, rel=1e-5)
    one = masked_reconstruction(logits, target, hidden, breast, torch.tensor([1.0, 0, 0])).item()
    assert one == pytest.approx((logits[:1].sigmoid() - target[:1])[scored[:1]].square().mean().item(), rel=1e-5)
    assert masked_reconstruction(torch.logit(target), target, hidden, breast, torch.ones(3)).item() == pytest.approx(0, abs=1e-10)
    assert masked_reconstruction(logits, target, 0 * hidden, breast, torch.ones(3)).item() == 0


def test_visible_pixels_get_no_gradient():
    logits = torch.zeros(2, 1, 4, 4, requires_grad=True)
    hidden = (torch.rand(2, 1, 4, 4) > 0.5).float()
    masked_reconstruction(logits, torch.rand(2, 1, 4, 4), hidden, torch.ones(2, 1, 4, 4), torch.ones(2)).backward()
    assert torch.equal(logits.grad != 0, hidden.bool())


def test_mean_fill_is_the_error_of_the_visible_mean():
    target = torch.rand(2, 1, 6, 6)
    hidden = (torch.rand(2, 1, 6, 6) > 0.5).float()
    breast = torch.ones(2, 1, 6, 6)
    breast[:, :, 4:] = 0
    means = [image[(h == 0) & (b == 1)].mean() for image, h, b in zip(target, hidden, breast, strict=True)]
    errors = torch.cat([(m - image)[(h == 1) & (b == 1)] for m, image, h, b in zip(means, target, hidden, breast, strict=True)])
    assert mean_fill_error(target, hidden, breast, torch.ones(2)).item() == pytest.approx(errors.square().mean().item(), rel=1e-5)
    assert mean_fill_error(target, torch.ones_like(hidden), breast, torch.ones(2)).isfinite()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.1, 0.9])
@pytest.mark.parametrize("logit", [8.0, 12.0, 60.0, 1e4])
def test_a_perfect_mask_scores_nothing(share, logit):
    masks = lesion_masks([share, 0.0])
    known = torch.ones(2)
    assert dice_bce(sure(masks, logit), masks, known, known).item() == pytest.approx(0, abs=2e-3)


@pytest.mark.parametrize("share", [0.01, 0.04])
def test_background_is_not_half_the_score(share):
    masks, known = lesion_masks([share] * 4), torch.ones(4)
    nothing = dice_bce(sure(0 * masks), masks, known, known, dice_weight=1.0).item()
    assert nothing > 0.95
    everything = dice_bce(sure(0 * masks + 1), masks, known, known, dice_weight=1.0).item()
    assert everything > 0.85
    half = masks.clone()
    half[:, :, : int(masks[0].sum() ** 0.5) // 2] = 0
    assert dice_bce(sure(half), masks, known, known, dice_weight=1.0).item() == pytest.approx(1 / 3, abs=0.01)


def test_closed_form_in_numpy():
    logits, masks = torch.randn(3, 1, 9, 7), (torch.rand(3, 1, 9, 7) > 0.7).float()
    p, m = 1 / (1 + np.exp(-logits.double().numpy())), masks.double().numpy()
    smooth = 1e-4 * m.size
    dice = 1 - (2 * (p * m).sum() + smooth) / ((p**2).sum() + (m**2).sum() + smooth)
    entropy = -(3 * m * np.log(p) + (1 - m) * np.log(1 - p)).mean()
    own = dice_bce(logits, masks, torch.ones(3), torch.ones(3), dice_weight=0.3, pos_weight=3.0)
    assert own.item() == pytest.approx(0.3 * dice + 0.7 * entropy, rel=1e-5)


def test_false_alarms_in_lesion_free_images_cost():
    masks, known = lesion_masks([0.02, 0.0]), torch.ones(2)
    alarm = masks.clone()
    alarm[1] = masks[0]
    assert dice_bce(sure(alarm), masks, known, known, dice_weight=1.0).item() > 0.3
    empty = lesion_masks([0.0, 0.0])
    assert dice_bce(sure(alarm), empty, known, known).item() > 0.4


def test_padding_and_images_nobody_drew_do_not_count():
    masks, logits = lesion_masks([0.05, 0.0, 0.02, 0.1]), torch.randn(4, 1, 40, 40)
    weights, known = torch.tensor([1.0, 1, 0, 1]), torch.tensor([1.0, 1, 1, 0])
    expected = dice_bce(logits[:2], masks[:2], torch.ones(2), torch.ones(2)).item()
    logits[2:] = 1e3
    logits.requires_grad_()
    loss = dice_bce(logits, masks, known, weights)
    loss.backward()
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert logits.grad[2:].abs().max() == 0 and logits.grad[:2].abs().max() > 0
    nothing = dice_bce(logits, masks, torch.zeros(4), weights)
    nothing.backward()
    assert nothing.item() == 0 and logits.grad.isfinite().all()


def test_labels_closed_form_with_unknown_and_padding():
    logits = torch.tensor([2.0, -1.0, 0.5, 9.0, 9.0], requires_grad=True)
    labels, weights = torch.tensor([1.0, 0, 1, -1, 0]), torch.tensor([1.0, 1, 1, 1, 0])
    expected = (4 * math.log1p(math.exp(-2.0)) + math.log1p(math.exp(-1.0)) + 4 * math.log1p(math.exp(-0.5))) / 3
    loss = weighted_bce(logits, labels, weights, pos_weight=4.0)
    loss.backward()
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    assert logits.grad[3:].abs().max() == 0
    assert weighted_bce(logits[:, None], labels, weights, pos_weight=4.0).item() == loss.item()
    assert weighted_bce(logits, -torch.ones(5), weights).item() == 0
    assert weighted_bce(torch.tensor([1e4, -1e4]), torch.tensor([1.0, 0.0]), torch.ones(2)).item() == 0


PIXELS = (torch.linspace(-3, 3, 144).reshape(4, 1, 6, 6), (torch.arange(144) % 3 == 0).float().reshape(4, 1, 6, 6))


@pytest.mark.parametrize(
    "loss",
    [
        lambda rows, **hook: dice_bce(PIXELS[0][rows], PIXELS[1][rows], torch.ones(4)[rows], torch.ones(4)[rows], **hook),
        lambda rows, **hook: masked_reconstruction(PIXELS[0][rows], *(PIXELS[1][rows] for _ in range(3)), torch.ones(4)[rows], **hook),
        lambda rows, **hook: mean_fill_error(PIXELS[0][rows], *(PIXELS[1][rows] for _ in range(2)), torch.ones(4)[rows], **hook),
        lambda rows, **hook: weighted_bce(PIXELS[0][rows, 0, 0, 0], PIXELS[1][rows, 0, 0, 0], torch.ones(4)[rows], **hook),
    ],
)
def test_sums_over_two_halves_give_the_loss_of_the_whole(loss):
    """Each half gives its sums, then gets the total: as hosts do."""
    sums = []
    for rows in (slice(0, 2), slice(2, 4)):
        loss(rows, global_sum=lambda part: sums.append(part) or part)
    joined = loss(slice(0, 2), global_sum=lambda part: sums[0] + sums[1])
    assert joined.item() == pytest.approx(loss(slice(0, 4)).item(), rel=1e-6)
    assert joined.item() != pytest.approx(loss(slice(0, 2)).item(), rel=1e-3)


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e4])
def test_bf16_logits_and_gradients_stay_finite(size):
    logits = (size * torch.randn(2, 1, 16, 16)).bfloat16().requires_grad_()
    masks, ones = lesion_masks([0.05, 0.0], 16), torch.ones(2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = (
            dice_bce(logits, masks, ones, ones, pos_weight=10.0),
            masked_reconstruction(logits, masks, masks, ones.reshape(2, 1, 1, 1).expand_as(masks), ones),
            weighted_bce(logits[:, 0, 0, 0], ones, ones),
        )
    assert all(loss.dtype == torch.float32 and loss.ndim == 0 and loss.isfinite() for loss in losses)
    sum(losses).backward()
    assert logits.grad.isfinite().all()


def test_bad_arguments_are_named():
    masks, ones = lesion_masks([0.1, 0.1]), torch.ones(2)
    with pytest.raises(BadConfig, match=r"masks has shape \(2, 1, 40, 40\), logits has \(2, 1, 8, 8\)"):
        dice_bce(torch.zeros(2, 1, 8, 8), masks, ones, ones)
    with pytest.raises(BadConfig, match="dice_weight is 2, allowed is 0 to 1; nearest is 1"):
        dice_bce(masks, masks, ones, ones, dice_weight=2)
    with pytest.raises(BadConfig, match="mask_known has shape"):
        dice_bce(masks, masks, ones[:1], ones)
    with pytest.raises(BadConfig, match="one of each per example"):
        weighted_bce(torch.zeros(2, 2), ones, ones)
