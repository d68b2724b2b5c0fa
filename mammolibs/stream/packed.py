"""A batch as it travels between processes: a third of the bytes, for every page of shared memory costs the worker that fills it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mammolibs.records import Batch

LESION, BREAST, HIDDEN = np.uint8(1), np.uint8(2), np.uint8(4)
FULL_SCALE = np.float32(65535)


@dataclass(frozen=True, kw_only=True, eq=False)
class PackedBatch:
    """images: N 1 H W tensor, uint16 as stored or float32 in [0, 1]. second: float32 N 1 H W tensor, or None. regions:
    uint8 N 1 H W tensor whose bits are `LESION`, `BREAST` and, where `hides`, `HIDDEN`; None where a batch has no regions.
    mask_known, labels, weights: float32 arrays of N. The rest as in `Batch`."""

    images: torch.Tensor
    second: torch.Tensor | None
    regions: torch.Tensor | None
    hides: bool
    mask_known: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    ids: tuple[str, ...]
    rows: tuple[int, ...]

    def unpack(self) -> Batch:
        """The batch that it stands for."""
        has_regions = self.regions is not None
        return Batch(
            images=self.images if self.images.dtype == torch.float32 else _scaled(self.images),
            second=self.second,
            hidden=_plane(self.regions, HIDDEN) if self.hides else None,
            breast=_plane(self.regions, BREAST) if has_regions else None,
            masks=_plane(self.regions, LESION) if has_regions else None,
            mask_known=torch.from_numpy(self.mask_known),
            labels=torch.from_numpy(self.labels),
            weights=torch.from_numpy(self.weights),
            ids=self.ids,
            rows=self.rows,
        )


def _scaled(images: torch.Tensor) -> torch.Tensor:
    floats = np.empty(images.shape, np.float32)
    for plane, image in zip(floats, images.numpy(), strict=True):
        scale(image, plane)
    return torch.from_numpy(floats)


def scale(image: np.ndarray, into: np.ndarray) -> None:
    """Write a uint16 image as float32 in [0, 1]."""
    # In two steps: numpy's division of whole numbers into floats takes twice as long, to the same values.
    into[:] = image
    np.divide(into, FULL_SCALE, out=into)


def _plane(regions: torch.Tensor, bit: np.uint8) -> torch.Tensor:
    floats = np.empty(regions.shape, np.float32)
    # Image by image, so that what is in between stays in the processor's cache.
    for plane, bits in zip(floats, regions.numpy(), strict=True):
        plane[:] = (bits & bit) != 0
    return torch.from_numpy(floats)
