"""One stage in training: what it is made of, how it begins, and how it is put into a state."""

from __future__ import annotations

import copy
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mammolibs.engine.checkpoint import check_facts, newest_state, state_after
from mammolibs.engine.folder import move_aside, saved_iterations, weights_stem
from mammolibs.engine.options import FitOptions, Start
from mammolibs.engine.recompute import recompute_blocks
from mammolibs.engine.schedule import Leg
from mammolibs.engine.stage import Stage, TrainStream
from mammolibs.errors import BadConfig, BadFile, BadWeights
from mammolibs.records import Position, RunCard
from mammolibs.runtime import Runtime


@dataclass(kw_only=True)
class Run:
    """All that changes while a stage trains. step counts what is done; why says how the leg ended, "" before that."""

    runtime: Runtime
    folder: Path
    facts: dict[str, Any]
    leg: Leg
    step: int
    why: str
    model: nn.Module
    averaged: nn.Module | None
    optimizer: torch.optim.Optimizer
    pending: dict[str, list[float]]

    @property
    def iteration(self) -> int:
        return self.leg.iteration_at(self.step)

    @property
    def judged(self) -> nn.Module:
        """The network that is validated and saved."""
        return self.model if self.averaged is None else self.averaged

    def set_rate(self, rate: float) -> None:
        """Use this learning rate for the next step."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def average(self, decay: float) -> None:
        """Move the averaged weights towards the present ones; buffers are taken as they are."""
        if self.averaged is None:
            return
        with torch.no_grad():
            for mean, now in zip(self.averaged.parameters(), self.model.parameters(), strict=True):
                mean.lerp_(now, 1 - decay)
            for mean, now in zip(self.averaged.buffers(), self.model.buffers(), strict=True):
                mean.copy_(now)

    def state(self, pending: dict[str, list[float]]) -> dict[str, Any]:
        """A state to go on from, copied to the host."""
        state = {
            "step": self.step,
            "iteration": self.iteration,
            "at_iteration_end": self.step == self.leg.start_step or self.leg.ends_iteration(self.step),
            "why": self.why,
            "facts": self.facts,
            "leg": asdict(self.leg),
            "position": asdict(Position(seed=self.facts["seed"], step=self.step, global_batch=self.facts["global_batch"])),
            "model": self.model.state_dict(),
            "averaged": None if self.averaged is None else self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "pending": pending,
        }
        return self.runtime.to_host(state)


def begin(stage: Stage, runtime: Runtime, train: TrainStream, folder: Path, card: RunCard, options: FitOptions, start: Start) -> Run:
    """The run as `start` asks for it, on the device, with its plan. Earlier results that do not belong to it are moved aside.

    Raises BadFile where what it is to start from is not there, BadWeights and BadConfig
    where that was made for something else.
    """
    facts = {
        "stage": stage.name,
        "architecture": json.dumps(card.architecture, sort_keys=True, default=str),
        "contract_hash": card.contract_hash,
        "data_hash": card.data_hash,
        "split_hash": card.split_hash,
        "global_batch": train.global_batch,
        "seed": options.seed,
        "accumulate": options.accumulate,
    }
    state, weights, at = _source(folder, facts, start)
    runtime.seed(options.seed)
    model = stage.build()
    if start.mode == "fresh" and start.init is not None:
        _say(runtime, start.init(model))
    if state or weights:
        _load(model, state["model"] if state else weights, folder)
    if start.mode != "resume":
        _make_room(runtime, folder, None if start.mode == "fresh" else start.iteration)
    # Copied before it is placed: on XLA a copy of what is placed would be one more program.
    averaged = runtime.prepare(copy.deepcopy(model).requires_grad_(False).eval()) if options.ema else None
    model = runtime.prepare(model)
    optimizer = torch.optim.AdamW(_groups(model, options.weight_decay), lr=options.learning_rate, **runtime.optimizer_options())
    if state:
        for group in state["optimizer"]["param_groups"]:
            # A state may come from another kind of device.
            group |= runtime.optimizer_options()
        optimizer.load_state_dict(state["optimizer"])
        if averaged is not None and state["averaged"] is not None:
            _load(averaged, state["averaged"], folder)
    if options.recompute:
        recompute_blocks(model, runtime)
    model.train()
    run = Run(
        runtime=runtime, folder=folder, facts=facts, leg=_leg(runtime, train, options, start, state, at), step=at[1], why="",
        model=model, averaged=averaged, optimizer=optimizer, pending={},
    )  # fmt: skip
    if start.mode == "resume":
        run.why, run.pending = state["why"], state["pending"]
    return run


def _source(folder: Path, facts: dict, start: Start) -> tuple[dict | None, dict | None, tuple[int, int]]:
    """(state, weights, (iteration, step)) that the run starts from, checked against what this run is."""
    if start.mode == "fresh":
        return None, None, (0, 0)
    state = newest_state(folder) if start.mode == "resume" else state_after(folder, start.iteration)
    if state is not None:
        check_facts(state["facts"], facts, folder)
        return state, None, (state["iteration"], state["step"])
    if start.mode == "resume":
        raise BadFile(folder, "holds no readable state to go on from", "start the stage afresh with --pretrain no")
    from mammolibs.models.weights import load_weights

    path = weights_stem(folder, start.iteration).with_suffix(".safetensors")
    if not path.exists():
        there = ", ".join(map(str, saved_iterations(folder))) or "none"
        raise BadFile(path, "is not there", f"iterations that are: {there}")
    weights, card = load_weights(path)
    if card is None:
        raise BadFile(
            path.with_suffix(".json"), "is not there, so nobody knows how many steps the weights have had", "give another iteration"
        )
    found = {name: getattr(card, name) for name in ("stage", "contract_hash", "data_hash", "split_hash", "seed")}
    found["architecture"] = json.dumps(card.architecture, sort_keys=True, default=str)
    check_facts(found | {name: card.options.get(name, facts[name]) for name in ("global_batch", "accumulate")}, facts, path)
    print(f"{path}: its weights with a fresh optimizer, no state holds iteration {start.iteration}", flush=True)
    return None, weights, (start.iteration, card.steps)


def _leg(runtime: Runtime, train: TrainStream, options: FitOptions, start: Start, state: dict | None, at: tuple[int, int]) -> Leg:
    asked = Leg(
        start_iteration=at[0],
        start_step=at[1],
        iterations=options.iterations,
        steps_per_iteration=options.steps_per_iteration or train.steps_per_pass,
        learning_rate=options.learning_rate,
        warmup_steps=options.warmup_steps,
    )
    return _planned(runtime, Leg(**state["leg"]), asked) if start.mode == "resume" else asked


def _planned(runtime: Runtime, leg: Leg, asked: Leg) -> Leg:
    """The interrupted leg as it was planned: another length or rate half way would make another schedule of it. Says so."""
    plans = [f"{x.iterations} iterations of {x.steps_per_iteration} steps at {x.learning_rate:g}" for x in (leg, asked)]
    if plans[0] != plans[1]:
        _say(runtime, f"Goes on with the interrupted plan, {plans[0]}, not {plans[1]}; --pretrain no or --pretrain N makes a new one")
    return leg


def _load(model: nn.Module, tensors: dict[str, Any], where: Path) -> None:
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise BadWeights(f"{where}: its weights do not fit this network ({first[0].strip()}); start afresh with --pretrain no") from error


def _groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay on matrices and kernels only: on a norm's scale it would pull the output to nothing."""
    trained = [p for p in model.parameters() if p.requires_grad]
    if not trained:
        raise BadConfig("the stage has no weights to train: all of them are frozen")
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _make_room(runtime: Runtime, folder: Path, after_iteration: int | None) -> None:
    # Every host must have read what it starts from before the main one moves it.
    runtime.wait_for_hosts()
    if runtime.is_main:
        aside = move_aside(folder, after_iteration)
        _say(runtime, aside and f"Earlier results moved aside to {aside}")
    runtime.wait_for_hosts()


def _say(runtime: Runtime, message: Any) -> None:
    if message is not None and runtime.is_main:
        print(message, flush=True)
