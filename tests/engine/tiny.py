"""A stage small enough to train in a second, and batches that are a pure function of the step."""

from __future__ import annotations

import os
import signal

import numpy as np
import torch
from torch import nn

from mammolibs.records import Batch, RunCard


class TinyNet(nn.Module):
    """Two convolutions with a norm, and dropout, so that randomness of layers is exercised too."""

    def __init__(self, dropout: float = 0.0, norm: str = "group"):
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.GroupNorm(4, 8) if norm == "group" else nn.BatchNorm2d(8)
        self.drop = nn.Dropout(dropout)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.norm2 = nn.GroupNorm(4, 8) if norm == "group" else nn.BatchNorm2d(8)
        self.last = nn.Conv2d(8, 1, 1)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.first(x)))
        return torch.relu(self.norm2(self.second(self.drop(x))))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.features(x))


class DiceStage:
    """BCE and a Dice whose sums run over the whole global batch."""

    name, monitor, higher_is_better = "tiny", "dice", True

    def __init__(self, dropout: float = 0.0, norm: str = "group"):
        self.dropout, self.norm = dropout, norm

    def build(self) -> nn.Module:
        return TinyNet(self.dropout, self.norm)

    def loss(self, model, batch, runtime):
        logits = model(batch.images).float()
        weights = batch.weights.view(-1, 1, 1, 1)
        bce = nn.functional.binary_cross_entropy_with_logits(logits, batch.masks, reduction="none")
        top = runtime.global_sum((bce * weights).sum())
        pixels = runtime.global_sum((torch.ones_like(bce) * weights).sum())
        p = torch.sigmoid(logits) * weights
        both = runtime.global_sum((p * batch.masks).sum())
        either = runtime.global_sum(p.sum() + (batch.masks * weights).sum())
        loss = top / pixels + 1 - (2 * both + 1) / (either + 1)
        return loss, {"bce": (top, pixels)}

    def remark(self, history):
        return ""


class PairStage(DiceStage):
    """A contrastive loss: every image of the global batch against every other."""

    name, monitor, higher_is_better = "pairs", "dice", True

    def loss(self, model, batch, runtime):
        first, second = (nn.functional.normalize(model.features(x).float().mean((2, 3)), dim=1) for x in (batch.images, batch.second))
        first, second = runtime.global_cat(first), runtime.global_cat(second)
        logits = first @ second.T / 0.1
        loss = nn.functional.cross_entropy(logits, torch.arange(len(logits), device=logits.device))
        return loss, {}


