"""TensorBoard curves: the rows of the history, and a plain refusal where the package is missing."""

import importlib.util

import pytest

from mammolibs.engine import FitOptions, Start, fit, read_history
from mammolibs.engine import curves as curves_module
from mammolibs.errors import BadConfig
from mammolibs.pipeline.options import TrainOptions, UNetOptions
from mammolibs.runtime.single import SingleRuntime
from tests.engine.tiny import Batches, DiceStage, card, validator


def train(folder, iterations, start):
    runtime = SingleRuntime("float32", device="cpu")
    options = FitOptions(iterations=iterations, steps_per_iteration=2, learning_rate=1e-2, keep_every=1, tensorboard=True)
    return fit(DiceStage(), runtime, train=Batches(), validate=validator(runtime), folder=folder, card=card(), options=options, start=start)


@pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None, reason="the tensorboard package is not installed (extra mammolibs[tensorboard])"
)
def test_curves_are_the_history_also_after_going_back(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(tmp_path, 3, Start.fresh())
    train(tmp_path, 1, Start.from_iteration(1))
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    rows = read_history(tmp_path)
    assert [row["iteration"] for row in rows] == [1, 2]
    assert (
        {"train_loss", "dice", "learning_rate"} <= set(events.Tags()["scalars"]) == {name for row in rows for name in row} - {"iteration"}
    )
    for name in events.Tags()["scalars"]:
        found = [(event.step, event.value) for event in events.Scalars(name)]
        # What was written of the iterations that were gone back from is hidden.
        assert found == [(row["iteration"], pytest.approx(row[name], rel=1e-6)) for row in rows], name


def test_without_the_package_curves_are_refused_before_any_work(monkeypatch):
    monkeypatch.setattr(curves_module, "find_spec", lambda name: None)
    for options in (UNetOptions, TrainOptions, FitOptions):
        with pytest.raises(BadConfig, match=r"pip install 'mammolibs\[tensorboard\]'"):
            options(tensorboard=True)
        assert not options().tensorboard
