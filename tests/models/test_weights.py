"""Weights on disk, from stage to stage, and back as a network."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from mammolibs import MMmodels, MMutils
from mammolibs.errors import BadFile, BadWeights
from mammolibs.models import Autoencoder, PretrainEncoder, UNet, from_run, infer, load_model, load_weights, save_weights, transfer
from mammolibs.models.resnet import ResNet
from mammolibs.records import Estimate, RunCard

SMALL = {"width": 4, "depth": 3}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def card_of(model, **changes) -> RunCard:
    facts = {
        "stage": "unet", "iteration": 3, "steps": 30, "architecture": model.architecture, "contract": {"height": 256},
        "contract_hash": "c", "data_hash": "d", "split_hash": "s", "seed": 0,
    }  # fmt: skip
    return RunCard(**{**facts, **changes})


def same(left, right) -> bool:
    return list(left) == list(right) and all(torch.equal(left[n], right[n]) and left[n].dtype == right[n].dtype for n in left)


def published_pretrain_encoder():
    """A small likeness of a published pretraining checkpoint: encoder and a head of its own."""
    state = {n: t for n, t in Autoencoder(norm="batch").state_dict().items() if n.startswith("encoder.")}
    head = {"fc1.1": (8, 4), "fc2.1": (8, 8), "fc3": (2, 8)}
    return state | {
        f"{name}.{part}": torch.zeros(shape[: 2 if part == "weight" else 1]) for name, shape in head.items() for part in ("weight", "bias")
    }


def test_three_files_hold_the_same_tensors_and_the_card(tmp_path):
    model = UNet(norm="batch", **SMALL).to(memory_format=torch.channels_last)
    card = card_of(model, metrics={"dice": Estimate(value=0.5, low=0.4, high=0.6, n=9), "loss": 0.25}, data_licences=("CC BY 4.0",))
    pth, tensors, json_path = save_weights(tmp_path / "run" / "model_iter_3", model.state_dict(), card)
    assert [p.name for p in (pth, tensors, json_path)] == ["model_iter_3.pth", "model_iter_3.safetensors", "model_iter_3.json"]
    plain = torch.load(pth, weights_only=True)
    assert type(plain) is dict and same(plain, model.state_dict())
    for path in (pth, tensors):
        state, read = load_weights(path)
        assert same({n: state[n] for n in plain}, plain) and len(state) == len(plain)
        assert read == replace(card, weights_sha256=hashlib.sha256(tensors.read_bytes()).hexdigest())


def test_saving_leaves_the_network_alone_and_repeats_to_the_byte(tmp_path):
    model = Autoencoder(**SMALL)
    parameter = model.encoder.conv1[0].weight
    first = [p.read_bytes() for p in save_weights(tmp_path / "a" / "w", model.state_dict(), card_of(model))]
    second = [p.read_bytes() for p in save_weights(tmp_path / "b" / "w", model.state_dict(), card_of(model))]
    assert first == second
    assert model.encoder.conv1[0].weight is parameter
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    model(torch.rand(1, 1, 8, 8)).sum().backward()
    before = parameter.detach().clone()
    optimizer.step()
    assert not torch.equal(before, model.state_dict()["encoder.conv1.0.weight"])
    assert torch.equal(load_weights(tmp_path / "a" / "w.pth")[0]["encoder.conv1.0.weight"], before)


def test_a_figure_that_is_not_finite_is_null(tmp_path):
    model = Autoencoder(**SMALL)
    paths = save_weights(tmp_path / "w", model.state_dict(), card_of(model, metrics={"auc": float("nan")}))
    assert json.loads(paths[2].read_text())["metrics"] == {"auc": None}


def test_published_autoencoder_into_unet_loads_119_of_136(tmp_path, capsys):
    source, target = Autoencoder(norm="batch"), UNet(out_channels=2, norm="batch")
    torch.save(source.state_dict(), tmp_path / "model_iter_60.pth")
    kept = target.state_dict()["decoder.conv4.0.weight"].clone()
    report = load_model(target, tmp_path / "model_iter_60.pth")
    assert len(report.loaded) == 119 and len(report.missing) == 0 and len(report.reshaped) == 17 and len(report.unused) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 1 and "model_iter_60.pth: loaded 119 of 136 tensors; of another shape 17 (decoder.conv4.0.weight" in printed[0]
    assert same({n: target.state_dict()[n] for n in report.loaded}, {n: source.state_dict()[n] for n in report.loaded})
    assert torch.equal(target.state_dict()["decoder.conv4.0.weight"], kept)
    assert sum(source.state_dict()[n].numel() for n in report.loaded) == 6_195_026


def test_published_pretraining_into_autoencoder_loads_70(tmp_path):
    torch.save(published_pretrain_encoder(), tmp_path / "model_iter_5.pth")
    report = load_model(Autoencoder(norm="batch"), tmp_path / "model_iter_5.pth")
    assert (len(report.loaded), len(report.missing), len(report.unused)) == (70, 66, 6)


def test_the_chain_of_our_stages_transfers():
    pretrained, autoencoder = PretrainEncoder(**SMALL), Autoencoder(**SMALL)
    report = transfer(autoencoder, pretrained.state_dict(), expected_missing=("decoder.",))
    assert len(report.loaded) == sum(n.startswith("encoder.") for n in autoencoder.state_dict())
    assert str(report).startswith(f"loaded {len(report.loaded)} of {len(autoencoder.state_dict())} tensors; missing")
    images = torch.rand(1, 1, 8, 8)
    assert torch.equal(autoencoder.encoder(images)[-1], pretrained.encoder(images)[-1])


def test_anything_missing_that_nobody_expects_is_an_error_and_changes_nothing():
    model, state = UNet(**SMALL), UNet(**SMALL).state_dict()
    before = {n: t.clone() for n, t in model.state_dict().items()}
    del state["encoder.conv2.0.weight"]
    with pytest.raises(BadWeights, match=r"missing 1 \(encoder.conv2.0.weight\)"):
        transfer(model, state, expected_missing=("decoder.",))
    with pytest.raises(BadWeights, match="loaded 0 of"):
        transfer(model, {"other": torch.zeros(1)}, expected_missing=("encoder.", "decoder."))
    assert same(before, model.state_dict())


def test_another_architecture_names_both(tmp_path):
    narrow, broad = UNet(width=2, depth=3), UNet(width=4, depth=3)
    paths = save_weights(tmp_path / "w", narrow.state_dict(), card_of(narrow))
    with pytest.raises(BadWeights, match=r"w.pth: weights of UNet\(.*width=2.*do not fit UNet\(.*width=4") as caught:
        load_model(broad, paths[0])
    assert len(str(caught.value)) < 600 and "\n" not in str(caught.value)
    with pytest.raises(BadWeights, match=r"weights of UNet\(.*do not fit ResNet\("):
        load_model(ResNet(width=4), paths[1])


def test_batch_norms_weights_do_not_slip_into_group_norm():
    with pytest.raises(BadWeights, match="norm='batch'.*do not fit.*norm='group'.*statistics have no place"):
        transfer(UNet(**SMALL), UNet(norm="batch", **SMALL).state_dict())
    with pytest.raises(BadWeights, match="missing"):
        transfer(UNet(norm="batch", **SMALL), UNet(**SMALL).state_dict())


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 broken", bytes(range(256)) * 8])
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_damaged_files_are_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadFile, match=f"{name}: is damaged or no .*; restore it") as caught:
        load_weights(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_every_cut_and_flipped_file_is_refused_or_whole(tmp_path, name):
    model = Autoencoder(width=1, depth=2)
    save_weights(tmp_path / "w", model.state_dict(), card_of(model))
    data = (tmp_path / name).read_bytes()
    for cut in range(0, len(data), max(1, len(data) // 40)):
        (tmp_path / name).write_bytes(data[:cut])
        with pytest.raises((BadFile, BadWeights)):
            load_weights(tmp_path / name)
    if name == "w.safetensors":
        (tmp_path / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        with pytest.raises(BadWeights, match="is not the file that w.json describes"):
            load_weights(tmp_path / name)


def test_foreign_files_are_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "was-executed"),)

    torch.save({"epoch": 3, "model": {"a": torch.zeros(1)}}, tmp_path / "checkpoint.pth")
    with pytest.raises(BadWeights, match="checkpoint.pth: holds something other than named tensors"):
        load_weights(tmp_path / "checkpoint.pth")
    torch.save(Evil(), tmp_path / "evil.pth")
    with pytest.raises(BadFile, match="evil.pth"):
        load_weights(tmp_path / "evil.pth")
    assert not (tmp_path / "was-executed").exists()
    with pytest.raises(BadFile, match="nowhere.pth: cannot be read"):
        load_weights(tmp_path / "nowhere.pth")
    (tmp_path / "w.txt").write_text("hello")
    with pytest.raises(BadFile, match="is no weight file by its name"):
        load_weights(tmp_path / "w.txt")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"stage": 1, "other": 2}', "null"])
def test_a_damaged_card_is_named(tmp_path, text):
    model = Autoencoder(width=1, depth=2)
    paths = save_weights(tmp_path / "w", model.state_dict(), card_of(model))
    paths[2].write_text(text)
    with pytest.raises(BadFile, match="w.json: is no card of a weight file"):
        load_weights(paths[1])


def test_an_unwritable_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    model = Autoencoder(width=1, depth=2)
    with pytest.raises(BadFile, match="cannot be written"):
        save_weights(tmp_path / "file" / "w", model.state_dict(), card_of(model))


@pytest.fixture
def stage(tmp_path):
    """A stage's folder with iterations 1 and 10, the first of them best."""
    for iteration in (1, 10):
        model = UNet(width=2 + iteration, depth=3, norm="batch")
        save_weights(tmp_path / f"model_iter_{iteration}", model.state_dict(), card_of(model, iteration=iteration))
    (tmp_path / "best.json").write_text('{"iteration": 1}')
    return tmp_path


