"""Plants one fault after the other in a training run and writes down, as JSON, what the guards said.

usage: faults_worker.py FILE
"""

import functools
import json
import sys
import tempfile
import warnings
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from mammolibs.engine import FitOptions, fit
from mammolibs.errors import MammolibsError
from mammolibs.runtime import get_runtime
from tests.engine.tiny import Batches, DiceStage, TinyNet, card, validator

AT = 4
STEPS = 8


class Planted(DiceStage):
    """Does something else in the loss of one step, counted from 0."""

    def __init__(self, act):
        super().__init__()
        self.act, self.calls = act, 0

    def loss(self, model, batch, runtime):
        loss, terms = super().loss(model, batch, runtime)
        self.calls += 1
        return self.act(loss, batch, self.calls - 1), terms


class Smaller(Batches):
    """Images of another size from one step on."""

    def make(self, step: int):
        self.size = 16 if step < AT else 12
        return super().make(step)


class WholeBatchNet(TinyNet):
    """The norm as a function, which no runtime can swap for a form that stays divided."""

    def features(self, x):
        x = torch.relu(F.group_norm(self.first(x), 4))
        return torch.relu(F.group_norm(self.second(x), 4))


class WholeBatchStage(DiceStage):
    def build(self) -> nn.Module:
        return WholeBatchNet()


def said(runtime, stage, stream=None, **more) -> list[str]:
    """The error that a run ended with, and its warnings."""
    options = FitOptions(iterations=1, steps_per_iteration=STEPS, log_every=2, save_seconds=0, **more)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        lines = []
        try:
            stream = stream or Batches(hosts=runtime.hosts, host=runtime.host)
            fit(stage, runtime, train=stream, validate=validator(runtime), folder=folder, card=card(), options=options)
        except MammolibsError as error:
            lines.append(str(error))
        return lines + [f"{Path(w.filename).name}: {w.message}" for w in caught if w.category.__name__ == "HostRead"]


def differing_replica(runtime):
    """Weights of which one replica differs, as a broken device would leave them."""
    model = DiceStage().build()
    if runtime.kind == "ddp":
        model = runtime.prepare(model)
        with torch.no_grad():
            model.second.weight[0, 0, 0, 0] += 1e-6 * runtime.host
        return model
    import torch_xla
    import torch_xla.distributed.spmd as xs

    model = runtime.prepare(model)
    own = model.second.weight.detach().cpu()
    shards = [own.clone() for _ in range(runtime.world)]
    shards[2][0, 0, 0, 0] += 1e-6
    spec = xs.ShardingSpec(runtime.mesh, (None,) * own.ndim)
    broken = torch_xla._XLAC._global_tensor_from_cpu_shards(shards, spec.mesh.get_op_sharding(spec.partition_spec), own.shape)
    model.second.weight = nn.Parameter(broken)
    return model


def replicas(runtime) -> list[str]:
    from mammolibs.engine.guards import Weights

    try:
        Weights(differing_replica(runtime), runtime, step=40, every=10)
    except MammolibsError as error:
        return [str(error)]
    return []


def main() -> None:
    torch.set_num_threads(1)
    runtime = get_runtime("float32", seed=0)
    found = {"replicas": replicas(runtime), "nothing": said(runtime, DiceStage())}
    if runtime.kind == "xla":
        found |= {
            "shapes": said(runtime, DiceStage(), Smaller()),
            "operations": said(runtime, Planted(lambda loss, batch, step: loss + 1e-3 * batch.images.abs().mean() if step == AT else loss)),
            "number": said(runtime, Planted(lambda loss, batch, step: loss * (1.0 if step == AT else 0.7))),
            "divided": said(runtime, WholeBatchStage()),
            "fallback": said(
                runtime, Planted(lambda loss, batch, step: loss + 0 * F.interpolate(batch.images, scale_factor=2, mode="bicubic").mean())
            ),
            "read": said(runtime, Planted(lambda loss, batch, step: loss * (1 if loss.item() else 2))),
        }
        usual = torch.optim.AdamW
        # With this decay the second moment's bias correction rounds to 1 at the third step instead of the 16,600th.
        torch.optim.AdamW = functools.partial(usual, betas=(0.9, 1.5e-3))
        found["late steps"] = said(runtime, DiceStage())
        runtime.optimizer_options = lambda: {"capturable": False}
        found["late steps counted on the host"] = said(runtime, DiceStage())
        torch.optim.AdamW = usual
    if runtime.is_main:
        Path(sys.argv[1]).write_text(json.dumps(found))
    runtime.wait_for_hosts()


if __name__ == "__main__":
    main()
