"""A preset so small that the whole pipeline is a test."""

from mammolibs.pipeline.presets import PRESETS, Preset, StagePreset

STAGES = ("encoder", "autoencoder", "unet", "patches", "resnet")
TINY = Preset(
    canvas=(64, 48), width=4, depth=3, norm="group", shuffle=2, patch_px=32, patch_mm=40.0,
    stages={name: StagePreset(batch=8, learning_rate=1e-3, steps_per_it=2) for name in STAGES},
)  # fmt: skip


def install() -> Preset:
    """Put it in the place of the cpu preset; returns what was there."""
    kept = PRESETS["cpu"]
    PRESETS["cpu"] = TINY
    return kept
