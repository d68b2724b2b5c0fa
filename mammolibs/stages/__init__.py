"""One file per stage: model, loss, figures to choose by. Nothing else differs between them."""

from mammolibs.stages.autoencoder import AutoencoderStage
from mammolibs.stages.encoder import EncoderStage
from mammolibs.stages.resnet import PatchStage
from mammolibs.stages.unet import UNetStage

__all__ = ["AutoencoderStage", "EncoderStage", "PatchStage", "UNetStage"]
