"""The door to networks, their weights and losses. Re-exports only; torch loads when a name is first touched."""

from mammolibs.lazy import hand_on

__getattr__, __dir__, __all__ = hand_on(
    __name__,
    {
        "Autoencoder": "mammolibs.models",
        "Decoder": "mammolibs.models",
        "Encoder": "mammolibs.models",
        "PretrainEncoder": "mammolibs.models",
        "ResNet": "mammolibs.models.resnet",
        "TransferReport": "mammolibs.models",
        "UNet": "mammolibs.models",
        "build": "mammolibs.models",
        "dice_bce": "mammolibs.losses",
        "from_run": "mammolibs.models",
        "load_weights": "mammolibs.models",
        "masked_reconstruction": "mammolibs.losses",
        "nt_xent": "mammolibs.losses",
        "save_weights": "mammolibs.models",
        "transfer": "mammolibs.models",
        "weighted_bce": "mammolibs.losses",
    },
)
