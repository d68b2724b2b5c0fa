"""Each guard catches the fault that is planted for it."""

from __future__ import annotations

import json
import os
import signal
import threading

import pytest
import torch
from torch import nn

from mammolibs.engine import FitOptions, claim, fit
from mammolibs.engine.checkpoint import list_states
from mammolibs.errors import BadConfig, BadData, BadFile, HostRead, MammolibsError
from mammolibs.runtime import check_batch
from mammolibs.runtime.checksum import checksums
from mammolibs.runtime.single import SingleRuntime
from tests.engine.tiny import Batches, DiceStage, card, small_stages, validator

OPTIONS = FitOptions(iterations=2, steps_per_iteration=4, log_every=3, save_seconds=0)


def train(folder, stage=None, stream=None, options=OPTIONS, validate=None):
    runtime = SingleRuntime("float32", device="cpu")
    return fit(
        stage or DiceStage(), runtime, train=stream or Batches(), validate=validate or validator(runtime), folder=folder,
        card=card(), options=options,
    )  # fmt: skip


class Broken(Batches):
    """Does something at one step."""

    def __init__(self, step: int, act):
        super().__init__()
        self.step, self.act = step, act

    def make(self, step: int):
        batch = super().make(step)
        return self.act(batch) if step == self.step else batch


def test_a_loss_that_is_not_finite_names_the_first_bad_step_and_its_images(tmp_path):
    def poison(batch):
        batch.images[3] = torch.nan
        return batch

    with pytest.raises(MammolibsError, match="the loss of step 4 is not finite .*step4-image0, step4-image1"):
        train(tmp_path, stream=Broken(4, poison))
    written = json.loads((tmp_path / "nonfinite.json").read_text())
    assert written["step"] == 4 and written["image_ids"] == [f"step4-image{i}" for i in range(8)]
    # Looked at after steps 3, 4 and 6: the newest state is from before the bad step.
    assert "_step4-" in list_states(tmp_path)[-1].name


def test_an_exception_of_the_loader_ends_the_run_as_it_is(tmp_path):
    def fail(batch):
        raise OSError("the disk is gone")

    stream = Broken(5, fail)
    with pytest.raises(OSError, match="the disk is gone"):
        train(tmp_path, stream=stream)
    assert stream.closed


def test_a_loader_that_ends_early_is_no_short_iteration(tmp_path):
    class Short(Batches):
        def batches(self, start, stop):
            return super().batches(start, stop - 2)

    with pytest.raises(BadData, match="ended before step 6 of 8"):
        train(tmp_path, stream=Short())


def test_weights_that_do_not_change_are_noticed(tmp_path):
    class Deaf(DiceStage):
        def loss(self, model, batch, runtime):
            return super().loss(lambda x: model(x) * 0, batch, runtime)

    with pytest.raises(MammolibsError, match="no weight has changed after step 3"):
        train(tmp_path, Deaf(), options=FitOptions(iterations=1, log_every=3, weight_decay=0))


def test_weights_that_the_loss_does_not_reach_are_named(tmp_path, capsys):
    class Spare(DiceStage):
        def build(self):
            model = super().build()
            model.spare = nn.Conv2d(1, 1, 1)
            return model

    train(tmp_path, Spare())
    assert "Unchanged after step 3: spare.weight, spare.bias (2 of 12 tensors)" in capsys.readouterr().out


def test_frozen_weights_stay_and_are_not_complained_of(tmp_path, capsys):
    class Frozen(DiceStage):
        def build(self):
            model = super().build()
            model.first.requires_grad_(False)
            return model

    train(tmp_path, Frozen())
    assert "Unchanged" not in capsys.readouterr().out

    class AllFrozen(DiceStage):
        def build(self):
            return super().build().requires_grad_(False)

    with pytest.raises(BadConfig, match="no weights to train"):
        train(tmp_path / "all", AllFrozen())


def test_a_folder_has_one_writer_and_a_dead_one_holds_nothing(tmp_path):
    ready, told = os.pipe()
    other = os.fork()
    if not other:
        with claim(tmp_path):
            os.write(told, b"held")
            signal.pause()
    try:
        assert os.read(ready, 4) == b"held"
        with pytest.raises(BadFile, match=f"in use by process {other}"):
            train(tmp_path)
    finally:
        os.kill(other, signal.SIGKILL)
        os.waitpid(other, 0)
    with claim(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadFile, match="cannot be written .*--run"):
        train(tmp_path / "file" / "stage")


def test_a_full_disk_loses_no_earlier_state(tmp_path, monkeypatch):
    import mammolibs.storage.store as store

    really, saved = os.fsync, []

    def fsync(handle):
        saved.append(handle)
        if len(saved) > 6:
            raise OSError(28, "No space left on device")
        really(handle)

    monkeypatch.setattr(store.os, "fsync", fsync)
    with pytest.raises(BadFile, match="No space left on device.*free some disk space"):
        train(tmp_path)
    assert list_states(tmp_path)


