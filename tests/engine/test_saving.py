"""States are saved as often as that costs little, and a save that failed is told."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

import mammolibs.engine.saving as saving
from mammolibs.engine.options import FitOptions
from mammolibs.engine.saving import LEAST_SECONDS, SAVING_SHARE, StateWriter, save_interval
from mammolibs.errors import BadFile, RuntimeUnavailable


@pytest.mark.parametrize(
    ("cost_s", "longest_s", "expected"),
    [(0.0, 180, LEAST_SECONDS), (0.5, 180, 50.0), (1.2, 180, 120.0), (60.0, 180, 180), (0.5, 0, 0)],
)
def test_saving_takes_one_per_cent_of_the_time_within_its_bounds(cost_s, longest_s, expected):
    assert save_interval(cost_s, longest_s) == pytest.approx(expected)


@pytest.fixture
def writer(tmp_path, monkeypatch):
    """A writer whose state takes 0.3 s to copy and 0.2 s to write, on a clock turned by hand."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(saving.time, "perf_counter", lambda: clock.now)

    def state(pending):
        clock.now += 0.3
        return {"pending": pending}

    def save_state(folder, state, keep):
        clock.now += 0.2
        return folder

    monkeypatch.setattr(saving, "save_state", save_state)
    run = SimpleNamespace(runtime=SimpleNamespace(is_main=True), folder=tmp_path, state=state)
    writer = StateWriter(run, FitOptions(), lambda: None)
    writer.clock = clock
    yield writer
    writer.close(quietly=True)


def test_the_next_save_waits_for_what_the_last_one_cost(writer):
    writer.save({}, wait=True)
    assert writer.cost_s == pytest.approx(0.5)
    writer.clock.now = writer.saved + 0.5 / SAVING_SHARE - 0.1
    assert not writer.is_due()
    writer.clock.now += 0.2
    assert writer.is_due()


def test_other_hosts_write_nothing_and_are_never_due(writer):
    writer.run.runtime.is_main = False
    writer.save({}, wait=True)
    writer.clock.now += 1000
    assert writer._writing is None and not writer.is_due()


def test_what_went_wrong_in_the_background_is_told_at_the_next_look(writer, monkeypatch):
    over = threading.Event()

    def fail(folder, state, keep):
        try:
            raise BadFile(folder, "cannot be written (No space left on device)", "free some disk space")
        finally:
            over.set()

    monkeypatch.setattr(saving, "save_state", fail)
    writer.save({}, wait=False)
    assert over.wait(10)
    with pytest.raises(BadFile, match="No space left"):
        writer.save({}, wait=True)
    writer.close(quietly=False)


def test_a_backup_that_cannot_be_reached_is_told_and_tried_again(writer, capsys):
    tries = []

    def backup():
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeUnavailable("gs://bucket/run: could not be written within 120 s")

    writer.backup = backup
    writer.save({}, wait=False)
    writer.save({}, wait=True)
    assert len(tries) == 2 and "could not be written within 120 s (the run goes on, its next state tries again)" in capsys.readouterr().err


@pytest.mark.parametrize(("error", "wait"), [(RuntimeUnavailable("no network"), True), (BadFile("gs://b", "is in use", "stop one"), False)])
def test_a_last_state_that_is_not_backed_up_and_a_folder_of_another_are_errors(writer, error, wait):
    def backup():
        raise error

    writer.backup = backup
    with pytest.raises(type(error)):
        writer.save({}, wait=wait)
        writer.close(quietly=False)
