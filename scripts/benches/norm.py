"""What a norm costs on CPU: seconds of one training step of a U-Net, by norm, layout and precision.

Prints CPU seconds per step (the fastest round, variants interleaved) and their ratio to
batch norm. "group, 8 groups" is the usual choice of groups, "group" is ours, "none" the
step without any norm.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import nn

from mammolibs.losses import dice_bce
from mammolibs.models import UNet

SIZE = (256, 160)


def eight_groups(channels: int) -> nn.Module:
    return nn.GroupNorm(max(groups for groups in range(1, 9) if channels % groups == 0), channels)


def with_norm(network: nn.Module, make) -> nn.Module:
    """The network with every group norm replaced by make(channels)."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.GroupNorm):
                setattr(module, name, make(child.num_channels))
    return network


def networks(width: int, head: str) -> dict[str, nn.Module]:
    group = {"width": width, "norm": "group", "head": head}
    return {
        "group": UNet(**group),
        "group, 8 groups": with_norm(UNet(**group), eight_groups),
        "batch": UNet(width=width, norm="batch", head=head),
        "none": with_norm(UNet(**group), lambda channels: nn.Identity()),
    }


def step_seconds(nets: dict[str, nn.Module], images: torch.Tensor, bf16: bool, rounds: int) -> dict[str, float]:
    """CPU seconds of forward, loss and backward: the fastest of the rounds after a first one that warms up."""
    masks = (images > 0.98).float()
    ones = torch.ones(len(images))
    times: dict[str, list[float]] = {name: [] for name in nets}
    for _ in range(rounds + 1):
        for name, net in nets.items():
            started = time.process_time()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
                logits = net(images)
            dice_bce(logits, masks, ones, ones).backward()
            times[name].append(time.process_time() - started)
    return {name: min(taken[1:]) for name, taken in times.items()}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="bench.py norm", description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--head", choices=("narrow", "wide"), default="narrow")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    print(f"CPU seconds per step (ratio to batch norm); UNet width {options.width}, {options.batch} x {SIZE[0]} x {SIZE[1]}")
    for layout in (torch.contiguous_format, torch.channels_last):
        for bf16 in (False, True):
            nets = {name: net.to(memory_format=layout) for name, net in networks(options.width, options.head).items()}
            images = torch.rand(options.batch, 1, *SIZE).to(memory_format=layout)
            taken = step_seconds(nets, images, bf16, options.rounds)
            row = "   ".join(f"{name} {value:.2f} ({value / taken['batch']:.2f}x)" for name, value in taken.items())
            print(f"{'bf16' if bf16 else 'fp32'} {str(layout).removeprefix('torch.'):18s} {row}", flush=True)


if __name__ == "__main__":
    main()
