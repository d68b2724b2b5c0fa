"""The same work on a Dask cluster. Each of its threads has a guarded process beside it, so that an image costs no worker.

A worker that is lost all the same (its machine, or its memory) costs nothing: Dask gives what it had to others. What was
with workers that died again and again is done once more, item by item and alone; the item that ends one even so is skipped.
"""

from __future__ import annotations

import functools
import os
import pickle
import re
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from distributed import Client, Future, KilledWorker

from mammolibs.errors import BadConfig, BadFile, MammolibsError, RuntimeUnavailable
from mammolibs.imaging.beside import difference, do_group, end_idle, identity
from mammolibs.imaging.pool import REMEDY, blamed

ADDRESS = re.compile(r"(tcp|tls)://\S+:\d{1,5}")
CONNECT_LIMIT_S = 5.0
WORKERS_LIMIT_S = 60.0
# For so long a cluster may be without any worker: preempted machines come back.
PATIENCE_S = 600.0
LOOK_EVERY_S = 30.0
GROUP = 8
GROUPS_PER_THREAD = 3


@contextmanager
def open_cluster(scheduler: str, *, sees: str | None) -> Iterator[Cluster]:
    """The cluster behind a scheduler's address, once it is known to be able to do the work. sees: a file that its workers must see.

    Raises BadConfig for what is no address; RuntimeUnavailable where nothing answers there
    within seconds, where no worker joins within a minute, and where a worker lacks mammolibs,
    has another version of it or of what decides on pixels, or does not see the path.
    """
    if not ADDRESS.fullmatch(scheduler):
        raise BadConfig(f"--scheduler {scheduler}: is no address of a Dask scheduler; write tcp://HOST:PORT, such as tcp://10.0.0.2:8786")
    try:
        client = Client(scheduler, timeout=CONNECT_LIMIT_S, set_as_default=False)
    except OSError as error:
        raise RuntimeUnavailable(f"{scheduler}: no Dask scheduler answers ({_words(error)}); start one with `dask scheduler`") from error
    with client:
        _check_workers(client, scheduler, sees)
        try:
            yield Cluster(client, scheduler)
        finally:
            # Where the scheduler is gone the processes end with the workers.
            with suppress(Exception):
                client.run(end_idle, on_error="ignore")


class Cluster:
    """What `open_cluster` opens."""

    def __init__(self, client: Client, scheduler: str):
        self._client, self._scheduler = client, scheduler

    def map(
        self,
        function: Callable[[Any], Any],
        items: Sequence[Any],
        *,
        timeout_s: float,
        describe: Callable[[Any], str],
        initializer: Callable[[], None],
    ) -> Iterator[Any | MammolibsError]:
        """The function's result for each item, or the error that it met, in the order of the items.

        At most 24 items per thread of the cluster are handed out ahead of the oldest that has
        not come back. Raises RuntimeUnavailable where the scheduler is lost, or all workers for ten minutes, and as `map_files`.
        """
        threads = self._threads()
        size = max(1, min(GROUP, len(items) // (GROUPS_PER_THREAD * threads or 1)))
        groups = iter([items[start : start + size] for start in range(0, len(items), size)])
        work = functools.partial(do_group, timeout_s=timeout_s, initializer=initializer, wanted=identity())

        def submit(group: Sequence[Any]) -> Future:
            jobs = [(describe(item), pickle.dumps((function, item))) for item in group]
            # A key of its own: the scheduler may remember what an earlier call gave.
            with self._asking():
                return self._client.submit(work, jobs, key=f"mammolibs-{uuid.uuid4().hex}")

        flying: deque[tuple[Sequence[Any], Future]] = deque()
        while True:
            room = max(1, GROUPS_PER_THREAD * self._threads()) - len(flying)
            flying += ((group, submit(group)) for _, group in zip(range(room), groups, strict=False))
            if not flying:
                return
            group, future = flying.popleft()
            try:
                yield from self._results(future)
            except KilledWorker:
                # Once all else has come to its end, so that none is blamed for another's deed.
                with self._asking():
                    for _, other in flying:
                        other.exception()
                for item in group:
                    yield self._alone(submit([item]), describe(item))

    def _alone(self, future: Future, name: str) -> Any | MammolibsError:
        try:
            return self._results(future)[0]
        except KilledWorker:
            return BadFile(name, "ended the cluster's workers that were at it (KilledWorker)", REMEDY)

    def _results(self, future: Future) -> list[Any | MammolibsError]:
        without_s = 0.0
        while True:
            with self._asking(), suppress(TimeoutError):
                return [pickle.loads(one) if isinstance(one, bytes) else blamed(one) for one in future.result(timeout=LOOK_EVERY_S)]
            without_s = 0.0 if self._threads() else without_s + LOOK_EVERY_S
            if without_s >= PATIENCE_S:
                told = f"has had no worker for {PATIENCE_S:g} s"
                raise RuntimeUnavailable(f"{self._scheduler}: {told}; start some and run again: it goes on where it stood")

    def _threads(self) -> int:
        with self._asking():
            return sum(self._client.nthreads().values())

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """What goes wrong between here and the cluster as one error of the family."""
        try:
            yield
        except (MammolibsError, KilledWorker):
            raise
        except Exception as error:
            told = f"the cluster does not answer any more ({_words(error)})"
            raise RuntimeUnavailable(f"{self._scheduler}: {told}; look at its logs and run again: it goes on where it stood") from error


def _check_workers(client: Client, scheduler: str, sees: str | None) -> None:
    try:
        client.wait_for_workers(1, timeout=WORKERS_LIMIT_S)
    except TimeoutError as error:
        told = f"no worker has joined within {WORKERS_LIMIT_S:g} s"
        raise RuntimeUnavailable(f"{scheduler}: {told}; start some with `dask worker {scheduler}`") from error

    def look(path: str | None) -> tuple[dict[str, str], bool]:
        # Sent as code and not by its name, so that a worker without the package can say so.
        import os

        from mammolibs.imaging.beside import identity

        return identity(), path is None or os.path.exists(path)

    path = sees if sees and os.path.exists(sees) else None
    for worker, answer in client.run(look, path, on_error="return").items():
        if isinstance(answer, Exception):
            told = f"cannot import mammolibs as it is here ({_words(answer)})"
            raise RuntimeUnavailable(f"{worker}: {told}; install it with its requirements.txt on every worker")
        theirs, seen = answer
        if told := difference(theirs, identity()):
            raise RuntimeUnavailable(f"{worker}: {told}; install the same requirements.txt on all machines")
        if not seen:
            raise RuntimeUnavailable(f"{worker}: does not see {path}; keep the images in a bucket, or in a folder that all workers share")


def _words(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
