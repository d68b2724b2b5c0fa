"""A batch before it is one of floats: a third of the bytes, for every page of shared memory costs the worker that fills it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from mammolibs.records import Batch

BREAST, LESION, HIDDEN = np.uint8(1), np.uint8(2), np.uint8(4)
FULL_SCALE = np.float32(65535)

Planes = Sequence[np.ndarray] | torch.Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class PackedBatch:
    """Each image's H W array, or, once `stacked`, all of them as one N H W tensor.

    images: uint16 as stored, or float32 in [0, 1] where they are augmented. second: float32, or None. regions: uint8
    whose bits are `BREAST`, `LESION` and, where the batch `hides`, `HIDDEN`; None where a batch has no regions.
    mask_known, labels, weights: float32 arrays of N. The rest as in `Batch`.
    """

    images: Planes
    second: Planes | None
    regions: Planes | None
    hides: bool
    mask_known: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    ids: tuple[str, ...]
    rows: tuple[int, ...]

    def stacked(self) -> PackedBatch:
        """The same to send to another process: tensors lie in shared memory on their way, arrays are copied through a pipe."""
        return replace(self, **{name: _stack(planes) for name in ("images", "second", "regions") if (planes := getattr(self, name)) is not None})

    def unpack(self) -> Batch:
        """The batch that it stands for."""
        return Batch(
            images=_floats(self.images),
            second=None if self.second is None else _floats(self.second),
            hidden=_bits(self.regions, HIDDEN) if self.hides else None,
            breast=None if self.regions is None else _bits(self.regions, BREAST),
            masks=None if self.regions is None else _bits(self.regions, LESION),
            mask_known=torch.from_numpy(self.mask_known),
            labels=torch.from_numpy(self.labels),
            weights=torch.from_numpy(self.weights),
            ids=self.ids,
            rows=self.rows,
        )


def scaled(image: np.ndarray, into: np.ndarray | None = None) -> np.ndarray:
    """A uint16 image as float32 in [0, 1], of the same shape."""
    # In two steps: numpy's division of whole numbers into floats takes twice as long, to the same values.
    into = np.empty(image.shape, np.float32) if into is None else into
    into[:] = image
    return np.divide(into, FULL_SCALE, out=into)


def _stack(planes: Sequence[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(planes))


def _floats(planes: Planes) -> torch.Tensor:
    """float32 N 1 H W in [0, 1]."""
    if isinstance(planes, torch.Tensor) and planes.dtype == torch.float32:
        return planes[:, None]
    floats = _empty(planes)
    for image, into in zip(_arrays(planes), floats, strict=True):
        if image.dtype == np.float32:
            into[:] = image
        else:
            scaled(image, into)
    return torch.from_numpy(floats[:, None])


def _bits(planes: Planes, bit: np.uint8) -> torch.Tensor:
    """float32 N 1 H W, 1 where the bit is set."""
    floats = _empty(planes)
    # Image by image, so that what is in between stays in the processor's cache.
    for regions, into in zip(_arrays(planes), floats, strict=True):
        into[:] = (regions & bit) != 0
    return torch.from_numpy(floats[:, None])


def _empty(planes: Planes) -> np.ndarray:
    return np.empty((len(planes), *planes[0].shape), np.float32)


def _arrays(planes: Planes) -> Iterable[np.ndarray]:
    return planes.numpy() if isinstance(planes, torch.Tensor) else planes
