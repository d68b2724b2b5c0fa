"""Doors that open without waking what lies behind them: a name is imported when it is first touched."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


def hand_on(door: str, home: dict[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a door module (PEP 562). home: promised name -> module that holds it."""

    def get(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {door!r} has no attribute {name!r}")
        return getattr(importlib.import_module(home[name]), name)

    return get, lambda: sorted(home), sorted(home)
