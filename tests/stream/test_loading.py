"""Threads and worker processes: the same batches, the same errors, nothing left behind."""

from __future__ import annotations

import multiprocessing
import operator
import os
import select
import signal
import subprocess
import sys
import threading
from functools import partial

import pytest
import torch

from mammolibs.augment import Augment
from mammolibs.errors import BadFile, RuntimeUnavailable
from mammolibs.stream import Stream
from mammolibs.stream.loading import load_in_thread, load_in_workers


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_give_the_same_batches_in_the_same_order(workers, shards):
    def batches(workers):
        stream = Stream(shards, global_batch=4, augment=Augment(), views="masked", repeats={"lesion": 3}, workers=workers)
        return list(stream.batches(3, 14))

    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    for one, other in zip(batches(workers), batches(0), strict=True):
        assert one.rows == other.rows
        assert all(torch.equal(getattr(one, name), getattr(other, name)) for name in ("images", "hidden", "masks", "breast", "weights"))
    assert torch.equal(torch.rand(1), expected)


def test_a_damaged_sample_keeps_its_error_on_the_way_out_of_a_worker(shards):
    (shards / "lane001-00000.tar").write_bytes(b"short")
    with pytest.raises(BadFile, match="lane001-00000.tar") as caught:
        list(Stream(shards, global_batch=4, mode="evaluate", workers=2).batches())
    assert caught.value.problem


def test_an_error_that_is_kept_keeps_no_worker(shards):
    (shards / "lane001-00000.tar").write_bytes(b"short")
    before = set(multiprocessing.active_children())
    with pytest.raises(BadFile) as kept:
        list(Stream(shards, global_batch=4, mode="evaluate", workers=2).batches())
    assert set(multiprocessing.active_children()) <= before and kept.value


def test_another_error_in_a_worker_comes_out_too():
    with pytest.raises(ZeroDivisionError):
        list(load_in_workers(partial(operator.floordiv, 6), range(0, 3), 1))


def test_a_killed_worker_is_an_error_and_no_short_pass():
    with pytest.raises(RuntimeUnavailable, match="one of 1 loader workers died"):
        list(load_in_workers(os._exit, range(1, 4), 1))


def test_workers_outlive_the_signal_that_a_machine_going_down_sends_to_all():
    batches = load_in_workers(operator.neg, range(0, 40), 2)
    assert [next(batches), next(batches)] == [0, -1]  # both have started
    for worker in multiprocessing.active_children():
        os.kill(worker.pid, signal.SIGTERM)
    assert list(batches) == [-step for step in range(2, 40)]


READER = """
import multiprocessing, operator, signal
from mammolibs.stream.loading import load_in_workers
if __name__ == "__main__":
    batches = load_in_workers(operator.neg, range(0, 10**6), 1)
    next(batches)
    print(multiprocessing.active_children()[0].pid, flush=True)
    AND_THEN
"""


def test_workers_do_not_outlive_a_main_process_that_was_killed():
    with subprocess.Popen(
        [sys.executable, "-c", READER.replace("AND_THEN", "signal.pause()")], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as main:
        worker = os.pidfd_open(int(main.stdout.readline()))
        main.kill()
    ended, _, _ = select.select([worker], [], [], 30)
    assert ended, "the worker lives on"


def test_a_process_ends_whose_batches_nobody_has_closed_and_one_that_dies_of_an_error_in_a_worker():
    """Batches that go on are left open, and others end with an error that keeps its loader."""
    dies = READER.replace("AND_THEN", "list(load_in_workers(len, range(1), 1))")
    done = subprocess.run([sys.executable, "-c", dies], stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1 and "TypeError" in done.stderr


def test_the_thread_works_ahead_and_no_further():
    made = []
    batches = load_in_thread(lambda step: made.append(step) or step, range(100))
    assert next(batches) == 0
    batches.close()
    assert made in ([0], [0, 1], [0, 1, 2])


def test_the_thread_ends_with_its_reader():
    batches = load_in_thread(lambda step: step, range(10**9))
    next(batches)
    assert any(t.name.startswith("batches") for t in threading.enumerate())
    del batches
    assert not any(t.name.startswith("batches") for t in threading.enumerate())


def test_no_steps_no_batches(shards):
    assert list(load_in_thread(abs, range(0))) == []
    assert list(Stream(shards, global_batch=4).batches(5, 5)) == []
