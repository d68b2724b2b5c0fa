"""Making batches ahead of the step: one thread, or worker processes. Same order either way."""

from __future__ import annotations

import atexit
import itertools
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from mammolibs.errors import MammolibsError, RuntimeUnavailable
from mammolibs.records import Batch

AHEAD = 2


def load_in_thread(make: Callable[[int], Batch], steps: range) -> Iterator[Batch]:
    """The batch of each step in turn, made by one thread up to two steps ahead.

    An error comes out at the step that it belongs to.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
    todo = iter(steps)
    try:
        ahead = deque(pool.submit(make, step) for step in itertools.islice(todo, AHEAD))
        while ahead:
            batch = ahead.popleft().result()
            ahead.extend(pool.submit(make, step) for step in itertools.islice(todo, 1))
            yield batch
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _as_it_is(made: Any) -> Any:
    return made


def load_in_workers(
    make: Callable[[int], Any], steps: range, workers: int, *, receive: Callable[[Any], Batch] = _as_it_is
) -> Iterator[Batch]:
    """The batch of each step in turn, each made whole by one of `workers` processes, and unpacked here by `receive`.

    An error of a worker comes out at the step that it belongs to. Raises RuntimeUnavailable
    where a worker was killed.
    """
    import torch
    from torch.utils.data import DataLoader

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, f"{__package__}.maker"])
    loader = DataLoader(
        _Steps(make),
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        prefetch_factor=AHEAD,
        collate_fn=_as_it_is,
        worker_init_fn=_start_worker,
        multiprocessing_context=context,
        generator=torch.Generator(),
    )
    others = set(multiprocessing.active_children())
    batches = iter(loader)
    started = set(multiprocessing.active_children()) - others
    kill = partial(_kill, started)
    # An exit waits for processes that it has sent SIGTERM to, which these ignore.
    atexit.register(kill)
    try:
        for made in _guarded(batches, workers):
            if isinstance(made, _Failure):
                raise made.error
            yield receive(made)
    finally:
        # An error keeps this frame, and a loader's workers end with the loader. One out of the loader itself keeps that too.
        del batches
        if not any(worker.is_alive() for worker in started):
            atexit.unregister(kill)


def _guarded(batches: Iterator[Any], workers: int) -> Iterator[Any]:
    while True:
        try:
            made = next(batches)
        except StopIteration:
            return
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise RuntimeUnavailable(
                f"one of {workers} loader workers died, most likely for want of (shared) memory: use fewer --workers or a smaller --batch; "
                'a program of your own must start under if __name__ == "__main__"'
            ) from error
        yield made


@dataclass(frozen=True)
class _Failure:
    """Our own errors travel as values: the loader would rebuild them from their text alone."""

    error: MammolibsError


class _Steps:
    """A map-style data set whose item is the batch of a step."""

    def __init__(self, make: Callable[[int], Any]):
        self.make = make

    def __getitem__(self, step: int) -> Any:
        try:
            return self.make(step)
        except MammolibsError as error:
            return _Failure(error)


def _start_worker(_number: int) -> None:
    """One thread per worker: small operations collapse when threads contend.

    The main process alone answers Ctrl-C and SIGTERM: a machine that goes down tells all processes,
    and without workers the step could not be finished and saved. They end with the main process.
    """
    import signal

    import cv2
    import torch

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_main, daemon=True).start()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def _kill(workers: set[multiprocessing.Process]) -> None:
    for worker in workers:
        worker.kill()


def _end_with_main() -> None:
    """End this worker when the main process has ended, by whatever signal: the loader itself only looks after the fork server, which a worker keeps alive."""
    multiprocessing.parent_process().join()
    os._exit(1)
