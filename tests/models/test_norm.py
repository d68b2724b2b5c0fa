"""Group norm in its cheap forms gives the values and gradients of torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mammolibs.models.norm import groups_for, make_norm


@pytest.mark.parametrize("channels", [1, 2, 8, 15, 16, 32])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_values_and_gradients_are_torchs(channels, layout):
    torch.manual_seed(channels)
    own, reference = make_norm("group", channels), nn.GroupNorm(groups_for(channels), channels)
    assert isinstance(own, nn.GroupNorm)
    nn.init.normal_(reference.weight)
    nn.init.normal_(reference.bias)
    own.load_state_dict(reference.state_dict())
    images = torch.randn(3, channels, 6, 5) * 2 + 1
    pull = torch.randn_like(images)
    first, second = images.clone().to(memory_format=layout).requires_grad_(), images.clone().requires_grad_()
    own(first).backward(pull)
    reference(second).backward(pull)
    assert torch.allclose(own(first), reference(second), atol=1e-5)
    assert torch.allclose(first.grad, second.grad, atol=1e-5)
    assert torch.allclose(own.weight.grad, reference.weight.grad, atol=1e-4)
    assert torch.allclose(own.bias.grad, reference.bias.grad, atol=1e-4)


def test_groups_have_sixteen_channels_or_the_next_more():
    assert {c: groups_for(c) for c in (1, 8, 16, 24, 31, 32, 48, 64, 96, 512)} == {
        1: 1, 8: 1, 16: 1, 24: 1, 31: 1, 32: 2, 48: 3, 64: 4, 96: 6, 512: 32
    }  # fmt: skip
