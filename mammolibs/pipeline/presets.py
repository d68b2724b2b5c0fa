"""Sizes that belong together: what one machine can train in the time that a user grants it."""

from __future__ import annotations

from dataclasses import dataclass

from mammolibs.errors import BadConfig
from mammolibs.prepare import Contract

STAGES = ("encoder", "autoencoder", "unet", "patches", "resnet")


@dataclass(frozen=True, kw_only=True)
class StagePreset:
    """batch: rows of the global batch. steps_per_it: None is one pass over the training rows."""

    batch: int
    learning_rate: float
    steps_per_it: int | None = None


@dataclass(frozen=True, kw_only=True)
class Preset:
    """canvas: height, width in pixels. patch_px: side of a patch after scaling; patch_mm: before. shuffle: as in `Encoder`.
    norm: of encoder, autoencoder and U-Net; patch_norm: of the ResNet.
    """

    canvas: tuple[int, int]
    width: int
    depth: int
    norm: str
    patch_px: int
    patch_mm: float
    stages: dict[str, StagePreset]
    shuffle: int = 1
    patch_norm: str = "group"


PRESETS = {
    "cpu": Preset(
        canvas=(256, 160),
        width=16,
        depth=5,
        # Groups of 16 channels are one group where there are 16: it learns more slowly than batch norm (docs/log.md).
        norm="batch",
        patch_px=96,
        patch_mm=40.0,
        shuffle=2,
        stages={
            "encoder": StagePreset(batch=16, learning_rate=3e-4, steps_per_it=5),
            "autoencoder": StagePreset(batch=8, learning_rate=1e-3, steps_per_it=6),
            "unet": StagePreset(batch=8, learning_rate=2e-3, steps_per_it=35),
            "patches": StagePreset(batch=16, learning_rate=5e-4, steps_per_it=5),
            "resnet": StagePreset(batch=16, learning_rate=3e-4, steps_per_it=5),
        },
    ),
    "standard": Preset(
        canvas=(512, 320),
        width=32,
        depth=5,
        norm="group",
        patch_px=160,
        patch_mm=40.0,
        stages={
            "encoder": StagePreset(batch=64, learning_rate=5e-4),
            "autoencoder": StagePreset(batch=32, learning_rate=1e-3),
            "unet": StagePreset(batch=32, learning_rate=2e-3),
            "patches": StagePreset(batch=64, learning_rate=5e-4),
            "resnet": StagePreset(batch=64, learning_rate=3e-4),
        },
    ),
    "full": Preset(
        canvas=(1024, 640),
        width=64,
        depth=5,
        norm="group",
        patch_px=224,
        patch_mm=40.0,
        stages={
            "encoder": StagePreset(batch=128, learning_rate=1e-3),
            "autoencoder": StagePreset(batch=64, learning_rate=1e-3),
            "unet": StagePreset(batch=64, learning_rate=2e-3),
            "patches": StagePreset(batch=128, learning_rate=5e-4),
            "resnet": StagePreset(batch=128, learning_rate=3e-4),
        },
    ),
}


def preset(name: str) -> Preset:
    """The preset of that name. Raises BadConfig."""
    if name not in PRESETS:
        raise BadConfig(f"--preset {name}: allowed are {', '.join(PRESETS)}")
    return PRESETS[name]


def default_preset() -> str:
    """cpu where no accelerator is at hand, else standard."""
    from mammolibs.runtime.accelerator import has_accelerator

    return "standard" if has_accelerator() else "cpu"


def contract_of(name: str, canvas: tuple[int, int] | None = None) -> Contract:
    """How the preset of that name prepares images, on its canvas or another (height, width in pixels). Raises BadConfig."""
    sizes = preset(name)
    height, width = canvas or sizes.canvas
    return Contract(canvas_height_px=height, canvas_width_px=width, patch_size_px=sizes.patch_px, patch_mm=sizes.patch_mm)