def test_from_run_gives_the_network_of_the_card(stage):
    assert from_run(stage).architecture["width"] == 3
    assert from_run(stage, "last").architecture["width"] == 12
    assert from_run(stage, 10).architecture["width"] == 12
    model = from_run(stage / "model_iter_10.pth")
    assert not any(module.training for module in model.modules())
    assert same(model.state_dict(), load_weights(stage / "model_iter_10.pth")[0])


def test_from_run_says_what_is_missing(stage):
    with pytest.raises(BadFile, match="holds no iteration 7; there are 1, 10"):
        from_run(stage, 7)
    (stage / "best.json").write_text('{"iteration": 5}')
    with pytest.raises(BadFile, match="holds no iteration 5; there are 1, 10"):
        from_run(stage)
    (stage / "best.json").write_text("half")
    with pytest.raises(BadFile, match="best.json: cannot be read.*there are 1, 10"):
        from_run(stage)
    (stage / "best.json").unlink()
    with pytest.raises(BadFile, match="best.json: is not there"):
        from_run(stage)
    (stage / "empty").mkdir()
    with pytest.raises(BadFile, match="holds no trained weights"):
        from_run(stage / "empty")
    with pytest.raises(BadFile, match="is no folder of a trained stage"):
        from_run(stage / "nowhere")