def test_a_batch_that_does_not_divide_names_the_nearest(tmp_path):
    runtime = SingleRuntime("float32", device="cpu")
    assert check_batch(6, runtime) == 6
    runtime.world = 4
    with pytest.raises(BadConfig, match="batch of 6 does not divide over 4 cores; take --batch 4 or 8"):
        check_batch(6, runtime)
    with pytest.raises(BadConfig, match="take --batch 4$"):
        check_batch(2, runtime)
    with pytest.raises(BadConfig, match="batch of 12 does not divide over 4 cores, in 2 parts; take --batch 8 or 16"):
        check_batch(12, runtime, 2)
    with pytest.raises(BadConfig, match="learning_rate is 0, expected between 0 and 1"):
        FitOptions(learning_rate=0)


def test_a_read_inside_the_step_is_an_error_here(tmp_path):
    class Reading(DiceStage):
        def loss(self, model, batch, runtime):
            loss, terms = super().loss(model, batch, runtime)
            return loss if loss > 0 else loss * 2, terms

    with pytest.raises(HostRead, match="__bool__ reads from the device inside a training step"):
        train(tmp_path, Reading())


def test_weights_that_stop_changing_after_a_save_are_noticed(tmp_path):
    class Stuck(DiceStage):
        calls = 0

        def loss(self, model, batch, runtime):
            self.calls += 1
            return super().loss(model if self.calls < 4 else lambda x: model(x) * 0, batch, runtime)

    options = FitOptions(iterations=1, steps_per_iteration=12, log_every=3, save_seconds=0, weight_decay=0, warmup_steps=0, clip_norm=0)

    class Forgetful(torch.optim.SGD):
        def __init__(self, groups, lr, **_):
            super().__init__(groups, lr=lr)

    import mammolibs.engine.run as run

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run.torch.optim, "AdamW", Forgetful)
        with pytest.raises(MammolibsError, match="no weight has changed after step 6"):
            train(tmp_path, Stuck(), options=options)


def test_a_replica_that_differs_stops_the_run_at_the_next_comparison(tmp_path, monkeypatch):
    calls = []

    def replicas(self, tensors):
        own = checksums(tensors).tolist()
        calls.append(own)
        return [own, own if len(calls) < 3 else [*own[:-1], own[-1] + 1]]

    monkeypatch.setattr(SingleRuntime, "replicas", replicas)
    with pytest.raises(
        MammolibsError, match=r"after step 6 replica 1 of 2 does not hold the weights of replica 0 \(last.bias: 1 of 10 tensors\)"
    ):
        train(tmp_path, options=FitOptions(iterations=1, steps_per_iteration=12, log_every=3, check_every=3))


def test_checksums_see_the_smallest_change_and_are_the_same_in_any_layout():
    weights = torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    changed = weights.clone()
    changed[3, 2, 1, 0] = torch.nextafter(changed[3, 2, 1, 0], torch.tensor(9.0))
    opposite = weights.clone()
    opposite[0, 0, 0, 0] += 0.5
    opposite[7, 3, 2, 2] -= 0.5
    relaid = weights.to(memory_format=torch.channels_last)
    first, *others, last = checksums([weights, changed, opposite, relaid]).tolist()
    assert first not in others and first == last


def test_waiting_for_input_is_named_where_it_dominates(tmp_path, capsys):
    def wait(batch):
        threading.Event().wait(0.5)
        return batch

    train(tmp_path, stream=Broken(2, wait), options=FitOptions(iterations=1, steps_per_iteration=4))
    assert "of the time went into waiting for input; more --workers" in capsys.readouterr().out


def test_the_first_iteration_of_a_leg_may_wait_for_its_loader_to_start(tmp_path, capsys):
    def wait_at_first(batch):
        threading.Event().wait(0.5)
        return batch

    train(tmp_path, stream=Broken(0, wait_at_first), options=FitOptions(iterations=2, steps_per_iteration=4))
    assert "of the time went into waiting for input" not in capsys.readouterr().out


def test_a_collapsed_encoder_is_told_once_it_lasts_and_not_when_it_has_hardly_begun():
    stage = small_stages()["encoder"]
    rows = [{"embedding_spread": spread} for spread in (4e-4, 5e-4, 6e-4)]
    assert stage.remark(rows[:2]) == "" and stage.remark([*rows, {"embedding_spread": 0.4}]) == ""
    assert "has collapsed; start again" in stage.remark(rows)


def test_the_bar_shows_a_number_from_the_first_look_on(tmp_path, capsys):
    train(tmp_path, options=FitOptions(iterations=1, steps_per_iteration=8, log_every=2))
    said = capsys.readouterr().err
    assert "loss=" in said and "nan" not in said


def test_a_step_in_parts_takes_equal_rows_of_each(tmp_path):
    seen = []

    class Looking(DiceStage):
        def loss(self, model, batch, runtime):
            seen.append(batch.ids)
            return super().loss(model, batch, runtime)

    train(tmp_path, Looking(), options=FitOptions(iterations=1, steps_per_iteration=1, accumulate=4))
    assert seen == [(f"step0-image{i}", f"step0-image{i + 1}") for i in range(0, 8, 2)]


def test_without_blocks_nothing_can_be_computed_again(tmp_path):
    with pytest.raises(BadConfig, match="--recompute: this network has no blocks"):
        train(tmp_path, options=FitOptions(recompute=True))
