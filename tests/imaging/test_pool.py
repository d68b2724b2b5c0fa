"""The pool: every item comes back once, with its result or an error, whatever it does to its worker."""

import signal
import time

import pytest

from mammolibs.errors import BadData, BadFile, RuntimeUnavailable
from mammolibs.imaging.pool import _Queue, map_files
from tests.imaging.pool_jobs import behave, refuse_to_start


def test_each_item_comes_back_once_and_lost_workers_are_replaced():
    items = [("double", n) for n in range(40)] + [("die", 0), ("exit", 3), ("hang", 0), ("ours", 0), ("fault", 0), ("unpicklable", 1)]
    items = items[::2] + items[1::2]
    began = time.monotonic()
    answers = dict(map_files(behave, items, workers=2, timeout_s=1.5, describe=lambda i: f"{i[0]}.dcm"))
    assert set(answers) == set(items)
    assert all(answers["double", n] == 2 * n for n in range(40))
    assert isinstance(answers["ours", 0], BadData)
    said = {word: str(answers[word, n]) for word, n in items if word != "double"}
    assert "die.dcm: ended the process that read it (signal 11)" in said["die"]
    assert "exit code 3" in said["exit"]
    assert "took longer than 1.5 s" in said["hang"]
    assert "KeyError" in said["fault"] and "behave" in "".join(answers["fault", 0].__notes__)
    assert "cannot be passed on" in said["unpicklable"]
    assert all(isinstance(answers[i], BadFile) for i in items if i[0] in ("die", "exit", "hang", "fault", "unpicklable"))
    assert time.monotonic() - began < 60


def test_an_interrupt_of_the_group_reaches_no_worker_while_it_starts():
    assert list(map_files(behave, [("blocked", 0)], workers=1)) == [(("blocked", 0), True)]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_memory_limit_costs_the_item_only():
    items = [("hungry", 3 << 30), ("hungry", 1000)]
    answers = dict(map_files(behave, items, workers=1, memory_bytes=2 << 30))
    assert answers["hungry", 1000] == 1000
    assert "MemoryError" in str(answers["hungry", 3 << 30])


def test_workers_that_cannot_start_are_an_error_not_a_loop():
    with pytest.raises(RuntimeUnavailable, match="exit code 7"):
        list(map_files(behave, [("double", 1)], workers=1, initializer=refuse_to_start))


def test_items_are_taken_as_workers_become_free():
    taken = []

    def items():
        for n in range(1000):
            taken.append(n)
            yield "double", n

    results = map_files(behave, items(), workers=1)
    for _ in range(5):
        next(results)
    results.close()
    assert len(taken) <= 7


def test_no_item_gets_too_far_ahead_of_a_slow_one():
    """While item 1 is being done, 2 and 3 may be done and wait for it; 4 is not begun."""
    queue = _Queue("abcdefg", 3)
    assert [queue.take() for _ in range(4)] == [(0, "a"), (1, "b"), (2, "c"), None]
    queue.done(0)
    queue.done(2)
    assert [queue.take(), queue.take()] == [(3, "d"), None]
    queue.done(3)
    assert queue.take() is None
    queue.done(1)
    assert [queue.take() for _ in range(4)] == [(4, "e"), (5, "f"), (6, "g"), None]


def test_without_workers_errors_are_the_same():
    answers = dict(map_files(behave, [("double", 4), ("fault", 0), ("ours", 0)], workers=0))
    assert answers["double", 4] == 8
    assert isinstance(answers["fault", 0], BadFile) and isinstance(answers["ours", 0], BadData)


def test_a_service_that_fails_costs_no_item_and_ends_the_work():
    for workers in (0, 1):
        answers = map_files(behave, [("double", 4), ("service", 0), ("double", 5)], workers=workers)
        assert next(answers) == (("double", 4), 8)
        with pytest.raises(RuntimeUnavailable, match="does not answer"):
            next(answers)


def test_no_items_give_no_results():
    assert list(map_files(behave, [], workers=2)) == []
