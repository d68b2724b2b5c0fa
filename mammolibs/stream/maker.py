"""One step's batch: read, augment and stack the samples. The work that loader workers do."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mammolibs.augment import Augment, augment_pair, generator, hidden_blocks, two_views
from mammolibs.records import Batch, Sample
from mammolibs.shards import Order, ShardIndex, read_sample
from mammolibs.storage import Store
from mammolibs.stream.packed import BITS_OF_VIEWS, BREAST, HIDDEN, LESION, FloatPlanes, PackedBatch, PackedPlanes, scaled

VIEWS = tuple(BITS_OF_VIEWS)
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

    packed: batches are for another process. order is None in evaluation: rows 0 .. rows - 1 in turn, randomness as of step 0, so that
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
    packed: bool = False

    def rows_of(self, step: int) -> np.ndarray:
        """int64 array: this host's rows of a step; ~row (negative) is padding with that row's image."""
        if self.order is not None:
            return self.order.step(step, self.global_batch, hosts=self.hosts, host=self.host)
        rows = step * self.global_batch + np.arange(self.host, self.global_batch, self.hosts)
        return np.where(rows < self.rows, rows, ~np.int64(self.rows - 1))

    def __call__(self, step: int) -> Batch | PackedBatch:
        """The batch of a step, `packed` or not. Raises BadFile where a sample cannot be read."""
        rows = self.rows_of(step)
        numbers, chosen = self.index.numbers, np.where(rows >= 0, rows, ~rows)
        shape = (int(numbers["height"][chosen[0]]), int(numbers["width"][chosen[0]]))
        draw_step, real = step if self.order is not None else 0, rows >= 0
        if self.packed:
            planes = PackedPlanes(len(rows), shape, self.views, augmented=self.augment is not None)
        else:
            planes = FloatPlanes(len(rows), shape, self.views)
        mask_known = np.zeros(len(rows), np.float32)
        # One by one, so that what is read of one image is still in the processor's cache when its planes are filled.
        for number, row in enumerate(chosen.tolist()):
            sample = self.cache.get(self.store, self.index, row)
            planes.put(number, *self._views(sample, generator(self.seed, draw_step, sample.image_id)))
            mask_known[number] = sample.mask is not None or sample.has_lesion == 0
        return planes.batch(
            mask_known=mask_known,
            labels=numbers["label"][chosen].astype(np.float32),
            weights=real.astype(np.float32),
            ids=tuple(self.index.image_ids[row] if r else "" for row, r in zip(chosen.tolist(), real, strict=True)),
            rows=tuple(np.where(real, rows, -1).tolist()),
        )

    def _views(self, sample: Sample, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """A sample's image, second image and regions, as `FloatPlanes.put` takes them."""
        if self.views == "two":
            return *two_views(scaled(sample.image), rng, self.augment), None
        # Inside the breast a sample is 1 or more, air is 0: tighter than the box in `Sample.breast`. True is the bit BREAST.
        image, regions = sample.image, (sample.image > 0).view(np.uint8)
        if sample.mask is not None:
            regions |= sample.mask * LESION
        if self.augment is not None:
            # As bits of one plane, so that one warp carries both.
            image, regions = augment_pair(scaled(image), regions, rng, self.augment)
        if self.views == "masked":
            blocks = hidden_blocks(image.shape, rng, self.hidden_share, self.hidden_block)
            regions = regions | (blocks > 0) * (regions & BREAST) * HIDDEN
        return image, None, regions
