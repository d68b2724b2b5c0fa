"""What one leg of training leaves behind, and when it ends."""

from __future__ import annotations

import json
import math

import pytest
import torch

from mammolibs.engine import FitOptions, Start, fit, read_history, saved_iterations
from mammolibs.engine.history import figures
from mammolibs.engine.schedule import Leg, rate_at, step_seed
from mammolibs.models.weights import load_weights
from mammolibs.records import Estimate
from mammolibs.runtime.single import SingleRuntime
from tests.engine.tiny import Batches, DiceStage, card, validator


def train(folder, values, stage=None, **options):
    """Trains with a validation figure that takes the given values, one per iteration."""
    runtime, told = SingleRuntime("float32", device="cpu"), iter(values)
    options = {"iterations": len(values), "steps_per_iteration": 1} | options

    def validate(model):
        assert not model.training and not torch.is_grad_enabled()
        return {"dice": next(told), "other": 1.0}

    return fit(stage or DiceStage(), runtime, train=Batches(), validate=validate, folder=folder, card=card(), options=FitOptions(**options))


def test_best_last_and_every_tenth_are_kept(tmp_path, capsys):
    values = [0.1, 0.5, 0.3, Estimate(value=0.9), 0.4, 0.4, 0.2, 0.1, 0.1, 0.1, 0.3, Estimate(value=None, reason="none"), math.nan]
    result = train(tmp_path, values)
    assert saved_iterations(tmp_path) == [4, 10, 13]
    assert json.loads((tmp_path / "best.json").read_text()) == {"iteration": 4, "metric": "dice", "value": 0.9}
    assert (result.best_iteration, result.best_value, result.why) == (4, 0.9, "planned")
    out = capsys.readouterr().out
    assert f"{tmp_path / 'model_iter_13.pth'} saved successfully" in out
    assert "Iter: 4/13 | Tr_loss: " in out and "| dice: 0.9000 (best) |" in out and "| dice: none |" in out


def test_lower_can_be_better(tmp_path):
    stage = DiceStage()
    stage.higher_is_better = False
    assert train(tmp_path, [0.5, 0.2, 0.4], stage).best_iteration == 2


def test_patience_ends_the_leg_and_the_last_weights_are_there(tmp_path):
    result = train(tmp_path, [0.1, 0.3, 0.2, 0.3, 0.9], patience=2)
    assert (result.why, result.iteration) == ("patience", 4)
    assert saved_iterations(tmp_path) == [2, 4] and result.weights.exists()


def test_without_any_figure_the_last_iteration_counts_as_the_best(tmp_path):
    result = train(tmp_path, [math.nan, math.nan])
    assert json.loads((tmp_path / "best.json").read_text()) == {"iteration": 2, "metric": "dice", "value": None}
    assert (result.best_iteration, result.best_value) == (2, None)
    fresh = SingleRuntime("float32", device="cpu")
    options = FitOptions(iterations=2, steps_per_iteration=1)
    again = fit(
        DiceStage(), fresh, train=Batches(), validate=validator(fresh), folder=tmp_path, card=card(), options=options,
        start=Start.from_iteration(2),
    )  # fmt: skip
    assert again.best_iteration in (3, 4) and again.best_value > 0


def test_weights_history_and_card_agree(tmp_path):
    result = train(tmp_path, [0.1, 0.2], steps_per_iteration=3, learning_rate=1e-2)
    state, written = load_weights(result.weights)
    assert torch.equal(torch.load(tmp_path / "model_iter_2.pth", weights_only=True)["last.weight"], state["last.weight"])
    assert set(state) == set(DiceStage().build().state_dict())
    assert (written.iteration, written.steps, written.metrics["dice"]) == (2, 6, 0.2)
    assert written.options["fit"]["learning_rate"] == 1e-2 and written.options["global_batch"] == 8
    rows = read_history(tmp_path)
    assert [row["step"] for row in rows] == [3, 6]
    assert {"train_loss", "train_bce", "learning_rate", "dice", "other", "seconds", "wait_share"} <= set(rows[0])


