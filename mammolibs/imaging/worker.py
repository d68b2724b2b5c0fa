"""What runs in a worker process of the pool. Imports nothing heavy: it is the first thing a new process loads."""

from __future__ import annotations

import resource
import signal
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from mammolibs.errors import BadFile, MammolibsError

READY = "ready"


def work(channel: Connection, function: Callable, initializer: Callable[[], None] | None, memory_bytes: int | None) -> None:
    """Answer each (item, name) with the function's result or an error of ours, until the other end closes."""
    # An interrupt goes to the whole group; the parent decides what becomes of the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if memory_bytes is not None:
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    if initializer is not None:
        initializer()
    channel.send(READY)
    while True:
        try:
            item, name = channel.recv()
        except EOFError:
            return
        answer = call(function, item, name)
        try:
            channel.send(answer)
        except OSError:
            return
        except Exception as error:
            channel.send(BadFile(name, f"gave a result that cannot be passed on ({type(error).__name__}: {error})", "report it"))


def call(function: Callable, item: Any, name: str) -> Any:
    """The function's result, or the error that it raised as one of ours.

    An error that is not ours is a fault in the function; the batch still goes on, and
    the error carries the traceback as a note.
    """
    try:
        return function(item)
    except MammolibsError as error:
        return error
    except Exception as error:
        fault = BadFile(
            name, f"could not be handled ({type(error).__name__}: {' '.join(str(error).split())[:200]})", "report it with the file"
        )
        fault.add_note(traceback.format_exc())
        return fault
