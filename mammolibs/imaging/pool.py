"""A pool of processes for files that nobody vouches for: a dead or hung worker costs its file, not the job."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from mammolibs.errors import BadFile, MammolibsError, RuntimeUnavailable
from mammolibs.imaging.worker import READY, call, work

START_LIMIT_S = 300.0
REMEDY = "leave it out, or convert it with another program"


def map_files(
    function: Callable[[Any], Any],
    items: Iterable[Any],
    *,
    workers: int,
    timeout_s: float = 60.0,
    describe: Callable[[Any], str] = str,
    initializer: Callable[[], None] | None = None,
    memory_bytes: int | None = None,
    ahead: float = math.inf,
) -> Iterator[tuple[Any, Any | MammolibsError]]:
    """Each item with the function's result or the error that it met, in the order in which they finish.

    Items are taken as workers become free. A worker that dies, or is busy with one item
    for longer than `timeout_s`, is replaced and its item comes back with BadFile. Errors
    of ours come back as they are, any other exception as BadFile with its traceback as a note.

    function, initializer: importable by name, since workers are spawned. describe: what an
    item is called in an error. memory_bytes: limit of each worker's address space.
    ahead: no item is handed out as long as one that is that many items older has not come
    back, so that who puts results in order holds no more than that many.
    workers 0 runs in this process, without protection.
    Raises RuntimeUnavailable where workers cannot start, and where a service fails that an item needs: no item is to blame for that.
    """
    if workers <= 0:
        for item in items:
            yield item, blamed(call(function, item, describe(item)))
        return
    queue = _Queue(items, ahead)
    make = partial(_Worker, (function, initializer, memory_bytes), timeout_s)
    busy: list[_Worker] = []
    free: list[_Worker] = []
    try:
        _hand_out(queue, busy, free, workers, make, describe)
        while busy:
            for worker in _next_events(busy):
                finished, answer = worker.answer()
                if not finished:
                    continue
                item = worker.item
                queue.done(worker.number)
                busy.remove(worker)
                free.append(worker)
                # Before the answer is passed on: who takes it may be slow.
                _hand_out(queue, busy, free, workers, make, describe)
                yield item, blamed(answer)
    finally:
        for worker in (*busy, *free):
            worker.stop()


def blamed(answer: Any) -> Any:
    """An item's result, or the error that it is to blame for. Raises RuntimeUnavailable, for which none is."""
    if isinstance(answer, RuntimeUnavailable):
        raise answer
    return answer


def one_thread() -> None:
    """In a worker: as many threads as workers are enough."""
    import cv2

    cv2.setNumThreads(1)


class Guarded:
    """One process that does item after item, replaced when it is lost: `map_files` with one worker for who has no items yet."""

    def __init__(self, function: Callable[[Any], Any], *, initializer: Callable[[], None] | None = None, timeout_s: float = 60.0):
        self._worker = _Worker((function, initializer, None), timeout_s)

    def ask(self, item: Any, name: str) -> Any | MammolibsError:
        """The function's result for the item, called `name` in an error, or the error that it met."""
        self._worker.give(0, item, name)
        while True:
            for worker in _next_events([self._worker]):
                finished, answer = worker.answer()
                if finished:
                    return answer

    def stop(self) -> None:
        """End the process."""
        self._worker.stop()


class _Queue:
    """Items in turn, with their numbers, as long as they are not too far ahead of the oldest one that is not done."""

    def __init__(self, items: Iterable[Any], ahead: float):
        self._items, self._ahead = iter(items), ahead
        self._taken = 0
        self._open: dict[int, None] = {}

    def take(self) -> tuple[int, Any] | None:
        """The next number and item; None where there is none, or none yet."""
        if self._taken - next(iter(self._open), self._taken) >= self._ahead:
            return None
        for item in self._items:
            number = self._taken
            self._open[number] = None
            self._taken += 1
            return number, item
        return None

    def done(self, number: int) -> None:
        del self._open[number]


def _hand_out(
    queue: _Queue, busy: list[_Worker], free: list[_Worker], workers: int, make: Callable[[], _Worker], describe: Callable[[Any], str]
) -> None:
    """Give every worker that may have one an item."""
    while len(busy) < workers and (job := queue.take()) is not None:
        number, item = job
        worker = free.pop() if free else make()
        worker.give(number, item, describe(item))
        busy.append(worker)


class _Worker:
    """One process and the item it has; a new process takes its place when it is lost."""

    def __init__(self, start: tuple, timeout_s: float):
        self._start = start
        self._timeout_s = timeout_s
        self._process: multiprocessing.process.BaseProcess | None = None

    def give(self, number: int, item: Any, name: str) -> None:
        """Hand over an item; a process that is not there yet, or was lost, is started first."""
        self.number, self.item, self._name = number, item, name
        if self._process is None:
            self._launch()
        else:
            self._send()

    def answer(self) -> tuple[bool, Any]:
        """(True, result or error) where the item is done, (False, None) where the process has only just become ready."""
        if not self.channel.poll():
            limit_s = START_LIMIT_S if not self._ready else self._timeout_s
            if time.monotonic() < self.deadline:
                return False, None
            self.stop()
            if not self._ready:
                raise RuntimeUnavailable(f"a worker process did not start within {limit_s:g} s; use fewer workers")
            return True, BadFile(self._name, f"took longer than {limit_s:g} s", REMEDY)
        try:
            answer = self.channel.recv()
        except (EOFError, OSError):
            return True, self._lost()
        if not self._ready:
            self._ready = answer == READY
            self._send()
            return False, None
        return True, answer

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        if self._process is None:
            return
        self._process.kill()
        self._process.join()
        self._process.close()
        self.channel.close()
        self._process = None

    def _launch(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.channel: Connection
        self.channel, theirs = spawn.Pipe()
        self._process = spawn.Process(target=work, args=(theirs, *self._start), daemon=True)
        # Blocked from its first instruction on: a worker that is still importing would answer Ctrl-C with a traceback. Starting
        # the tracker unblocks it, so that comes first.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        # With our copy of its end closed, its death reads as the end of the channel.
        theirs.close()
        self._ready = False
        self.deadline = time.monotonic() + START_LIMIT_S

    def _send(self) -> None:
        self.deadline = time.monotonic() + self._timeout_s
        # Where it died in between, the next look at the channel finds that out.
        with contextlib.suppress(OSError):
            self.channel.send((self.item, self._name))

    def _lost(self) -> BadFile:
        self._process.join(5)
        code = self._process.exitcode
        self.stop()
        if not self._ready:
            how = f"a worker process ended while it started (exit code {code})"
            raise RuntimeUnavailable(f"{how}; run with one worker and --debug to see why")
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return BadFile(self._name, f"ended the process that read it ({how})", REMEDY)


def _next_events(crew: list[_Worker]) -> list[_Worker]:
    """The workers with something to say, or, where the time of one is up, those."""
    by_channel = {worker.channel: worker for worker in crew}
    ready = wait(list(by_channel), timeout=max(0.0, min(w.deadline for w in crew) - time.monotonic()))
    late = [w for w in crew if w.deadline <= time.monotonic()]
    return list(dict.fromkeys([by_channel[channel] for channel in ready] + late))
