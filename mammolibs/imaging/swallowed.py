"""Errors that a C extension prints and forgets are caught here and raised.

imagecodecs' HTJ2K decoder (2026.3.6) meets a damaged frame inside a callback that cannot
raise: Python prints the error as ignored, and the caller gets an image whose rest was
never written.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_caught: dict[int, list[BaseException]] = {}
_hooks: list = []


@contextmanager
def raise_swallowed() -> Iterator[None]:
    """Raise at the block's end what this thread's C code could not; other threads' errors go their usual way."""
    thread = threading.get_ident()
    mine: list[BaseException] = []
    with _lock:
        if not _caught:
            _hooks[:] = [sys.unraisablehook, sys.excepthook]
            # Cython prints through both.
            sys.unraisablehook, sys.excepthook = _on_unraisable, _on_printed
        _caught[thread] = mine
    try:
        yield
    finally:
        with _lock:
            del _caught[thread]
            if not _caught:
                sys.unraisablehook, sys.excepthook = _hooks
    if mine:
        raise mine[0]


def _on_unraisable(unraisable) -> None:
    if threading.get_ident() in _caught:
        _caught[threading.get_ident()].append(unraisable.exc_value or unraisable.exc_type())
    else:
        _hooks[0](unraisable)


def _on_printed(kind, error, trace) -> None:
    if threading.get_ident() in _caught:
        _caught[threading.get_ident()].append(error)
    else:
        _hooks[1](kind, error, trace)
