"""A run that was interrupted ends in the same bits as one that was not."""

from __future__ import annotations

import hashlib
import os
import signal
from dataclasses import replace

import pytest
import torch

import mammolibs.storage.store as store
from mammolibs.engine import FitOptions, Start, fit, progress, read_history
from mammolibs.engine.checkpoint import list_states
from mammolibs.errors import BadConfig, BadFile, BadWeights, RunInterrupted
from mammolibs.runtime.single import SingleRuntime
from tests.engine.tiny import Batches, DiceStage, StopAt, card, validator

OPTIONS = FitOptions(iterations=4, steps_per_iteration=2, learning_rate=1e-2, log_every=1, save_seconds=0, ema=0.5, warmup_steps=2)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def train(folder, start=None, *, stream=None, options=OPTIONS, stage=None, **facts):
    runtime = SingleRuntime("float32", device="cpu")
    return fit(
        stage or DiceStage(dropout=0.3),
        runtime,
        train=stream or Batches(),
        validate=validator(runtime),
        folder=folder,
        card=card(**facts),
        options=options,
        start=start or Start.fresh(),
    )


def digest(result) -> str:
    return hashlib.sha256(result.weights.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return digest(train(folder)), read_history(folder)


def without_clock(row):
    return {name: value for name, value in row.items() if name not in ("seconds", "wait_share")}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_goes_on_to_the_same_bits(tmp_path, whole, number):
    with pytest.raises(RunInterrupted, match="state is saved") as told:
        train(tmp_path, stream=StopAt(4, number))
    assert told.value.exit_code == 75
    stands = progress(tmp_path)
    assert 4 <= stands.step <= 5 and not stands.finished and stands.planned == 4
    result = train(tmp_path, Start.resume())
    assert digest(result) == whole[0]
    for row, expected in zip(read_history(tmp_path), whole[1], strict=True):
        assert without_clock(row) == pytest.approx(without_clock(expected))
    assert progress(tmp_path).why == "planned"


def test_another_plan_half_way_is_told_and_not_taken(tmp_path, whole, capsys):
    with pytest.raises(RunInterrupted):
        train(tmp_path, stream=StopAt(4, signal.SIGTERM))
    capsys.readouterr()
    result = train(tmp_path, Start.resume(), options=replace(OPTIONS, iterations=7))
    assert "interrupted plan, 4 iterations of 2 steps at 0.01, not 7 iterations" in capsys.readouterr().out
    assert digest(result) == whole[0]


@pytest.mark.parametrize("save", [2, 4, 7])
def test_a_run_killed_inside_a_save_goes_on_to_the_same_bits(tmp_path, whole, save):
    child = os.fork()
    if not child:
        saves = iter(range(1000))

        def renamed(source, target, really=os.replace):
            if str(target).endswith(".pt") and next(saves) == save:
                os.kill(os.getpid(), signal.SIGKILL)
            really(source, target)

        store.os.replace = renamed
        train(tmp_path)
        os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert list(tmp_path.glob("state/.*"))
    assert progress(tmp_path).step == save - 1
    assert digest(train(tmp_path, Start.resume())) == whole[0]
    assert not list(tmp_path.glob("state/.*"))


def test_a_flipped_byte_in_the_newest_state_is_passed_over(tmp_path, whole, capsys):
    with pytest.raises(RunInterrupted):
        train(tmp_path, stream=StopAt(5))
    newest = list_states(tmp_path)[-1]
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    assert digest(train(tmp_path, Start.resume())) == whole[0]
    assert f"{newest.name}: passed over" in capsys.readouterr().err


def test_the_last_states_are_kept(tmp_path):
    train(tmp_path, options=FitOptions(iterations=2, steps_per_iteration=2, log_every=1, save_seconds=0, keep_states=2))
    assert [path.name.split("-")[0] for path in list_states(tmp_path)] == ["000004_it1_step3", "000005_it2_step4"]


def test_a_later_leg_is_exact_where_a_state_holds_the_iteration(tmp_path):
    train(tmp_path)
    result = train(tmp_path, Start.from_iteration(4), options=FitOptions(iterations=2, steps_per_iteration=3, learning_rate=1e-3))
    assert (result.iteration, result.steps) == (6, 8 + 6)
    assert [row["iteration"] for row in read_history(tmp_path)] == [1, 2, 3, 4, 5, 6]
    assert read_history(tmp_path)[-1]["learning_rate"] < 1e-3


def test_without_a_state_the_weights_start_a_fresh_optimizer_and_later_ones_are_moved(tmp_path, capsys):
    train(tmp_path, options=FitOptions(iterations=3, steps_per_iteration=2, keep_every=1))
    result = train(tmp_path, Start.from_iteration(2), options=FitOptions(iterations=1, steps_per_iteration=2, keep_every=1))
    said = capsys.readouterr().out
    assert "model_iter_2.safetensors: its weights with a fresh optimizer" in said and "moved aside to" in said
    assert (result.iteration, result.steps) == (3, 6)
    assert (tmp_path / "aside-1" / "model_iter_3.pth").exists() and (tmp_path / "aside-1" / "history.csv").exists()
    with pytest.raises(BadFile, match="model_iter_9.*iterations that are: 1, 2, 3"):
        train(tmp_path, Start.from_iteration(9))


def test_a_fresh_start_moves_earlier_results_aside(tmp_path):
    first = digest(train(tmp_path))
    assert digest(train(tmp_path)) == first
    assert (tmp_path / "aside-1" / "model_iter_4.pth").exists() and (tmp_path / "aside-1" / "state").is_dir()
    assert not (tmp_path / "aside-1" / ".lock").exists()


def test_a_finished_run_is_not_trained_again(tmp_path):
    first = digest(train(tmp_path))
    again = train(tmp_path, Start.resume(), stream=StopAt(8))
    assert digest(again) == first and again.steps == 8


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"architecture": {"name": "Other"}}, BadWeights),
        ({"contract_hash": "other"}, BadWeights),
        ({"data_hash": "other"}, BadConfig),
        ({"split_hash": "other"}, BadConfig),
        ({"stream": Batches(global_batch=4)}, BadConfig),
    ],
)
@pytest.mark.parametrize("start", [Start.resume(), Start.from_iteration(2)])
def test_a_state_of_something_else_is_refused_and_nothing_is_moved(finished, change, error, start):
    before = sorted(p.name for p in finished.iterdir())
    with pytest.raises(error, match="--pretrain no"):
        train(finished, start, **change)
    assert sorted(p.name for p in finished.iterdir()) == before


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    train(folder, options=FitOptions(iterations=3, steps_per_iteration=1, keep_every=2, save_seconds=0))
    return folder


def test_nothing_to_resume_is_said(tmp_path):
    with pytest.raises(BadFile, match="holds no readable state"):
        train(tmp_path, Start.resume())