def test_from_run_refuses_weights_of_another_network_than_the_card_says(stage):
    other = Autoencoder(width=3, depth=3, norm="batch")
    save_weights(stage / "model_iter_1", other.state_dict(), card_of(UNet(width=3, depth=3, norm="batch")))
    with pytest.raises(BadWeights, match=r"model_iter_1.safetensors: weights of Autoencoder\(.*do not fit UNet\("):
        from_run(stage)


@pytest.mark.parametrize(
    "model",
    [
        UNet(out_channels=2, norm="batch", **SMALL), UNet(head="wide", **SMALL), Autoencoder(in_channels=3, **SMALL),
        PretrainEncoder(out_features=9, **SMALL), ResNet(width=4), ResNet(in_channels=3, width=4, norm="batch"),
    ],
    ids=lambda m: str(m.architecture["name"]),
)  # fmt: skip
def test_a_bare_state_dict_is_known_by_its_tensors(tmp_path, model):
    torch.save(model.state_dict(), tmp_path / "bare.pth")
    assert from_run(tmp_path / "bare.pth").architecture == model.architecture


def test_bare_tensors_of_no_network_of_ours_are_refused(tmp_path):
    torch.save({"weight": torch.zeros(2)}, tmp_path / "bare.pth")
    with pytest.raises(BadWeights, match="belongs to no network of mammolibs"):
        from_run(tmp_path / "bare.pth")
    torch.save(published_pretrain_encoder(), tmp_path / "bare.pth")
    with pytest.raises(BadWeights, match="head of another make; load_model"):
        from_run(tmp_path / "bare.pth")


def test_torchvisions_resnet_loads_with_its_stem_summed(tmp_path, capsys):
    torchvision = pytest.importorskip("torchvision")
    reference = torchvision.models.resnet18().eval()
    torch.save(reference.state_dict(), tmp_path / "resnet18.pth")
    assert infer(reference.state_dict()) == {"name": "ResNet", "in_channels": 3, "width": 64, "norm": "batch", "classes": 1000}
    model = ResNet(norm="batch").eval()
    report = load_model(model, tmp_path / "resnet18.pth")
    assert (len(report.loaded), report.reshaped) == (120, ("fc.weight", "fc.bias"))
    assert "stem summed from 3 channels to 1" in capsys.readouterr().out
    reference.fc, images = model.fc, torch.rand(2, 1, 40, 40)
    with torch.no_grad():
        assert torch.allclose(model(images), reference(images.expand(-1, 3, -1, -1)), atol=1e-4)
    with pytest.raises(BadWeights, match="statistics have no place"):
        load_model(ResNet(), tmp_path / "resnet18.pth")
    with pytest.raises(BadWeights, match="classes=1000.*head of another make"):
        from_run(tmp_path / "resnet18.pth")


def test_the_doors_load_no_torch_until_a_name_is_touched():
    program = "import sys, mammolibs.MMmodels, mammolibs.MMutils; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


@pytest.mark.parametrize("door", [MMmodels, MMutils])
def test_the_doors_hold_what_they_promise(door):
    assert dir(door) == door.__all__ and all(getattr(door, name) for name in door.__all__)
    with pytest.raises(AttributeError, match="no attribute 'VGG'"):
        door.VGG  # noqa: B018
