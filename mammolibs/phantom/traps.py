"""The field's traps, planted on purpose, and the validator's complaints that each explains."""

from __future__ import annotations

TRAPS: dict[str, tuple[str, ...]] = {
    "monochrome1": (),
    "several_windows": (),
    "no_window": ("Element=<VOILUTSequence>", "Element=<WindowCenter>"),
    "voi_lut": (),
    "sigmoid": (),
    "bits_16": (),
    "signed": ("<Pixel Representation>",),
    "no_spacing": ("Element=<ImagerPixelSpacing>",),
    "no_view_position": (),
    "view_in_description": ("Element=<ViewCodeSequence>",),
    "padding": (),
    "compressed": (),
    "marker": (),
    "implant": (),
    "for_processing": (),
}
"""Name -> parts of the error lines that dciodvfy may print for a file with this trap."""


def allowed_errors(traps: tuple[str, ...]) -> tuple[str, ...]:
    """What dciodvfy may say of a file with these traps."""
    return tuple(dict.fromkeys(part for trap in traps for part in TRAPS[trap]))
