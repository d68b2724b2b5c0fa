"""What is guarded where a device runs compiled programs: compiling again, cores that all do the same, and waiting for the device."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from dataclasses import fields

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from mammolibs.errors import HostRead, MammolibsError
from mammolibs.records import Batch
from mammolibs.runtime import Runtime

# How often each part of a run may compile: a step twice (optimizers begin with empty states), the others once.
WARM_UP = {"step": 2, "validation": 1, "checksums": 1, "log": 1}


class Compiled:
    """Stops a run that compiles after its warm-up or whose work is not divided; names what runs on the host."""

    def __init__(self, runtime: Runtime):
        self.runtime = runtime
        self.times = dict.fromkeys(WARM_UP, 0)
        self.earlier: dict[str, tuple[dict[str, str], dict[str, int]]] = {}
        self.named = set(runtime.fallbacks())
        self.fallbacks: set[str] = set()

    @contextlib.contextmanager
    def during(self, part: str, step: int, batch: Batch | None = None) -> Iterator[None]:
        """Watch over one part of the run (a key of WARM_UP).

        Raises MammolibsError where it compiles after its warm-up, with the shapes or the
        operations that are not what they were the time before, and where its first step
        uses operations for which every core computes the whole batch.
        """
        programs, operations, reads = self.runtime.compile_count(), self.runtime.operations(), self.runtime.device_reads()
        yield
        more = self.runtime.compile_count() - programs
        recorded = {name: count - operations.get(name, 0) for name, count in self.runtime.operations().items()}
        facts = _shapes(batch), {name: count for name, count in recorded.items() if count}
        self.times[part] += 1
        if part == "step" and self.times[part] == 1 and (whole := self.runtime.undivided & set(facts[1])):
            raise MammolibsError(
                f"the work is not divided: for {', '.join(sorted(whole))} each core computes the whole global batch; torch's norm functions do this "
                "(F.group_norm, nn.LayerNorm), norm layers such as nn.GroupNorm and nn.BatchNorm2d are replaced by forms that do not; or run on one core"
            )
        if more and self.times[part] > WARM_UP[part]:
            raise MammolibsError(f"step {step}: {more} program(s) compiled in the {part} after warm-up; {self._what_changed(part, facts)}")
        self.earlier[part] = facts
        if part == "step":
            self._name_host_work(step, self.runtime.device_reads() - reads)

    def _what_changed(self, part: str, facts: tuple[dict[str, str], dict[str, int]]) -> str:
        (shapes, operations), (old_shapes, old_operations) = facts, self.earlier[part]
        changed = [f"{name} was {old_shapes.get(name)}, now {shape}" for name, shape in shapes.items() if old_shapes.get(name) != shape]
        if changed:
            return f"shapes must not change: {', '.join(changed)}"
        if self.fallbacks:
            return f"the device does not know {', '.join(sorted(self.fallbacks))}: the host computes it, which cuts the step into several programs"
        counts = {name: (old_operations.get(name, 0), operations.get(name, 0)) for name in sorted(operations | old_operations)}
        changed = [f"{name} {before} times, now {now}" for name, (before, now) in counts.items() if before != now]
        if changed:
            return f"the same operations must be used in every step: {', '.join(changed[:6])}{' ...' if len(changed) > 6 else ''}"
        return (
            "shapes and operations are the same: a Python number in it has come to be 0 or 1, which is compiled in; keep it on the device"
        )

    def _name_host_work(self, step: int, reads: int) -> None:
        if new := set(self.runtime.fallbacks()) - self.named:
            self.named |= new
            self.fallbacks |= new
            warnings.warn(
                f"step {step}: the device does not know {', '.join(sorted(new))}; the host computes it, which is slow",
                HostRead,
                stacklevel=4,
            )
        if reads and "reads" not in self.named:
            self.named.add("reads")
            warnings.warn(f"step {step}: {reads} read(s) from the device inside the step; each waits for it", HostRead, stacklevel=4)


class NoReads(TorchFunctionMode):
    """Warns with the place, once per place, where a tensor is read on the host: inside a step that makes every device wait."""

    _READS = frozenset({
        Tensor.item, Tensor.tolist, Tensor.numpy, Tensor.cpu, Tensor.__bool__, Tensor.__float__, Tensor.__int__, Tensor.__index__, torch.equal,
        torch.nonzero, Tensor.nonzero, torch.unique, Tensor.unique,
    })  # fmt: skip

    def __init__(self, device_type: str):
        super().__init__()
        self.device_type = device_type

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in self._READS and torch.is_tensor(args[0]) and args[0].device.type == self.device_type:
            frame = sys._getframe(1)
            while frame.f_back and "/torch/" in frame.f_code.co_filename:
                frame = frame.f_back
            said = f"{function.__name__} reads from the device inside a training step, which makes all of it wait"
            warnings.warn_explicit(said, HostRead, frame.f_code.co_filename, frame.f_lineno)
        return function(*args, **(kwargs or {}))


def _shapes(batch: Batch | None) -> dict[str, str]:
    if batch is None:
        return {}
    arrays = {f.name: getattr(batch, f.name) for f in fields(batch) if f.name not in ("ids", "rows")}
    return {name: "x".join(map(str, a.shape)) + f" {a.dtype}" for name, a in arrays.items() if a is not None}
