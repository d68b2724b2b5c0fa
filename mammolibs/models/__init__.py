"""The networks, their weights on disk, and the way weights pass from one stage to the next."""

from mammolibs.models.build import build, infer
from mammolibs.models.networks import Autoencoder, PretrainEncoder, UNet
from mammolibs.models.parts import Decoder, Encoder
from mammolibs.models.resnet import ResNet
from mammolibs.models.runs import from_run
from mammolibs.models.transfer import TransferReport, load_model, transfer
from mammolibs.models.weights import load_weights, save_weights

__all__ = [
    "Autoencoder",
    "Decoder",
    "Encoder",
    "PretrainEncoder",
    "ResNet",
    "TransferReport",
    "UNet",
    "build",
    "from_run",
    "infer",
    "load_model",
    "load_weights",
    "save_weights",
    "transfer",
]
