"""One step's batch: read, augment and stack the samples. The work that loader workers do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from mammolibs.records import Batch, Sample
from mammolibs.shards import Order, ShardIndex, read_sample
from mammolibs.storage import Store

LESION, BREAST = 1, 2
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
    augment: Any
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
        planes = [self._planes(sample, draw_step) for sample in samples]
        stacked = {name: _stack([p[name] for p in planes]) for name in planes[0]}
        real = rows >= 0
        return Batch(
            images=stacked["image"],
            second=stacked.get("second"),
            hidden=stacked.get("hidden"),
            breast=stacked.get("breast"),
            masks=stacked.get("mask"),
            mask_known=_floats([s.mask is not None or s.has_lesion == 0 for s in samples]),
            labels=_floats([s.label for s in samples]),
            weights=_floats(real),
            ids=tuple(s.image_id if r else "" for s, r in zip(samples, real, strict=True)),
            rows=tuple(int(r) if r >= 0 else -1 for r in rows),
        )

    def _planes(self, sample: Sample, step: int) -> dict[str, np.ndarray]:
        """float32 H W arrays of one sample, by their place in the batch."""
        image = np.divide(sample.image, np.float32(65535), dtype=np.float32)
        if self.augment is None and self.views != "masked":
            return {"image": image} | _regions(_regions_plane(sample))

        from mammolibs.augment import augment_pair, generator, hidden_blocks, two_views

        rng = generator(self.seed, step, sample.image_id)
        if self.views == "two":
            first, second = two_views(image, rng, self.augment)
            return {"image": first, "second": second}
        plane = _regions_plane(sample)
        if self.augment is not None:
            image, plane = augment_pair(image, plane, rng, self.augment)
        planes = {"image": image} | _regions(plane)
        if self.views == "masked":
            blocks = hidden_blocks(image.shape, rng, self.hidden_share, self.hidden_block)
            planes["hidden"] = (np.asarray(blocks) > 0) * planes["breast"]
        return planes


def _regions_plane(sample: Sample) -> np.ndarray:
    """uint8 H W: lesion and breast box as two bits, so that one warp carries both."""
    plane = np.zeros(sample.image.shape, np.uint8)
    x0, y0, x1, y1 = sample.breast
    plane[y0:y1, x0:x1] = BREAST
    if sample.mask is not None:
        plane |= sample.mask * np.uint8(LESION)
    return plane


def _regions(plane: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "mask": (plane & LESION).astype(np.float32),
        "breast": ((plane & BREAST) // BREAST).astype(np.float32),
    }


def _stack(planes: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(planes).astype(np.float32, copy=False)[:, None])


def _floats(values: Any) -> torch.Tensor:
    return torch.tensor(np.asarray(values, np.float32))
