"""What does not come along from one network to the next although it would fit."""

import torch

from mammolibs.models import Autoencoder, UNet
from mammolibs.models.transfer import load_into


def test_a_unet_keeps_its_own_output_layer(tmp_path):
    autoencoder, unet = Autoencoder(width=4, depth=3, head="wide"), UNet(width=4, depth=3, head="wide")
    with torch.no_grad():
        autoencoder.decoder.conv.bias.fill_(0.25)
        autoencoder.decoder.conv.weight.fill_(-1.0)
    before = {name: tensor.clone() for name, tensor in unet.state_dict().items() if name.startswith("decoder.conv.")}
    torch.save(autoencoder.state_dict(), tmp_path / "a.pth")
    report = load_into(unet, tmp_path / "a.pth")
    assert all(torch.equal(unet.state_dict()[name], tensor) for name, tensor in before.items())
    assert set(before) <= set(report.missing) and "decoder.conv1.3.weight" in report.loaded
