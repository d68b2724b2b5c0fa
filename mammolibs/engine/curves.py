"""The rows of history.csv as TensorBoard curves, for who watches a run in its browser page."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mammolibs.errors import BadConfig

CURVES_FOLDER = "tensorboard"
# The place of a row on the axis, no curve of its own.
AXIS = "iteration"


def check_tensorboard(wanted: bool) -> None:
    """Raises BadConfig where curves are wanted and the package that writes them is not there."""
    if wanted and find_spec("tensorboard") is None:
        raise BadConfig(
            "--tensorboard: the tensorboard package is not installed; pip install 'mammolibs[tensorboard]', or leave the flag out: "
            "history.csv holds the same curves"
        )


class Curves:
    """Writes one event per figure and iteration into `<folder>/tensorboard`; does nothing where they are not wanted.

    after: the last iteration that stands; what an earlier process wrote after it is hidden from the page.
    """

    def __init__(self, folder: Path, *, wanted: bool, after: int):
        self._writer: Any = None
        if wanted:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder / CURVES_FOLDER), purge_step=after + 1)

    def add(self, row: dict[str, float]) -> None:
        """A row of the history; on disk when it returns."""
        if self._writer is not None:
            for name, value in row.items():
                if name != AXIS:
                    self._writer.add_scalar(name, value, int(row[AXIS]))
            self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
