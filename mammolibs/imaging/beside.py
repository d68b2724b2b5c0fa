"""A guarded process beside a worker of somebody else's: what an image kills, or a time limit ends, is that process.

A cluster's worker calls `do_group` and knows no more of the work than bytes: it is not asked to import what the
work needs, nor brought down by it.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import multiprocessing
import pickle
import platform
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from mammolibs.errors import MammolibsError, RuntimeUnavailable
from mammolibs.imaging.pool import Guarded

# What decides on the bytes of a sample, beside our own sources.
LIBRARIES = ("numpy", "opencv-python-headless", "imagecodecs", "pydicom", "pylibjpeg-openjpeg", "pyjpegls")

_by_thread: dict[int, _Beside] = {}


class _Beside:
    """The process beside one thread. It stays from group to group: starting it takes as long as a few images."""

    def __init__(self, initializer: Callable[[], None], timeout_s: float):
        self.how = initializer, timeout_s
        self.process = Guarded(do_pickled, initializer=initializer, timeout_s=timeout_s)
        self.busy = threading.Lock()


def do_group(
    jobs: Sequence[tuple[str, bytes]], *, initializer: Callable[[], None], timeout_s: float, wanted: dict[str, str]
) -> list[bytes | MammolibsError]:
    """For each (name, pickled function and item) the pickled result, or the error that it met, as `map_files` tells it.

    Raises RuntimeUnavailable where this machine's `identity` is not the wanted one, or the process does not start.
    """
    if told := difference(identity(), wanted):
        raise RuntimeUnavailable(f"{platform.node()}: {told}; install the same requirements.txt on all machines")
    # Dask runs its workers as daemons, which may not start processes. Ours ends when the channel to it closes.
    multiprocessing.current_process().daemon = False
    beside = _by_thread.get(threading.get_ident())
    if beside is None or beside.how != (initializer, timeout_s):
        beside = _by_thread[threading.get_ident()] = _Beside(initializer, timeout_s)
    with beside.busy:
        return [beside.process.ask(job, name) for name, job in jobs]


def do_pickled(job: bytes) -> bytes:
    """Runs in the process beside."""
    function, item = pickle.loads(job)
    return pickle.dumps(function(item))


def end_idle() -> None:
    """End the processes beside this process's threads that have nothing to do."""
    for thread, beside in list(_by_thread.items()):
        if beside.busy.acquire(blocking=False):
            del _by_thread[thread]
            beside.process.stop()


@functools.cache
def identity() -> dict[str, str]:
    """What must be the same on two machines for their samples to be: Python's version, a hash of our sources, versions of libraries."""
    sources = hashlib.sha256()
    package = Path(__file__).resolve().parents[1]
    for path in sorted(package.rglob("*.py")):
        sources.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    found = {"Python": ".".join(platform.python_version_tuple()[:2]), "mammolibs": sources.hexdigest()[:12]}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "missing"
    return found


def difference(theirs: dict[str, str], ours: dict[str, str]) -> str:
    """In what two identities differ, "" where in nothing."""
    return ", ".join(f"{name} is {theirs.get(name)} there and {ours[name]} here" for name in ours if theirs.get(name) != ours[name])
