"""XLA through SPMD: one process per host, one program that sees the global batch, its rows divided over all cores.

The only file that names torch_xla.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mammolibs.errors import BadConfig, RuntimeUnavailable
from mammolibs.records import Batch
from mammolibs.runtime.checksum import checksums
from mammolibs.runtime.norms import shard_norms
from mammolibs.runtime.precision import choose_precision
from mammolibs.runtime.single import one_ahead
from mammolibs.runtime.trees import copy_to_host, map_batch, map_tensors

CACHE_VARIABLE = "MAMMOLIBS_XLA_CACHE"
_READ = "aten::_local_scalar_dense"
# What torch's batch, group, instance and layer norms become: the partitioner does not divide it.
_UNDIVIDED = frozenset({"xla::native_batch_norm", "xla::native_batch_norm_backward"})


class XlaRuntime:
    """Runtime over all cores of an XLA device; see `runtime.protocol.Runtime` for what each method promises.

    The program is the single-device program: sums over the batch, contrastive negatives and
    batch statistics are global by construction, so the collectives are identities.
    """

    kind = "xla"

    def __init__(self, precision: str = "auto"):
        asked = os.environ["PJRT_DEVICE"]
        self._xla, self._xm, self._xr, self._xs, self._metrics = _import(asked)
        _keep_programs(self._xr, asked)
        self._xr.use_spmd()
        try:
            self.device = self._xla.device()
        except (RuntimeError, OSError) as error:
            raise RuntimeUnavailable(f"PJRT_DEVICE={asked}: the device does not start ({str(error).splitlines()[0]})") from error
        self.world = self._xr.global_runtime_device_count()
        self.hosts, self.host = self._xr.process_count(), self._xr.process_index()
        self.mesh = self._xs.Mesh(list(range(self.world)), (self.world,), ("data",))
        self.precision, self.precision_reason = choose_precision(precision, f"xla:{asked}")
        self.reason = f"PJRT_DEVICE={asked}, SPMD"
        self.undivided = _UNDIVIDED if self.world > 1 else frozenset()

    @property
    def is_main(self) -> bool:
        return self.host == 0

    def seed(self, value: int) -> None:
        torch.manual_seed(value)
        self._xm.set_rng_state(value)

    def prepare(self, model: nn.Module) -> nn.Module:
        return shard_norms(model).to(self.device)

    def feed(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        return one_ahead(lambda batch: map_batch(self._place_rows, batch), batches)

    def place(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device)

    def autocast(self) -> AbstractContextManager:
        return nullcontext() if self.precision == "float32" else torch.autocast("xla", dtype=torch.bfloat16)

    def global_sum(self, tensor: Tensor) -> Tensor:
        return tensor

    def global_cat(self, tensor: Tensor) -> Tensor:
        return tensor

    def average_gradients(self, model: nn.Module) -> None:
        return None

    def end_part(self) -> None:
        self._xla.sync()

    def end_step(self) -> None:
        self._xla.sync()

    def optimizer_options(self) -> dict[str, Any]:
        # Else AdamW counts steps on the host, and a bias correction that has come to 1 (near step
        # 16,600) is compiled into the program as a constant, which is one more program.
        return {"capturable": True}

    def read(self, totals: Tensor) -> list[float]:
        return self.to_host(totals).tolist()

    def to_host(self, tree: Any) -> Any:
        self._xla.sync()
        return map_tensors(copy_to_host, tree)

    def gather_rows(self, tree: Any) -> Any:
        return self.to_host(map_tensors(self._replicated, tree))

    def agree(self, flag: bool) -> bool:
        if self.hosts == 1:
            return flag
        own_cores = self.world // self.hosts
        return self.read(self._place_rows(torch.full((own_cores,), float(flag))).sum().reshape(1))[0] > 0

    def wait_for_hosts(self) -> None:
        self.agree(False)

    def checkpoint(self, function: Callable[..., Any], *inputs: Any) -> Any:
        from torch_xla.utils.checkpoint import checkpoint

        return checkpoint(function, *inputs, use_reentrant=True)

    def replicas(self, tensors: Iterable[Tensor]) -> list[list[int]]:
        sums = checksums(tensors)
        self._xs.mark_sharding(sums, self.mesh, (None,))
        self._xla.sync(wait=True)
        own = torch.stack([shard.data for shard in self._xs.wrap_if_sharded(sums).local_shards])
        return own.tolist() if self.hosts == 1 else self.gather_rows(self._place_rows(own)).tolist()

    def compile_count(self) -> int:
        found = self._metrics.metric_data("CompileTime")
        return found[0] if found else 0

    def operations(self) -> dict[str, int]:
        names = (name for name in self._metrics.counter_names() if name.startswith(("aten::", "xla::")))
        return {name: self._metrics.counter_value(name) for name in names}

    def fallbacks(self) -> list[str]:
        return [name for name in self._metrics.executed_fallback_ops() if name != _READ]

    def device_reads(self) -> int:
        found = self._metrics.metric_data("TransferFromDeviceTime")
        return found[0] if found else 0

    def _replicated(self, rows: Tensor) -> Tensor:
        """The rows whole on every core. Reading divided rows compiles a program each time, and other hosts' cores cannot be read."""
        whole = rows + 0  # a clone would keep the layout that the rows have
        self._xs.mark_sharding(whole, self.mesh, (None,) * rows.ndim)
        return whole

    def _place_rows(self, tensor: Tensor) -> Tensor:
        """Rows of this host on its cores, as rows of the global batch; the layout is checked on the tensor itself."""
        if tensor.shape[0] * self.hosts % self.world:
            raise BadConfig(f"a batch of {tensor.shape[0] * self.hosts} rows does not divide over {self.world} cores")
        spec = self._xs.ShardingSpec(self.mesh, ("data",) + (None,) * (tensor.ndim - 1), minibatch=self.hosts > 1)
        placed = self._xm.send_cpu_data_to_device([tensor.contiguous()], self.device, spec)[0]
        layout = self._xla._XLAC._get_xla_sharding_spec(placed)
        if self.world > 1 and not layout.startswith(f"{{devices=[{self.world}" + ",1" * (tensor.ndim - 1) + "]"):
            raise RuntimeUnavailable(
                f"XLA laid a batch of shape {tuple(tensor.shape)} out as {layout}, not divided over {self.world} cores"
            )
        return placed


def _keep_programs(xr: Any, asked: str) -> None:
    """Compiled programs on disk, so that the next start need not compile them; XLA's CPU backend cannot read them back."""
    chosen = os.environ.get(CACHE_VARIABLE, str(Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "mammolibs" / "xla"))
    if asked == "CPU" or not chosen:
        return
    # Hosts of a slice must not share a folder, and their numbers are not known before the device is started.
    xr.initialize_cache(str(Path(chosen) / os.environ.get("TPU_WORKER_ID", socket.gethostname())), readonly=False)


def _import(asked: str) -> tuple[Any, ...]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import torch_xla
        import torch_xla.core.xla_model as xm
        import torch_xla.debug.metrics as metrics
        import torch_xla.distributed.spmd as xs
        import torch_xla.runtime as xr
    except ImportError as error:
        raise RuntimeUnavailable(
            f"PJRT_DEVICE={asked}: torch_xla cannot be used with torch {torch.__version__} ({str(error).splitlines()[0]}); "
            "both must be 2.9.0: pip install torch==2.9.0 torch_xla==2.9.0, or unset PJRT_DEVICE"
        ) from error
    return torch_xla, xm, xr, xs, metrics