def test_the_logged_loss_is_the_mean_over_the_iteration(tmp_path):
    runtime, seen = SingleRuntime("float32", device="cpu"), []

    class Spy(DiceStage):
        def loss(self, model, batch, runtime):
            loss, terms = super().loss(model, batch, runtime)
            seen.append((loss.detach(), [part.detach() for part in terms["bce"]]))
            return loss, terms

    fit(
        Spy(), runtime, train=Batches(), validate=validator(runtime), folder=tmp_path, card=card(),
        options=FitOptions(iterations=1, steps_per_iteration=5, log_every=2),
    )  # fmt: skip
    row = read_history(tmp_path)[0]
    assert row["train_loss"] == pytest.approx(float(sum(loss for loss, _ in seen)) / 5, rel=1e-6)
    assert row["train_bce"] == pytest.approx(float(sum(t[0] for _, t in seen) / sum(t[1] for _, t in seen)), rel=1e-6)


def test_averaged_weights_follow_the_closed_form(tmp_path):
    runtime, raw, judged = SingleRuntime("float32", device="cpu"), [], []

    class Spy(DiceStage):
        def loss(self, model, batch, runtime):
            raw.append(model.last.weight.detach().clone())
            self.model = model
            return super().loss(model, batch, runtime)

    stage = Spy()

    def validate(model):
        judged.append(model.last.weight.detach().clone())
        return {"dice": 0.0}

    fit(
        stage, runtime, train=Batches(), validate=validate, folder=tmp_path, card=card(),
        options=FitOptions(iterations=3, steps_per_iteration=1, ema=0.8, learning_rate=1e-2),
    )  # fmt: skip
    raw.append(stage.model.last.weight.detach())
    expected = raw[0]
    for now, shown in zip(raw[1:], judged, strict=True):
        expected = 0.8 * expected + 0.2 * now
        torch.testing.assert_close(shown, expected)


def test_init_is_given_the_new_network_and_its_report_is_printed(tmp_path, capsys):
    runtime = SingleRuntime("float32", device="cpu")

    def zero(model):
        model.last.weight.data.zero_()
        return "one tensor set to nothing"

    seen = []

    class Spy(DiceStage):
        def loss(self, model, batch, runtime):
            seen.append(model.last.weight.detach().clone())
            return super().loss(model, batch, runtime)

    fit(
        Spy(), runtime, train=Batches(), validate=validator(runtime), folder=tmp_path, card=card(),
        options=FitOptions(iterations=1, steps_per_iteration=1), start=Start.fresh(zero),
    )  # fmt: skip
    assert not seen[0].any() and "one tensor set to nothing" in capsys.readouterr().out


def test_the_callers_generator_is_left_alone(tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(tmp_path, [0.1])
    assert torch.equal(torch.rand(3), expected)


def test_the_rate_warms_up_falls_and_is_never_nothing():
    leg = Leg(start_iteration=3, start_step=30, iterations=10, steps_per_iteration=10, learning_rate=1e-2, warmup_steps=10)
    rates = [rate_at(step, leg) for step in range(30, 130)]
    assert rates == [rate_at(step, leg) for step in range(30, 130)]
    assert rates[0] == pytest.approx(1e-2 / 11) and max(rates) == rates[10] == 1e-2
    assert all(a < b for a, b in zip(rates[:10], rates[1:11], strict=True)) and all(
        a > b for a, b in zip(rates[10:], rates[11:], strict=False)
    )
    assert rates[55] == pytest.approx(1e-2 * (0.01 + 0.99 * 0.5)) and 0 < 1e-4 < rates[-1] < 2e-4
    short = Leg(start_iteration=0, start_step=0, iterations=1, steps_per_iteration=1, learning_rate=0.5, warmup_steps=20)
    assert rate_at(0, short) == 0.5
    assert len({step_seed(seed, step) for seed in range(20) for step in range(500)}) == 10_000


def test_figures_leave_out_what_is_no_number():
    metrics = {"a": 1, "b": Estimate(value=0.5), "c": Estimate(value=None), "d": math.inf, "e": None}
    assert figures(metrics) == {"a": 1.0, "b": 0.5}
