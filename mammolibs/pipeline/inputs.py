"""A contact sheet of what a stage's network is about to see, written at the start of its run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mammolibs.evaluate.contact_sheet import contact_sheet
from mammolibs.pipeline.run import Run
from mammolibs.storage import write_atomic
from mammolibs.stream import Stream


def write_inputs(run: Run, stage: Any, train: Stream, step: int) -> Path:
    """`inputs/<stage>.png` in the run's folder: the batch of a step, augmented as the network gets it. Returns its path."""
    batch = train.make(step)
    images = batch.images[:, 0].numpy()
    below = None
    if batch.second is not None:
        below = batch.second[:, 0].numpy()
    elif batch.hidden is not None:
        below = images * (1 - batch.hidden[:, 0].numpy())
    masks = batch.masks[:, 0].numpy() if batch.masks is not None and stage.name == "unet" else None
    path = run.folder / "inputs" / f"{stage.name}.png"
    heading = f"{stage.name}, step {step}: what the network is shown, {images.shape[2]} x {images.shape[1]} pixels"
    write_atomic(path, contact_sheet(images, below=below, masks=masks, titles=batch.ids, heading=heading))
    return path
