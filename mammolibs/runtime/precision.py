"""Which precision forward passes run in, and why."""

from __future__ import annotations

from pathlib import Path

from mammolibs.errors import BadConfig

PRECISIONS = ("auto", "float32", "bfloat16")
_FAST_BF16_FLAGS = ("amx_bf16", "avx512_bf16")


def choose_precision(asked: str, kind: str) -> tuple[str, str]:
    """("float32" or "bfloat16", reason in words) for a kind of device: "cpu", "cuda", "tpu", "xla:CPU" or "xla:TPU".

    Raises BadConfig for a word that is not one of PRECISIONS.
    """
    if asked not in PRECISIONS:
        raise BadConfig(f"--precision {asked}: expected one of {', '.join(PRECISIONS)}")
    if asked != "auto":
        return asked, "asked for"
    if kind == "cuda":
        import torch

        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        return ("bfloat16", "this GPU has bf16 units") if fast else ("float32", "this GPU has no bf16 units")
    if kind in ("xla:TPU", "tpu"):
        return "bfloat16", "TPU matrix units are bf16"
    if kind.startswith("xla"):
        return "float32", "XLA gains nothing from bf16 on this device"
    found = [flag for flag in _FAST_BF16_FLAGS if flag in cpu_flags()]
    return ("bfloat16", f"this CPU has {found[0]}") if found else ("float32", "this CPU has neither amx_bf16 nor avx512_bf16")


def cpu_flags() -> frozenset[str]:
    """What the kernel says the CPU can do; empty where it says nothing."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return frozenset()
    lines = (line.partition(":")[2].split() for line in text.splitlines() if line.startswith(("flags", "Features")))
    return frozenset(next(lines, []))