class Batches:
    """Random images with a bright square to find; host h of H gets rows h::H."""

    def __init__(self, global_batch: int = 8, size: int = 16, hosts: int = 1, host: int = 0, steps_per_pass: int = 4):
        self.global_batch, self.steps_per_pass = global_batch, steps_per_pass
        self.size, self.hosts, self.host = size, hosts, host
        self.closed = False

    def make(self, step: int) -> Batch:
        g = torch.Generator().manual_seed(1000 + step)
        b, s = self.global_batch, self.size
        images = torch.rand(b, 1, s, s, generator=g)
        masks = torch.zeros(b, 1, s, s)
        for i in range(b):
            x, y = torch.randint(0, s - 4, (2,), generator=g).tolist()
            masks[i, :, y : y + 4, x : x + 4] = 1
        images = (images * 0.5 + masks * 0.4).clamp(0, 1)
        second = (images + 0.05 * torch.rand(b, 1, s, s, generator=g)).clamp(0, 1)
        mine = slice(self.host, None, self.hosts)
        ids = tuple(f"step{step}-image{i}" for i in range(b))[mine]
        hidden = (torch.rand(b, 1, s // 4, s // 4, generator=g) < 0.5).float().repeat_interleave(4, 2).repeat_interleave(4, 3)
        labels = torch.tensor([1.0, 0.0, 0.0, -1.0]).repeat(-(-b // 4))[:b]
        weights = torch.ones(b)
        weights[-1] = 0
        return Batch(
            images=images[mine], second=second[mine], hidden=hidden[mine], breast=torch.ones_like(hidden)[mine], masks=masks[mine],
            mask_known=torch.ones(b)[mine], labels=labels[mine], weights=weights[mine], ids=ids, rows=tuple(range(b))[mine],
        )  # fmt: skip

    def batches(self, start: int, stop: int):
        try:
            for step in range(start, stop):
                yield self.make(step)
        finally:
            self.closed = True


class StopAt(Batches):
    """Sends this process a signal while the batch of one step is made."""

    def __init__(self, step: int, number: int = signal.SIGTERM, **sizes):
        super().__init__(**sizes)
        self.step, self.number = step, number

    def make(self, step: int) -> Batch:
        if step == self.step:
            os.kill(os.getpid(), self.number)
        return super().make(step)


def small_stages() -> dict:
    """The real stages at a size that compiles in seconds."""
    from mammolibs.models.resnet import ResNet
    from mammolibs.stages import AutoencoderStage, EncoderStage, PatchStage, UNetStage

    class SmallPatchStage(PatchStage):
        def build(self):
            return ResNet(width=8, norm=self.norm)

    sizes = {"width": 8, "depth": 2, "norm": "group"}
    return {
        "encoder": EncoderStage(**sizes),
        "autoencoder": AutoencoderStage(**sizes),
        "unet": UNetStage(**sizes),
        "resnet": SmallPatchStage(name="resnet", norm="group"),
    }


def write_tiny_shards(folder, rows: int = 30, size: int = 32) -> None:
    """A shard set of breasts with bright spots, a third of them malignant, as `ingest` would have made it."""
    from mammolibs.records import Sample
    from mammolibs.shards import write_shards
    from mammolibs.storage import open_store

    class Contract:
        def hash(self) -> str:
            return "c0ffee"

        def to_dict(self) -> dict:
            return {}

    def sample(number: int) -> Sample:
        rng = np.random.default_rng(number)
        image, mask = np.zeros((size, size), np.uint16), np.zeros((size, size), np.uint8)
        image[1:-1, : size - 6] = rng.integers(5_000, 30_000, (size - 2, size - 6))
        y, x = rng.integers(4, size - 12, 2)
        if number % 3:
            image[y : y + 6, x : x + 6] += 25_000
            mask[y : y + 6, x : x + 6] = 1
        name = f"t:{number}"
        return Sample(
            image=image, mask=mask if number % 3 else None, breast=(0, 1, size - 6, size - 1), placement=None, image_id=name, patient_id=name,
            exam_id=name, source="t", laterality="L", view="CC", pathology="malignant" if number % 3 == 1 else "benign",
            label=int(number % 3 == 1), has_lesion=int(number % 3 > 0), split="train",
        )  # fmt: skip

    write_shards(open_store(folder), map(sample, range(rows)), contract=Contract(), lanes=4, shard_bytes=10_000)


def validator(runtime, size: int = 16, batches: int = 2, global_batch: int = 8):
    """A validate function: Dice over rows gathered from all hosts."""
    stream = Batches(global_batch, size=size, hosts=runtime.hosts, host=runtime.host)

    def validate(model) -> dict[str, float]:
        both = either = 0.0
        for batch in runtime.feed(stream.batches(500, 500 + batches)):
            with runtime.autocast():
                logits = model(batch.images)
            p, m, ids = runtime.gather_rows((torch.sigmoid(logits.float()), batch.masks, batch.ids))
            assert len(ids) == len(p) == stream.global_batch
            both, either = both + (p * m).sum().item(), either + (p + m).sum().item()
        return {"dice": 2 * both / either}

    return validate


def card(**changes) -> RunCard:
    """A card for the tiny stage."""
    facts = {"stage": "tiny", "iteration": 0, "steps": 0, "architecture": {"name": "TinyNet"}, "contract": {}, "contract_hash": "c"}
    return RunCard(**(facts | {"data_hash": "d", "split_hash": "s", "seed": 0} | changes))
