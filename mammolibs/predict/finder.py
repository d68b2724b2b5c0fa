"""The two stages as one: an image in, regions with probability and malignancy out.

The one inference path: scripts, evaluation and the search for hard patches all use it.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from mammolibs.predict.regions import Region, RegionRule, find_regions
from mammolibs.predict.statistics import Statistics, with_statistics
from mammolibs.prepare import Contract, Curve, Prepared, cut_patch, to_original
from mammolibs.records import Sample


@dataclass(frozen=True, eq=False, kw_only=True)
class Analysis:
    """All that the two stages say of one image, before thresholds.

    probability: float32 H W on the canvas. regions: on the canvas, strongest first.
    malignancies: of each region, in [0, 1]; empty where no second stage is at hand.
    """

    sample: Sample
    probability: np.ndarray
    regions: tuple[Region, ...]
    malignancies: tuple[float, ...]

    @property
    def centres(self) -> np.ndarray:
        """Centres of the regions in original pixel coordinates: float64 N 2."""
        return to_original(np.array([r.centre for r in self.regions]), self.sample.placement)


class Finder:
    """U-Net and, where it is given, ResNet, on one runtime. Batches have one fixed shape each, so nothing recompiles."""

    def __init__(
        self,
        runtime: Any,
        unet: nn.Module,
        resnet: nn.Module | None,
        contract: Contract,
        *,
        rule: RegionRule = RegionRule(),
        batch: int = 8,
    ):
        self.runtime = runtime
        self.contract = contract
        self.rule = rule
        self.batch = batch
        self.unet = runtime.prepare(unet).eval()
        self.resnet = None if resnet is None else runtime.prepare(resnet).eval()
        self.curve: Curve | None = None

    def adapted(self, curve: Curve | None, statistics: Statistics | None) -> Finder:
        """The same networks for another site: grey values pass through the curve first, the U-Net normalises by these statistics."""
        other = copy.copy(self)
        other.curve = curve
        if statistics is not None:
            other.unet = with_statistics(self.unet, statistics)
        return other

    def analyse(self, prepared: Sequence[Prepared]) -> list[Analysis]:
        """Both stages on a few images at once; the answer for an image does not depend on its neighbours."""
        analyses = self.find([p.sample for p in prepared])
        if self.resnet is None:
            return analyses
        patches = [cut_patch(p.full, (x, y), self.contract) for p, a in zip(prepared, analyses) for x, y in a.centres]
        scores = iter(self.malignancies(patches))
        return [replace(a, malignancies=tuple(next(scores) for _ in a.regions)) for a in analyses]

    def find(self, samples: Sequence[Sample]) -> list[Analysis]:
        """The first stage alone, on samples that are prepared already."""
        maps = self.probability_maps([s.image for s in samples])
        return [
            Analysis(sample=s, probability=p, regions=tuple(find_regions(p, self.rule)), malignancies=()) for s, p in zip(samples, maps)
        ]

    def probability_maps(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The U-Net's lesion probability, float32 H W in [0, 1], of canvas images uint16 H W; air is never a lesion."""
        maps = self._run(self.unet, images)
        return [np.where(image > 0, p[0], 0).astype(np.float32) for image, p in zip(images, maps)]

    def malignancies(self, patches: Sequence[np.ndarray]) -> list[float]:
        """The ResNet's probability of malignancy of patches, uint16 S S."""
        return [float(p.reshape(-1)[0]) for p in self._run(self.resnet, patches)]

    @torch.no_grad()
    def _run(self, model: nn.Module, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Sigmoid of the model's logits, one array per image, in batches padded to the fixed size."""
        outputs: list[np.ndarray] = []
        images = images if self.curve is None else [self.curve(image) for image in images]
        for start in range(0, len(images), self.batch):
            part = np.stack([image.astype(np.float32) / 65535 for image in images[start : start + self.batch]])[:, None]
            padded = np.concatenate([part, np.zeros((self.batch - len(part), *part.shape[1:]), np.float32)])
            with self.runtime.autocast():
                logits = model(self.runtime.place(torch.from_numpy(padded)))
            outputs += list(self.runtime.to_host(torch.sigmoid(logits.float())).numpy()[: len(part)])
        return outputs
