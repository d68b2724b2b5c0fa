"""When hosts look up from their steps: often enough to answer a signal in time, and all at the same step."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import mammolibs.engine.looks as looks_file
from mammolibs.engine.guards import StopSignal
from mammolibs.engine.looks import LONGEST_SECONDS, Looks


class Hosts:
    """Two hosts of which the other one's answers are given."""

    def __init__(self, hosts: int = 2, other_says: bool = False):
        self.hosts, self.other_says, self.asked = hosts, other_says, 0

    def agree(self, flag: bool) -> bool:
        self.asked += 1
        return flag or self.other_says


@pytest.fixture
def clock(monkeypatch):
    """A clock that steps turn by hand."""
    time = SimpleNamespace(now=0.0)
    monkeypatch.setattr(looks_file.time, "perf_counter", lambda: time.now)
    return time


def looked_at(looks: Looks, clock, step_s, steps: int) -> list[int]:
    due = []
    for step in range(1, steps + 1):
        clock.now += step_s(step) if callable(step_s) else step_s
        if looks.due(step):
            due.append(step)
    return due


def test_one_host_looks_at_whole_numbers_of_steps_and_at_once_when_told(clock):
    stop = StopSignal()
    looks = Looks(Hosts(1), stop, 20)
    assert looked_at(looks, clock, 60.0, 45) == [20, 40] and looks.every == 20
    stop.told = True
    assert looks.due(46)


def test_several_hosts_do_not_look_alone(clock):
    stop = StopSignal()
    stop.told = True
    assert looked_at(Looks(Hosts(), stop, 20), clock, 0.01, 45) == [20, 40]


def test_long_steps_are_looked_at_until_the_answer_comes_in_time(clock):
    looks = Looks(Hosts(), StopSignal(), 20)
    due = looked_at(looks, clock, 3.0, 60)
    # 60, 30, 15 and at last 6 seconds from look to look.
    assert due == [20, 30, 35, *range(36, 61, 2)] and looks.every * 3.0 <= LONGEST_SECONDS


def test_all_hosts_follow_the_slowest(clock):
    looks = Looks(Hosts(other_says=True), StopSignal(), 4)
    assert looked_at(looks, clock, 0.01, 8) == [4, 6, 7, 8] and looks.every == 1


def test_a_step_that_compiles_or_follows_a_validation_does_not_count(clock):
    looks = Looks(Hosts(), StopSignal(), 20)
    assert looked_at(looks, clock, lambda step: 90.0 if step in (1, 2, 25) else 0.1, 60) == [20, 40, 60]
