"""Pictures of what a self-supervised stage sees and makes of it."""

from __future__ import annotations

import numpy as np
import torch

from mammolibs.augment import Augment
from mammolibs.evaluate.panels import panel_plot
from mammolibs.models import from_run
from mammolibs.pipeline.run import Run
from mammolibs.pipeline.train_stage import make_stage
from mammolibs.runtime import Runtime
from mammolibs.stream import Stream


def pretraining_plot(run: Run, name: str, runtime: Runtime, iteration: int | str, count: int) -> bytes:
    """A PNG with one row per sample. encoder: the two views and how alike they are among the
    samples. autoencoder: the image, what was shown of it, what was made of that."""
    stage = make_stage(name, run)
    model = runtime.prepare(from_run(run.stage(name), iteration)).eval()
    stream = Stream(
        run.shards("test"),
        global_batch=count * runtime.world,
        mode="evaluate",
        seed=run.settings.seed,
        views=stage.views,
        augment=Augment() if stage.views == "two" else None,
    )
    batch = next(iter(runtime.feed(stream.batches(0, 1))))
    with torch.no_grad(), runtime.autocast():
        if name == "encoder":
            first, second = (runtime.to_host(model(view).float()) for view in (batch.images, batch.second))
            likeness = (torch.nn.functional.normalize(first) @ torch.nn.functional.normalize(second).T).numpy()
            columns = {"first view": batch.images, "second view": batch.second}
            notes = [f"likeness {likeness[i, i]:.2f}, next best {np.delete(likeness[i], i).max(initial=-1):.2f}" for i in range(count)]
        else:
            shown = batch.images * (1 - batch.hidden)
            columns = {"image": batch.images, "shown": shown, "reconstructed": torch.sigmoid(model(shown).float())}
            notes = list(batch.ids[:count])
    pictures = {title: runtime.to_host(t).float().numpy()[:count, 0] for title, t in columns.items()}
    known = [i for i in range(min(count, len(batch.rows))) if batch.rows[i] >= 0]
    return panel_plot({title: values[known] for title, values in pictures.items()}, [notes[i] for i in known])
