"""Augmenting a batch of image + mask against the per-sample torchvision v2 loop of the same operations.

Both change the same 64 pairs, one thread each, in turns, in one process; the time is CPU time,
which a busy machine hardly changes. The settings:

    all          rotation, shift, scale, elastic, flip upside down, gamma, contrast, brightness, blur, noise
    plain        rotation, shift, scale, contrast, brightness, blur

once against the loop as one would write it from torchvision's transforms, once against one "tuned" by
who knows its source: fill=None in place of fill=0, which spares a channel and differs on the border only,
and v2.functional.elastic along a coarse random field, which is what ours does, in place of
v2.ElasticTransform, whose blur of a full-size field is most of its loop's time.

What differs between the two, besides how it is computed: ours keeps air exactly 0 and takes
contrast round the breast's mean; ours samples once where theirs samples for the affine change,
again for the elastic one; our brightness adds, theirs multiplies; their noise has a fixed sigma,
the mean of what ours draws, and ours is looked up among 65536 quantiles; OpenCV chooses the blur's
width by sigma (1 to 7 pixels), theirs is always 5 pixels wide. Conversion to tensors and stacking
to a batch are counted for neither.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2
from tqdm import tqdm

from mammolibs.augment import Augment, augment_pair, generator

ALL = Augment()
PLAIN = Augment(elastic_share=0.0, up_down=0.0, gamma=1.0, noise=0.0)
KNOTS = 5
"""Rows and columns of our elastic field's coarse grid."""
ELASTIC_SIGMA = 5.0
"""v2.ElasticTransform's default smoothness in pixels. A field as smooth as ours would take it 32: a kernel of 39 times as many pixels."""


