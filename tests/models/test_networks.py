"""Shapes, names, sizes and promises of the networks."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from mammolibs.errors import BadConfig
from mammolibs.losses import dice_bce
from mammolibs.models import Autoencoder, Decoder, Encoder, PretrainEncoder, UNet, build
from mammolibs.models.build import infer
from mammolibs.models.resnet import ResNet

SMALL = {"width": 4, "depth": 3}
SMALL_NETWORKS = [
    Autoencoder(**SMALL),
    UNet(**SMALL, head="wide"),
    UNet(in_channels=3, out_channels=2, norm="batch", **SMALL),
    PretrainEncoder(out_features=7, **SMALL),
    UNet(**SMALL, head="wide", shuffle=2),
    PretrainEncoder(out_features=7, shuffle=2, **SMALL),
    ResNet(width=4),
    ResNet(in_channels=3, width=4, norm="frozen"),
]
DATA = Path(os.environ.get("MAMMOLIBS_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def published_block(name: str, inputs: int, outputs: int) -> list[tuple]:
    """Two convolutions with batch norm, as the published checkpoints name them."""
    rows = []
    for index, channels in ((0, inputs), (3, outputs)):
        rows += [(f"{name}.{index}.weight", (outputs, channels, 3, 3)), (f"{name}.{index}.bias", (outputs,))]
        rows += [(f"{name}.{index + 1}.{entry}", (outputs,)) for entry in ("weight", "bias", "running_mean", "running_var")]
        rows += [(f"{name}.{index + 1}.num_batches_tracked", ())]
    return rows


def published(outputs: int, skips: bool) -> list[tuple]:
    widths = (1, 32, 64, 128, 256, 512)
    rows = [row for i in range(1, 6) for row in published_block(f"encoder.conv{i}", widths[i - 1], widths[i])]
    for i in (4, 3, 2, 1):
        rows += [(f"decoder.upconv{i}.weight", (widths[i + 1], widths[i], 2, 2)), (f"decoder.upconv{i}.bias", (widths[i],))]
        rows += published_block(f"decoder.conv{i}", widths[i + 1] if skips else widths[i], widths[i] if i > 1 else outputs)
    return [*rows, ("decoder.conv.weight", (outputs, outputs, 1, 1)), ("decoder.conv.bias", (outputs,))]


def entries(model: nn.Module) -> list[tuple]:
    return [(name, tuple(tensor.shape)) for name, tensor in model.state_dict().items()]


@pytest.mark.parametrize("model, outputs, skips", [(Autoencoder(norm="batch"), 1, False), (UNet(out_channels=2, norm="batch"), 2, True)])
def test_names_and_shapes_are_the_published_ones(model, outputs, skips):
    assert entries(model) == published(outputs, skips)
    assert len(entries(model)) == 136


@pytest.mark.parametrize("name, model", [("Autoencoder", Autoencoder(norm="batch")), ("UNet", UNet(out_channels=2, norm="batch"))])
def test_names_shapes_and_types_are_those_of_the_listing(name, model):
    listing = DATA.parent / "upstream_state_dicts.json"
    if not listing.exists():
        pytest.skip(f"{listing} is absent")
    expected = json.loads(listing.read_text())["models"][name]["state_dict"]
    own = [[key, list(tensor.shape), str(tensor.dtype).removeprefix("torch.")] for key, tensor in model.state_dict().items()]
    assert own == expected


def test_sizes_are_the_published_ones():
    count = lambda model: sum(p.numel() for p in model.parameters())  # noqa: E731
    assert count(UNet()) == 7_738_129
    assert count(UNet(out_channels=2)) == 7_738_742
    assert count(Autoencoder()) == 6_963_697
    assert count(Encoder()) == 4_715_616
    assert count(UNet(width=16)) < count(UNet()) / 3.9


def test_resnet_gives_what_torchvision_gives():
    torchvision = pytest.importorskip("torchvision")
    reference = torchvision.models.resnet18(num_classes=1).eval()
    own = ResNet(in_channels=3, norm="batch").eval()
    assert entries(own) == entries(reference)
    own.load_state_dict(reference.state_dict())
    images = torch.rand(2, 3, 40, 40)
    with torch.no_grad():
        assert torch.allclose(own(images), reference(images), atol=1e-5)


@pytest.mark.parametrize("norm", ["group", "batch"])
@pytest.mark.parametrize("depth, width, outputs", [(2, 3, 1), (4, 2, 3)])
def test_every_argument_of_the_u_shaped_networks_is_honoured(norm, depth, width, outputs):
    for kind in (Autoencoder, UNet):
        model = kind(in_channels=2, out_channels=outputs, width=width, depth=depth, norm=norm)
        assert model(torch.rand(2, 2, 16, 24)).shape == (2, outputs, 16, 24)
        norms = {type(m) for m in model.modules() if isinstance(m, (nn.GroupNorm, nn.BatchNorm2d))}
        assert all(issubclass(n, nn.GroupNorm if norm == "group" else nn.BatchNorm2d) for n in norms) and norms
        assert model.encoder.conv1[0].out_channels == width


def test_encoder_gives_features_of_every_level():
    features = Encoder(width=4, depth=3)(torch.rand(2, 1, 8, 12))
    assert [tuple(f.shape) for f in features] == [(2, 4, 8, 12), (2, 8, 4, 6), (2, 16, 2, 3)]
    assert Decoder(width=4, depth=3)(features).shape == (2, 1, 8, 12)


def test_pretrain_encoder_embeds_any_size():
    model = PretrainEncoder(width=4, depth=3, out_features=5)
    assert model(torch.rand(2, 1, 8, 16)).shape == (2, 5)
    assert model.embed(torch.rand(2, 1, 24, 8)).shape == (2, 16)


def test_frozen_statistics_stay_while_training():
    model = ResNet(width=4, norm="frozen").train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model(torch.rand(2, 1, 32, 32) + 3).sum().backward()
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert model.bn1.weight.grad is not None


@pytest.mark.parametrize("model", SMALL_NETWORKS, ids=lambda m: str(m.architecture["name"]))
def test_gradients_are_finite_and_reach_every_parameter(model):
    model.train()
    model.zero_grad()
    images = torch.rand(4, model.architecture["in_channels"], 32, 32)
    # In the plain layout: torch 2.9's backward pass of a 1x1 convolution with stride 2 corrupts memory at 4 channels in channels_last (docs/log.md).
    model(images).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("model", SMALL_NETWORKS, ids=lambda m: str(m.architecture["name"]))
def test_bf16_layout_and_single_images_agree(model):
    model.eval()
    images = torch.rand(3, model.architecture["in_channels"], 32, 32)
    with torch.no_grad():
        whole = model(images)
        assert whole.dtype == torch.float32
        assert torch.allclose(model(images.to(memory_format=torch.channels_last)), whole, atol=1e-5)
        assert torch.allclose(torch.cat([model(image[None]) for image in images]), whole, atol=1e-5)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = model(images)
    assert half.isfinite().all()
    assert (half.float() - whole).abs().max() < 0.1 * whole.abs().max().clamp_min(1)


@pytest.mark.parametrize("model", [m for m in SMALL_NETWORKS if hasattr(m, "predict_proba")], ids=lambda m: str(m.architecture["name"]))
def test_forward_gives_logits_and_predict_proba_their_sigmoid(model):
    model.eval()
    images = 5 * torch.randn(2, model.architecture["in_channels"], 32, 32)
    with torch.no_grad():
        probability = model.predict_proba(images)
        assert torch.equal(probability, model(images).sigmoid())
    assert probability.dtype == torch.float32 and probability.min() >= 0 and probability.max() <= 1


@pytest.mark.parametrize("model", SMALL_NETWORKS, ids=lambda m: str(m.architecture["name"]))
def test_build_makes_the_same_network_from_its_description(model):
    again = build(json.loads(json.dumps(model.architecture)))
    assert type(again) is type(model) and again.architecture == model.architecture
    assert entries(again) == entries(model)


@pytest.mark.parametrize(
    "size, nearest",
    [((250, 256), "256 x 256"), ((96, 100), "96 x 96"), ((104, 88), "112 x 96"), ((3, 16), "16 x 16")],
)
def test_a_size_that_does_not_fit_names_the_nearest(size, nearest):
    for model in (UNet(width=1), Autoencoder(width=1), PretrainEncoder(width=1)):
        with pytest.raises(BadConfig, match=f"divisible by 16; the nearest size is {nearest}"):
            model(torch.rand(1, 1, *size))


def test_shuffled_networks_are_plain_ones_between_space_and_depth():
    model, images = UNet(in_channels=2, out_channels=3, head="wide", shuffle=2, **SMALL).eval(), torch.rand(2, 2, 32, 48)
    inner = UNet(in_channels=8, out_channels=12, head="wide", **SMALL).eval()
    inner.load_state_dict(model.state_dict())
    with torch.no_grad():
        expected = nn.functional.pixel_shuffle(inner(nn.functional.pixel_unshuffle(images, 2)), 2)
        assert torch.equal(model(images), expected) and expected.shape == (2, 3, 32, 48)
    grey = UNet(head="wide", shuffle=2, width=8, depth=3)
    assert infer(grey.state_dict()) == grey.architecture
    with pytest.raises(BadConfig, match="divisible by 8; the nearest size is 32 x 40"):
        model(torch.rand(1, 2, 32, 42))


def test_bad_arguments_say_what_is_allowed():
    with pytest.raises(BadConfig, match="norm is 'layer', allowed are group, batch"):
        UNet(norm="layer")
    with pytest.raises(BadConfig, match="depth is 1, expected a whole number of at least 2"):
        UNet(depth=1)
    with pytest.raises(BadConfig, match="head is 'big', allowed are narrow, wide"):
        UNet(head="big")
    with pytest.raises(BadConfig, match="width is 1.5"):
        ResNet(width=1.5)
    with pytest.raises(BadConfig, match="takes 1 channel.*3"):
        UNet(width=2)(torch.rand(1, 3, 16, 16))
    with pytest.raises(BadConfig, match="takes 1 channel"):
        ResNet(width=2)(torch.rand(1, 3, 16, 16))
    with pytest.raises(BadConfig, match="expected batch, channels, height, width"):
        UNet(width=2)(torch.rand(16, 16))
    with pytest.raises(BadConfig, match="VGG.*allowed are Autoencoder"):
        build({"name": "VGG"})
    with pytest.raises(BadConfig, match="UNet.filters=3. cannot be built"):
        build({"name": "UNet", "filters": 3})


@pytest.mark.parametrize("norm, head", [("group", "narrow"), ("batch", "narrow"), ("group", "wide")])
def test_a_few_steps_learn_from_any_seed(norm, head):
    """As published, a random factor on one rectified channel: some seeds then learn nothing."""
    images, masks = torch.rand(4, 1, 16, 16) * 0.2, torch.zeros(4, 1, 16, 16)
    masks[::2, :, 5:9, 6:10] = 1
    for seed in range(2):
        torch.manual_seed(seed)
        model = UNet(width=4, depth=2, norm=norm, head=head)
        assert 0.02 < model.predict_proba(images).median() < 0.2
        optimizer = torch.optim.Adam(model.parameters(), 0.02)
        for _ in range(40):
            loss = dice_bce(model(images + 0.5 * masks), masks, torch.ones(4), torch.ones(4))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert loss < 0.15, f"seed {seed}: {loss.item():.3f}"
