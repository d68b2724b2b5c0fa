"""The planes of a batch, filled image by image: as floats, or packed to travel between processes.

Packed they have a third of the bytes, for every page of shared memory costs the worker that fills it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mammolibs.records import Batch

BREAST, LESION, HIDDEN = np.uint8(1), np.uint8(2), np.uint8(4)
FULL_SCALE = np.float32(65535)
BITS_OF_VIEWS = {"one": {"breast": BREAST, "masks": LESION}, "two": {}, "masked": {"breast": BREAST, "masks": LESION, "hidden": HIDDEN}}


class FloatPlanes:
    """A `Batch` of `count` images of `shape` (H, W), as its `views` have them."""

    def __init__(self, count: int, shape: tuple[int, int], views: str):
        self._bits = BITS_OF_VIEWS[views]
        names = ("images", *(("second",) if views == "two" else ()), *self._bits)
        self._planes = {name: np.empty((count, 1, *shape), np.float32) for name in names}

    def put(self, number: int, image: np.ndarray, second: np.ndarray | None, regions: np.ndarray | None) -> None:
        """An image's H W arrays: uint16 as stored, or float32 in [0, 1]; float32; uint8 with the bits of its regions."""
        if image.dtype == np.float32:
            self._planes["images"][number, 0] = image
        else:
            scaled(image, self._planes["images"][number, 0])
        if second is not None:
            self._planes["second"][number, 0] = second
        for name, bit in self._bits.items():
            self._planes[name][number, 0] = (regions & bit) != 0

    def batch(self, *, mask_known: np.ndarray, labels: np.ndarray, weights: np.ndarray, **names: Any) -> Batch:
        """The batch with its float32 numbers and its ids and rows."""
        planes = {name: torch.from_numpy(array) for name, array in self._planes.items()}
        numbers = {"mask_known": mask_known, "labels": labels, "weights": weights}
        numbers = {name: torch.from_numpy(array) for name, array in numbers.items()}
        return Batch(**{"second": None, "hidden": None, "breast": None, "masks": None} | planes | numbers | names)


@dataclass(frozen=True, kw_only=True, eq=False)
class PackedBatch:
    """A batch on its way: `put`'s arrays as N H W tensors, which lie in shared memory, and `batch`'s facts."""

    views: str
    images: torch.Tensor
    second: torch.Tensor | None
    regions: torch.Tensor | None
    facts: dict[str, Any]

    def unpack(self) -> Batch:
        """The batch that it stands for."""
        count, *shape = self.images.shape
        planes = FloatPlanes(count, tuple(shape), self.views)
        images, second, regions = ([None] * count if part is None else part.numpy() for part in (self.images, self.second, self.regions))
        for number in range(count):
            planes.put(number, images[number], second[number], regions[number])
        return planes.batch(**self.facts)


class PackedPlanes:
    """A `PackedBatch`, filled like `FloatPlanes`; images are float32 where they are `augmented`."""

    def __init__(self, count: int, shape: tuple[int, int], views: str, *, augmented: bool):
        self._views, two = views, views == "two"
        self._images = np.empty((count, *shape), np.float32 if augmented else np.uint16)
        self._second = np.empty((count, *shape), np.float32) if two else None
        self._regions = None if two else np.empty((count, *shape), np.uint8)

    def put(self, number: int, image: np.ndarray, second: np.ndarray | None, regions: np.ndarray | None) -> None:
        """As `FloatPlanes.put`."""
        for array, plane in ((self._images, image), (self._second, second), (self._regions, regions)):
            if array is not None:
                array[number] = plane

    def batch(self, **facts: Any) -> PackedBatch:
        """As `FloatPlanes.batch`."""
        arrays = {"images": self._images, "second": self._second, "regions": self._regions}
        tensors = {name: None if array is None else torch.from_numpy(array) for name, array in arrays.items()}
        return PackedBatch(views=self._views, facts=facts, **tensors)


def scaled(image: np.ndarray, into: np.ndarray | None = None) -> np.ndarray:
    """A uint16 image as float32 in [0, 1], of the same shape."""
    # In two steps: numpy's division of whole numbers into floats takes twice as long, to the same values.
    into = np.empty(image.shape, np.float32) if into is None else into
    into[:] = image
    return np.divide(into, FULL_SCALE, out=into)
