"""One step's batch: read, augment and stack the samples. The work that loader workers do."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mammolibs.augment import Augment, augment_pair, generator, hidden_blocks, two_views
from mammolibs.records import Sample
from mammolibs.shards import Order, ShardIndex, read_sample
from mammolibs.storage import Store
from mammolibs.stream.packed import BREAST, HIDDEN, LESION, PackedBatch, scaled

VIEWS = ("one", "two", "masked")
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

    def __call__(self, step: int) -> PackedBatch:
        """The batch of a step. Raises BadFile where a sample cannot be read."""
        rows = self.rows_of(step)
        samples = [self.cache.get(self.store, self.index, int(row if row >= 0 else ~row)) for row in rows]
        draw_step = step if self.order is not None else 0
        views = [self._views(sample, generator(self.seed, draw_step, sample.image_id)) for sample in samples]
        real = rows >= 0
        return PackedBatch(
            images=[image for image, _, _ in views],
            second=[second for _, second, _ in views] if self.views == "two" else None,
            regions=[regions for _, _, regions in views] if self.views != "two" else None,
            hides=self.views == "masked",
            mask_known=np.array([s.mask is not None or s.has_lesion == 0 for s in samples], np.float32),
            labels=np.array([s.label for s in samples], np.float32),
            weights=real.astype(np.float32),
            ids=tuple(s.image_id if r else "" for s, r in zip(samples, real, strict=True)),
            rows=tuple(int(r) if r >= 0 else -1 for r in rows),
        )

    def _views(self, sample: Sample, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """A sample's image, second image and regions, each H W, as `PackedBatch` has them."""
        if self.views == "two":
            return *two_views(scaled(sample.image), rng, self.augment), None
        # Inside the breast a sample is 1 or more, air is 0: tighter than the box in `Sample.breast`.
        image, regions = sample.image, (sample.image > 0) * BREAST
        if sample.mask is not None:
            regions |= sample.mask * LESION
        if self.augment is not None:
            # As bits of one plane, so that one warp carries both.
            image, regions = augment_pair(scaled(image), regions, rng, self.augment)
        if self.views == "masked":
            blocks = hidden_blocks(image.shape, rng, self.hidden_share, self.hidden_block)
            regions = regions | (blocks > 0) * (regions & BREAST) * HIDDEN
        return image, None, regions
