"""What happens when an iteration ends: validation, a row of history, weights on disk, a line for the reader."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from tqdm import tqdm

from mammolibs.engine.curves import Curves
from mammolibs.engine.folder import Best, prune_weights, read_best, weights_stem, write_best
from mammolibs.engine.history import figures, read_history, write_history
from mammolibs.engine.options import FitOptions, FitResult
from mammolibs.engine.run import Run
from mammolibs.engine.saving import StateWriter
from mammolibs.engine.schedule import rate_at
from mammolibs.engine.stage import Stage, Validate
from mammolibs.engine.watch import Watch
from mammolibs.records import RunCard

# A share of the time spent waiting for batches above which it is said.
INPUT_DOMINATES = 0.5


class Keeper:
    """Keeps a run's results: its history and curves, its best and last weights, its states."""

    def __init__(self, run: Run, stage: Stage, card: RunCard, options: FitOptions, validate: Validate, backup: Callable[[], None]):
        self.run, self.stage, self.card, self.options, self.validate = run, stage, card, options, validate
        self.history = [row for row in read_history(run.folder) if row["iteration"] <= run.iteration]
        self.best = read_best(run.folder, stage.monitor, stage.higher_is_better, run.iteration)
        self.metrics: dict[str, Any] = {}
        self.began = time.perf_counter()
        self.states = StateWriter(run, options, backup)
        self.curves = Curves(run.folder, wanted=options.tensorboard and run.runtime.is_main, after=run.iteration)
        if run.why:
            self._say(f"{stage.name}: finished already, at iteration {run.iteration} of {run.leg.last_iteration}")
        else:
            if run.step > run.leg.start_step:
                plan = f"to iteration {run.leg.last_iteration} at a learning rate of {run.leg.learning_rate:g}, as planned"
                self._say(f"{stage.name}: goes on after step {run.step}, iteration {run.iteration}, {plan}")
            # A plan on disk from the first step on, and a full disk or a closed folder found before hours of work.
            self.states.save(run.pending, wait=True)

    def __enter__(self) -> Keeper:
        return self

    def __exit__(self, kind: type | None, error: object, _trace: object) -> None:
        self.curves.close()
        self.states.close(quietly=error is not None)

    def end_iteration(self, watch: Watch) -> None:
        """Validate, write down, keep weights where they are best, a tenth or last, and decide whether the leg ends."""
        run, row = self.run, watch.end_iteration()
        judged = run.judged.eval()
        with torch.no_grad():
            self.metrics = self.validate(judged)
        run.model.train()
        numbers = figures(self.metrics)
        watch.restore({})
        iteration = run.iteration
        row = {"iteration": iteration, "step": run.step, "learning_rate": rate_at(run.step - 1, run.leg)} | row | numbers
        self.history = [*self.history, row]
        value = numbers.get(self.stage.monitor)
        run.why = self._why(iteration, value)
        better = self._is_better(value, last=bool(run.why))
        if better:
            self.best = Best(iteration=iteration, metric=self.stage.monitor, value=value)
        if run.runtime.is_main:
            write_history(run.folder, self.history)
            self.curves.add(row)
        if better or run.why or iteration % self.options.keep_every == 0:
            self._save_weights(iteration)
        if better and run.runtime.is_main:
            write_best(run.folder, self.best)
        if run.runtime.is_main:
            prune_weights(run.folder, {iteration, self.best.iteration if self.best else iteration}, self.options.keep_every)
        self._say(self._line(row, value))
        if remark := self.stage.remark(self.history):
            self._say(f"{self.stage.name}: {remark}")
        if row["wait_share"] > INPUT_DOMINATES and not self._starting(row):
            self._say(
                f"{self.stage.name}: {row['wait_share']:.0%} of the time went into waiting for input; more --workers, or data on a nearer disk, would help"
            )

    def _starting(self, row: dict[str, float]) -> bool:
        """In a leg's first iteration the loader's processes start, which is no sign of slow input unless the wait goes on after it."""
        return not self.run.why and row["iteration"] == self.run.leg.start_iteration + 1

    def result(self) -> FitResult:
        """Where the results are; prints which weights were saved."""
        run, last = self.run, weights_stem(self.run.folder, self.run.iteration)
        best = self.best or Best(iteration=run.iteration, metric=self.stage.monitor, value=None)
        self._say(f"{last.with_suffix('.pth')} saved successfully")
        return FitResult(
            stage=self.stage.name,
            iteration=run.iteration,
            steps=run.step,
            why=run.why,
            weights=last.with_suffix(".safetensors"),
            best_iteration=best.iteration,
            best_value=best.value,
            best_weights=weights_stem(run.folder, best.iteration).with_suffix(".safetensors"),
            metrics=self.metrics,
            seconds=time.perf_counter() - self.began,
        )

    def _is_better(self, value: float | None, last: bool) -> bool:
        """Does this iteration become the best? Where none had a figure, the last one does."""
        best = self.best.value if self.best else None
        if value is None or best is None:
            return value is not None or (last and best is None)
        return value > best if self.stage.higher_is_better else value < best

    def _why(self, iteration: int, value: float | None) -> str:
        if iteration >= self.run.leg.last_iteration:
            return "planned"
        if self._is_better(value, last=False):
            return ""
        since = max(self.best.iteration if self.best else 0, self.run.leg.start_iteration)
        return "patience" if 0 < self.options.patience <= iteration - since else ""

    def _save_weights(self, iteration: int) -> None:
        from mammolibs.models.weights import save_weights

        run = self.run
        state = {name: tensor.contiguous() for name, tensor in run.runtime.to_host(run.judged.state_dict()).items()}
        if not run.runtime.is_main:
            return
        options = (
            self.card.options
            | {"fit": dataclasses.asdict(self.options)}
            | {name: run.facts[name] for name in ("global_batch", "accumulate")}
        )
        card = dataclasses.replace(
            self.card, iteration=iteration, steps=run.step, seed=self.options.seed, metrics=self.metrics, options=options
        )
        save_weights(weights_stem(run.folder, iteration), state, card)

    def _line(self, row: dict[str, float], value: float | None) -> str:
        shown = "none" if value is None else f"{value:.4f}"
        mark = " (best)" if self.best and self.best.iteration == row["iteration"] else ""
        return (
            f"Iter: {int(row['iteration'])}/{self.run.leg.last_iteration} | Tr_loss: {row['train_loss']:.4f} | "
            f"{self.stage.monitor}: {shown}{mark} | {row['seconds']:.0f}s | waiting for input {row['wait_share']:.0%}"
        )

    def _say(self, line: str) -> None:
        if self.run.runtime.is_main:
            # tqdm.write draws the bar anew, which in a log file would be one more line each time.
            (tqdm.write if sys.stderr.isatty() else print)(line, file=sys.stdout)
            sys.stdout.flush()


def progress_bar(run: Run, name: str) -> tqdm:
    """A bar over the leg's steps with rate and time left; rare lines where nobody watches a terminal."""
    return tqdm(
        total=run.leg.last_step - run.leg.start_step,
        initial=run.step - run.leg.start_step,
        desc=name,
        unit="step",
        mininterval=0.5 if sys.stderr.isatty() else 30.0,
        disable=not run.runtime.is_main,
        dynamic_ncols=True,
    )
