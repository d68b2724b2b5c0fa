"""The simulation of preemption against cases that can be counted by hand, and against the formula of Young and Daly."""

import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
TEN = {"step_s": 1.0, "start_s": 5.0, "save_blocking_s": 2.0, "save_background_s": 3.0, "save_every": 10}


@pytest.fixture(scope="module")
def goodput():
    sys.path.insert(0, str(SCRIPTS))
    from benches import goodput as module

    yield module
    sys.path.remove(str(SCRIPTS))


def parts(found):
    return found.kept_s, found.lost_s, found.saving_s, found.starting_s


def test_without_kills_only_the_start_and_the_saves_cost(goodput):
    # Saves after steps 10, 20 and 30 hold the loop up for 2 s each, the last is waited for.
    found = goodput.simulate(goodput.Costs(**TEN), steps=30)
    assert (found.kills, found.kept_steps) == (0, 30)
    assert parts(found) == pytest.approx((30, 0, 3 * 2 + 3, 5))
    assert found.share == pytest.approx(30 / 44)


def test_a_save_waits_for_the_one_before_it(goodput):
    slow = goodput.Costs(**TEN | {"save_background_s": 14.0})
    # 10 s of steps pass of 14 s in the background, so that the second save waits for 4 s; 14 s after the last.
    assert goodput.simulate(slow, steps=20).saving_s == pytest.approx(2 + 4 + 2 + 14)


def test_an_unannounced_kill_loses_what_no_save_holds(goodput):
    # Start until 5, steps until 15, save until 17, on disk at 20, steps until 27, killed at 24.5: 7.5 steps are gone.
    found = goodput.simulate(goodput.Costs(**TEN), steps=20, lives=[24.5])
    assert found.kills == 1
    assert parts(found) == pytest.approx((20, 7.5, 2 + 2 + 3, 5 + 5))


def test_a_state_that_is_not_whole_on_disk_is_lost(goodput):
    # Killed at 19, while the save of step 10 is still being written: all 12 s of steps are gone.
    found = goodput.simulate(goodput.Costs(**TEN), steps=20, lives=[19.0])
    assert parts(found) == pytest.approx((20, 12, 2 + (2 + 2 + 3), 5 + 5))


def test_an_announced_kill_loses_no_step(goodput):
    # SIGTERM at 22.5: the sixth step after the save is finished at 23, its state on disk at 28, and the next process starts.
    found = goodput.simulate(goodput.Costs(**TEN), steps=20, lives=[22.5], announced=True)
    assert found.kills == 1
    assert parts(found) == pytest.approx((20, 0, 2 + (2 + 3) + (2 + 3), 5 + 5))


@pytest.mark.parametrize("at", [15.5, 16.5])
def test_an_announced_kill_in_a_save_lets_it_finish(goodput, at):
    found = goodput.simulate(goodput.Costs(**TEN), steps=20, lives=[at], announced=True)
    assert parts(found) == pytest.approx((20, 0, (2 + 3) + (2 + 3), 5 + 5))


def test_a_grace_period_that_is_too_short_loses_the_steps(goodput):
    # SIGTERM at 12.5, the end at 14.5, in the middle of the save that began at 13.
    short = goodput.Costs(**TEN, grace_s=2.0)
    assert parts(goodput.simulate(short, steps=10, lives=[12.5], announced=True)) == pytest.approx((10, 8, 1.5 + (2 + 3), 5 + 5))


@pytest.mark.parametrize("announced", [True, False])
def test_a_kill_while_starting_costs_the_start_only(goodput, announced):
    found = goodput.simulate(goodput.Costs(**TEN), steps=10, lives=[4.0, 1.0], announced=announced)
    assert found.kills == 2
    assert parts(found) == pytest.approx((10, 0, 2 + 3, 4 + 1 + 5))


def test_a_run_that_never_gets_to_a_save_ends(goodput):
    found = goodput.simulate(goodput.Costs(**TEN), steps=10, lives=iter(lambda: 9.0, None))
    assert (found.kept_steps, found.share) == (0, 0)


def test_random_kills_cost_what_daly_says(goodput):
    # Daly 2006, section 3: starts, saves and the steps in between all see kills; exact where a save has no background part.
    costs, mean = goodput.Costs(step_s=1.0, start_s=20.0, save_blocking_s=3.0, save_background_s=0.0, save_every=40), 300.0
    found, again = (goodput.simulate(costs, steps=200_000, lives=goodput.exponential_lives(mean, seed=1)) for _ in range(2))
    assert found == again and found.kills > 500
    exact = 40 / (mean * math.exp(20 / mean) * (math.exp((40 + 3) / mean) - 1))
    assert found.share == pytest.approx(exact, rel=0.02)


def test_the_interval_of_young_and_daly_is_the_best(goodput):
    costs, mean = goodput.Costs(step_s=1.0, start_s=5.0, save_blocking_s=2.0, save_background_s=0.0, save_every=1), 2500.0
    best = goodput.young_daly_s(2.0, mean)
    assert best == pytest.approx(100.0)
    shares = {
        every: goodput.simulate(replace(costs, save_every=every), steps=200_000, lives=goodput.exponential_lives(mean, seed=0)).share
        for every in (10, 100, 1000)
    }
    assert shares[100] > max(shares[10], shares[1000])


@pytest.mark.parametrize("announced", [True, False])
def test_the_longest_start_just_reaches_what_is_wanted(goodput, announced):
    costs, mean = goodput.Costs(step_s=1.0, start_s=0.0, save_blocking_s=0.02, save_background_s=0.1, save_every=4), 100.0
    longest = goodput.longest_start_s(costs, mean, announced)
    assert 0 < longest < 3.1
    found = goodput.simulate(replace(costs, start_s=longest), steps=100_000, lives=goodput.exponential_lives(mean, 0), announced=announced)
    assert found.share == pytest.approx(goodput.WANTED, abs=0.003)
