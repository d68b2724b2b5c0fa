"""One step's batch: read, augment and stack the samples. The work that loader workers do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from mammolibs.augment import Augment, augment_pair, generator, hidden_blocks, two_views
from mammolibs.records import Batch, Sample
from mammolibs.shards import Order, ShardIndex, read_sample
from mammolibs.storage import Store

LESION, BREAST = np.uint8(1), np.uint8(2)
ARRAYS_OF_VIEWS = {
    "one": ("image", "mask", "breast"),
    "two": ("image", "second"),
    "masked": ("image", "mask", "breast", "hidden"),
}
VIEWS = tuple(ARRAYS_OF_VIEWS)
MODES = ("train", "evaluate")


@dataclass(kw_only=True)
class SampleCache:
    """Decoded samples in memory, up to `limit_bytes`.

    The first ones that fit stay: every row comes once per pass in random order, where
    keeping some serves a fixed share of the reads and evicting the oldest serves fewer.
    """

    limit_bytes: int
    used_bytes: int = 0
    samples: dict[int, Sample] = field(default_factory=dict)

    def get(self, store: Store, index: ShardIndex, row: int) -> Sample:
        """The sample of a row, from memory or from the store. Raises BadFile like `read_sample`."""
        if row in self.samples:
            return self.samples[row]
        sample = read_sample(store, index, row)
        size = sample.image.nbytes + (0 if sample.mask is None else sample.mask.nbytes)
        if self.used_bytes + size <= self.limit_bytes:
            self.samples[row] = sample
            self.used_bytes += size
        return sample


@dataclass(kw_only=True)
class BatchMaker:
    """Makes the batch of a step. Holds no open file, so that it travels to worker processes.

    order is None in evaluation: rows 0 .. rows - 1 in turn, randomness as of step 0, so that
    an image is judged alike in every batch it may stand in.
    """

    store: Store
    index: ShardIndex
    order: Order | None
    rows: int
    global_batch: int
    hosts: int
    host: int
    seed: int
    augment: Augment | None
    views: str
    hidden_share: float
    hidden_block: int
    cache: SampleCache

    def rows_of(self, step: int) -> np.ndarray:
        """int64 array: this host's rows of a step; ~row (negative) is padding with that row's image."""
        if self.order is not None:
            return self.order.step(step, self.global_batch, hosts=self.hosts, host=self.host)
        rows = step * self.global_batch + np.arange(self.host, self.global_batch, self.hosts)
        return np.where(rows < self.rows, rows, ~np.int64(self.rows - 1))

    def __call__(self, step: int) -> Batch:
        """The batch of a step. Raises BadFile where a sample cannot be read."""
        rows = self.rows_of(step)
        samples = [self.cache.get(self.store, self.index, int(row if row >= 0 else ~row)) for row in rows]
        draw_step = step if self.order is not None else 0
        arrays = {name: np.zeros((len(rows), 1, *samples[0].image.shape), np.float32) for name in ARRAYS_OF_VIEWS[self.views]}
        for number, sample in enumerate(samples):
            self._fill({name: array[number, 0] for name, array in arrays.items()}, sample, draw_step)
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        real = rows >= 0
        return Batch(
            images=tensors["image"],
            second=tensors.get("second"),
            hidden=tensors.get("hidden"),
            breast=tensors.get("breast"),
            masks=tensors.get("mask"),
            mask_known=_floats([s.mask is not None or s.has_lesion == 0 for s in samples]),
            labels=_floats([s.label for s in samples]),
            weights=_floats(real),
            ids=tuple(s.image_id if r else "" for s, r in zip(samples, real, strict=True)),
            rows=tuple(int(r) if r >= 0 else -1 for r in rows),
        )

    def _fill(self, planes: dict[str, np.ndarray], sample: Sample, step: int) -> None:
        """Write one sample into its float32 H W planes of the batch, which are 0 so far."""
        np.divide(sample.image, np.float32(65535), out=planes["image"], dtype=np.float32)
        # Inside the breast a sample is 1 or more, air is 0: tighter than the box in `Sample.breast`.
        breast = np.asarray(sample.image) > 0
        if self.augment is None:
            planes["breast"][:] = breast
            if sample.mask is not None:
                planes["mask"][:] = sample.mask
        if self.augment is None and self.views != "masked":
            return

        rng = generator(self.seed, step, sample.image_id)
        if self.views == "two":
            planes["image"][:], planes["second"][:] = two_views(planes["image"], rng, self.augment)
            return
        if self.augment is not None:
            # Lesion and breast travel as two bits, so that one warp carries both.
            regions = breast * BREAST
            if sample.mask is not None:
                regions |= sample.mask * LESION
            planes["image"][:], regions = augment_pair(planes["image"], regions, rng, self.augment)
            planes["breast"][:] = (regions & BREAST) != 0
            planes["mask"][:] = (regions & LESION) != 0
        if self.views == "masked":
            blocks = hidden_blocks(sample.image.shape, rng, self.hidden_share, self.hidden_block)
            planes["hidden"][:] = blocks * planes["breast"]


def _floats(values: Any) -> torch.Tensor:
    return torch.tensor(np.asarray(values, np.float32))