def main(arguments: list[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench.py augment", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, nargs=2, default=(256, 256), metavar=("ROWS", "COLUMNS"))
    parser.add_argument("--rounds", type=int, default=9, help="turns of each (default 9)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    shape = tuple(options.size)
    pairs = [breast_like(shape, number) for number in range(options.batch)]
    settings = {
        "all": (ALL, v2_changes(ALL, v2_elastic(ALL, shape), fill=0)),
        "all, tuned": (ALL, v2_changes(ALL, CoarseElastic(ALL.elastic_share * min(shape)), fill=None)),
        "plain": (PLAIN, v2_changes(PLAIN, None, fill=0)),
        "plain, tuned": (PLAIN, v2_changes(PLAIN, None, fill=None)),
    }
    size = "x".join(map(str, shape))
    print(f"{options.batch} pairs of {size} float32 + 8 bit, CPU ms per batch: median of {options.rounds} rounds, one thread each")
    print(f"{'setting':<14}{'v2 loop':>10}{'ours':>10}{'v2 / ours':>11}   rounds")
    with threadpool_limits(1):
        for name, (config, changes) in settings.items():
            theirs, ours = in_turns(v2_loop(pairs, changes), our_loop(pairs, config), options.rounds, name)
            ratios = [t / o for t, o in zip(theirs, ours, strict=True)]
            middles = "".join(f"{1e3 * statistics.median(seconds):>10.1f}" for seconds in (theirs, ours))
            print(f"{name:<14}{middles}{statistics.median(ratios):>11.2f}   {min(ratios):.2f} to {max(ratios):.2f}", flush=True)


def in_turns(first: Callable[[int], None], second: Callable[[int], None], rounds: int, name: str) -> tuple[list[float], list[float]]:
    """CPU seconds of each round of the two, who begins changing from round to round; a first round that warms up is left out."""
    seconds: dict[Callable, list[float]] = {first: [], second: []}
    for number in tqdm(range(rounds + 1), desc=name, unit="round", leave=False):
        for work in (first, second) if number % 2 else (second, first):
            began = time.process_time()
            work(number)
            seconds[work].append(time.process_time() - began)
    return seconds[first][1:], seconds[second][1:]


def our_loop(pairs: list[tuple[np.ndarray, np.ndarray]], config: Augment) -> Callable[[int], None]:
    """A function of the step that augments all pairs as the loader's workers do, generator of each image included."""

    def work(step: int) -> None:
        made = [augment_pair(image, mask, generator(0, step, str(number)), config) for number, (image, mask) in enumerate(pairs)]
        assert len(made) == len(pairs)

    return work


def v2_loop(pairs: list[tuple[np.ndarray, np.ndarray]], changes: v2.Transform) -> Callable[[int], None]:
    """A function of the step that sends each pair through torchvision's transforms."""
    wrapped = [(tv_tensors.Image(torch.from_numpy(image)[None]), tv_tensors.Mask(torch.from_numpy(mask)[None])) for image, mask in pairs]

    def work(step: int) -> None:
        torch.manual_seed(step)
        made = [changes(image, mask) for image, mask in wrapped]
        assert all(isinstance(mask, tv_tensors.Mask) for _, mask in made)

    return work


def v2_changes(config: Augment, elastic: v2.Transform | None, fill: int | None) -> v2.Transform:
    """The operations of a configuration as torchvision has them; masks go through the geometry alone, by their nearest pixel.
    fill: what comes in over the border, None for 0 without the channel that torchvision takes along to know where."""
    steps = [
        v2.RandomAffine(
            config.rotation_degrees,
            translate=(config.shift_share,) * 2,
            scale=(1 / config.scale, config.scale),
            interpolation=InterpolationMode.BILINEAR,
            fill=fill,
        )
    ]
    steps += [elastic] if elastic else []
    steps += [v2.RandomVerticalFlip(config.up_down)] if config.up_down else []
    # torchvision refuses a sigma of 0; ours is drawn from 0 up.
    steps.append(v2.RandomApply([v2.GaussianBlur(5, (0.01, config.blur_px))], p=0.5))
    steps += [Gamma(config.gamma)] if config.gamma != 1 else []
    steps.append(v2.ColorJitter(brightness=config.brightness, contrast=config.contrast))
    steps += [v2.GaussianNoise(sigma=config.noise / 2)] if config.noise else []
    return v2.Compose(steps)


class Gamma(v2.Transform):
    """torchvision has gamma as a function only."""

    def __init__(self, reach: float):
        super().__init__()
        self.reach = reach

    def make_params(self, flat_inputs: list) -> dict[str, float]:
        return {"gamma": self.reach ** torch.empty(1).uniform_(-1, 1).item()}

    def transform(self, inpt: torch.Tensor, params: dict[str, float]) -> torch.Tensor:
        return v2.functional.adjust_gamma(inpt, params["gamma"]) if isinstance(inpt, tv_tensors.Image) else inpt


class CoarseElastic(v2.Transform):
    """A smooth displacement from a coarse random grid, spread by bicubic interpolation; spread_px: its standard deviation at the knots."""

    def __init__(self, spread_px: float):
        super().__init__()
        self.spread_px = spread_px

    def make_params(self, flat_inputs: list) -> dict[str, torch.Tensor]:
        height, width = flat_inputs[0].shape[-2:]
        knots = torch.randn(1, 2, KNOTS, KNOTS) * self.spread_px * 2
        field = torch.nn.functional.interpolate(knots, (height, width), mode="bicubic", align_corners=True)
        # In v2's grids a side is 2 long, whatever its pixels.
        return {"displacement": field.permute(0, 2, 3, 1) / torch.tensor([width, height])}

    def transform(self, inpt: torch.Tensor, params: dict[str, torch.Tensor]) -> torch.Tensor:
        return v2.functional.elastic(inpt, params["displacement"], interpolation=InterpolationMode.BILINEAR)


def v2_elastic(config: Augment, shape: tuple[int, int]) -> v2.Transform:
    """v2.ElasticTransform that moves pixels about as far as ours does, with its default smoothness."""
    # Uniform noise on [-1, 1] has a deviation of 0.577, its Gaussian blur 1 / (2 sqrt(pi) sigma) of that, and alpha counts half pixels.
    per_alpha = 0.577 * 0.282 / ELASTIC_SIGMA / 2
    return v2.ElasticTransform(alpha=config.elastic_share * min(shape) / per_alpha, sigma=ELASTIC_SIGMA)


def breast_like(shape: tuple[int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Image float32 H W in [0, 1], half an ellipse of smooth texture on air that is exactly 0, and an 8 bit mask with one lesion."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    breast = np.hypot((y - shape[0] / 2) / (0.45 * shape[0]), x / (0.75 * shape[1])) < 1
    texture = cv2.GaussianBlur(rng.standard_normal(shape, dtype=np.float32), (0, 0), 3)
    image = np.where(breast, np.clip(0.5 + texture, 0.01, 1), 0).astype(np.float32)
    centre = rng.uniform(0.3, 0.6, 2) * shape
    return image, (np.hypot(y - centre[0], x - centre[1]) < 0.06 * min(shape)).astype(np.uint8)
