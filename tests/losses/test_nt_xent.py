"""NT-Xent against a second implementation, and where the published one failed."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from mammolibs.errors import BadConfig
from mammolibs.losses import embedding_spread, nt_xent, retrieval_top1


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def reference(a, b, temperature):
    """Cross-entropy over the other 2N - 1 rows in float64, the row itself cut out."""
    n = len(a)
    points = F.normalize(torch.cat((a, b)).double(), dim=1)
    similarity = points @ points.T / temperature
    others = torch.stack([torch.cat((row[:i], row[i + 1 :])) for i, row in enumerate(similarity)])
    partners = torch.tensor([i + n - 1 if i < n else i - n for i in range(2 * n)])
    return F.cross_entropy(others, partners)


@pytest.mark.parametrize("temperature", [1.0, 0.5, 0.05, 0.02, 0.01])
@pytest.mark.parametrize("noise", [0.01, 0.3, 3.0])
def test_equals_the_cross_entropy_reference(temperature, noise):
    a = torch.randn(9, 16) * 7
    b = a + noise * torch.randn(9, 16)
    expected = reference(a, b, temperature).item()
    assert nt_xent(a, b, torch.ones(9), temperature=temperature).item() == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_gradient_equals_the_references():
    a, b = torch.randn(6, 8, requires_grad=True), torch.randn(6, 8)
    own = torch.autograd.grad(nt_xent(a, b, torch.ones(6), temperature=0.1), a)[0]
    expected = torch.autograd.grad(reference(a, b, 0.1), a)[0]
    assert torch.allclose(own, expected, atol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 0.01])
def test_zero_and_huge_vectors_stay_finite(temperature):
    a, b = torch.randn(4, 8), torch.randn(4, 8)
    a[1], b[2], b[3] = 0, 0, 1e15
    a.requires_grad_()
    loss = nt_xent(a, b, torch.ones(4), temperature=temperature)
    loss.backward()
    assert loss.isfinite() and a.grad.isfinite().all()
    assert nt_xent(torch.zeros(4, 8), torch.zeros(4, 8), torch.ones(4)).item() == pytest.approx(math.log(7), rel=1e-5)


def test_every_image_has_its_positive():
    points = torch.eye(5)
    good = nt_xent(points, points, torch.ones(5))
    assert 0 <= good.item() < 1e-6
    for i in range(5):
        spoilt = points.clone()
        spoilt[i] = -points[i]
        assert nt_xent(points, spoilt, torch.ones(5)).item() > good.item() + 3


def test_two_point_collapse_is_no_minimum():
    collapsed = torch.tensor([[1.0, 0.0]] + [[-1.0, 0.0]] * 7)
    loss = nt_xent(collapsed, collapsed, torch.ones(8))
    assert loss.item() == pytest.approx(14 / 16 * math.log(13), rel=1e-4)
    angles = torch.arange(8) * (2 * math.pi / 8)
    spread = torch.stack((angles.cos(), angles.sin()), dim=1)
    assert nt_xent(spread, spread, torch.ones(8)).item() < 0.2 * loss.item()


def test_padding_neither_counts_nor_repels():
    a, b = torch.randn(7, 8), torch.randn(7, 8)
    weights = torch.tensor([1.0, 1, 0, 1, 1, 0, 1])
    kept = weights > 0
    expected = nt_xent(a[kept], b[kept], torch.ones(5))
    a[~kept], b[~kept] = 1e6, -1e6
    a.requires_grad_()
    loss = nt_xent(a, b, weights)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    assert a.grad[~kept].abs().max() == 0
    assert nt_xent(a, b, torch.zeros(7)).item() == 0
    assert nt_xent(a[:1], b[:1], torch.ones(1)).item() == pytest.approx(0, abs=1e-5)


def test_rows_of_other_hosts_are_negatives():
    a, b, weights = torch.randn(8, 4), torch.randn(8, 4), torch.ones(8)
    parts = {4: iter((a, b, weights))}
    joined = nt_xent(a[:4], b[:4], weights[:4], global_cat=lambda part: next(parts[len(part)]))
    assert joined.item() == pytest.approx(nt_xent(a, b, weights).item(), rel=1e-6)
    assert joined.item() != pytest.approx(nt_xent(a[:4], b[:4], weights[:4]).item(), rel=1e-2)


def test_bf16_embeddings_and_autocast_are_summed_in_float32():
    a, b = torch.randn(8, 16), torch.randn(8, 16)
    expected = nt_xent(a.bfloat16().float(), b.bfloat16().float(), torch.ones(8), temperature=0.01)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = nt_xent(a.bfloat16(), b.bfloat16(), torch.ones(8), temperature=0.01)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_bad_arguments_are_named():
    points = torch.randn(4, 8)
    with pytest.raises(BadConfig, match="temperature is 0"):
        nt_xent(points, points, torch.ones(4), temperature=0)
    with pytest.raises(BadConfig, match=r"b has shape \(3, 8\), a has \(4, 8\)"):
        nt_xent(points, points[:3], torch.ones(4))
    with pytest.raises(BadConfig, match="one per image"):
        nt_xent(points, points, torch.ones(3))


def test_retrieval_counts_whose_own_view_is_nearest():
    a = torch.eye(4)
    b = torch.eye(4)[[0, 1, 3, 2]]
    assert retrieval_top1(a, b, torch.ones(4)).item() == 0.5
    assert retrieval_top1(a, b, torch.tensor([1.0, 1, 0, 1])).item() == pytest.approx(2 / 3)
    assert retrieval_top1(a, 5 * a, torch.ones(4)).item() == 1
    assert retrieval_top1(torch.ones(4, 3), torch.ones(4, 3), torch.ones(4)).item() == 0
    assert retrieval_top1(a, b, torch.zeros(4)).item() == 0


def test_spread_is_one_on_the_sphere_and_zero_when_collapsed():
    points = torch.randn(4000, 16)
    assert embedding_spread(points, torch.ones(4000)).item() == pytest.approx(1, abs=0.02)
    assert embedding_spread(points[:1].expand(50, -1), torch.ones(50)).item() == pytest.approx(0, abs=1e-3)
    weights = torch.cat((torch.ones(2000), torch.zeros(2000)))
    padded = torch.cat((points[:2000], torch.zeros(2000, 16)))
    assert embedding_spread(padded, weights).item() == pytest.approx(embedding_spread(points[:2000], torch.ones(2000)).item())
