"""The other forms of the norm layers give torch's values and gradients, on torch's parameters."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from mammolibs.runtime.norms import shard_norms, spare_cpu_norms
from mammolibs.runtime.single import SingleRuntime

LAYERS = [
    nn.GroupNorm(4, 8),
    nn.GroupNorm(2, 8, affine=False),
    nn.BatchNorm2d(8),
    nn.BatchNorm2d(8, track_running_stats=False),
    nn.BatchNorm2d(8, affine=False),
    nn.InstanceNorm2d(8, affine=True),
    nn.InstanceNorm2d(8),
]


def run(model, x):
    x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    y = model(x)
    (y * torch.linspace(-1, 1, y.numel()).view_as(y)).sum().backward()
    return y.detach(), x.grad, [p.grad for p in model.parameters()]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("layer", LAYERS, ids=str)
@pytest.mark.parametrize("swap", [shard_norms, spare_cpu_norms])
def test_values_gradients_and_state_are_those_of_torch(layer, swap, training):
    torch.manual_seed(0)
    expected, found = (nn.Sequential(copy.deepcopy(layer)).train(training) for _ in range(2))
    for parameter, other in zip(expected.parameters(), found.parameters(), strict=True):
        parameter.data.uniform_(0.5, 1.5)
        other.data.copy_(parameter)
    names = list(found.state_dict())
    found = swap(swap(found))
    x = 3 + 2 * torch.randn(4, 8, 6, 5)
    torch.testing.assert_close(run(found, x), run(expected, x), rtol=1e-4, atol=1e-5)
    assert list(found.state_dict()) == names
    torch.testing.assert_close(found.state_dict(), expected.state_dict(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(copy.deepcopy(found)(x), expected(x), rtol=1e-4, atol=1e-5)


def test_frozen_statistics_stay_frozen():
    class Frozen(nn.BatchNorm2d):
        def train(self, mode=True):
            return super().train(False)

    layer = Frozen(8).eval()
    layer.running_mean.fill_(0.5)
    expected = copy.deepcopy(layer)
    found = shard_norms(layer).train()
    x = torch.randn(4, 8, 6, 5)
    torch.testing.assert_close(found(x), expected(x))
    assert torch.equal(found.running_mean, expected.running_mean)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("wants_gradient", [True, False])
def test_group_norm_in_channels_last_survives_an_input_without_gradient(dtype, wants_gradient):
    model = SingleRuntime("float32", device="cpu").prepare(nn.Sequential(nn.GroupNorm(4, 8)))
    plain = nn.GroupNorm(4, 8)
    x = torch.randn(2, 8, 12, 10, dtype=dtype)
    last = x.contiguous(memory_format=torch.channels_last).requires_grad_(wants_gradient)
    y = model(last)
    assert y.is_contiguous(memory_format=torch.channels_last) and y.dtype == dtype
    y.float().square().sum().backward()
    plain(x).float().square().sum().backward()
    close = {"rtol": 2e-2, "atol": 2e-2} if dtype == torch.bfloat16 else {}
    torch.testing.assert_close(model[0].weight.grad, plain.weight.grad, **close)
