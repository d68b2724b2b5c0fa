"""Small pictures of catalogued images, kept on disk: what images are compared by without reading them again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from mammolibs.errors import BadFile, MammolibsError
from mammolibs.records import ImageRow
from mammolibs.storage import Place, disk_stamp, is_local, local_file, write_atomic

SIDE_PX = 256
BAR_AFTER_SECONDS = 2.0
# Part of a kept picture's name: another number where the way it is made changes.
_FORMAT = 1


def shrink(pixels: np.ndarray) -> np.ndarray:
    """A display image (float H W in [0, 1]) as uint8 with a longer side of `SIDE_PX`, the square root of its area means.

    The square root gives the dark half, where most of a breast lies, more of the 256 levels.
    """
    import cv2

    scale = SIDE_PX / max(pixels.shape)
    size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    small = cv2.resize(pixels.astype(np.float32), size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return np.rint(255 * np.sqrt(np.clip(small, 0, 1))).astype(np.uint8)


@dataclass(frozen=True)
class Thumbnails:
    """A folder of thumbnails as PNG files, named by a hash of path, frame and state (see `_state`) of their image.

    folder: None keeps none. workers: processes that read images; 0 reads in this one, without
    protection against a file that hangs or kills its reader.
    """

    folder: Path | None = None
    workers: int = 0

    def read(self, rows: Sequence[ImageRow]) -> Iterator[tuple[ImageRow, np.ndarray | MammolibsError]]:
        """Each row with its thumbnail (uint8 H W) or the error that its file met, in the order in which they are done."""
        from tqdm import tqdm

        from mammolibs.imaging.pool import map_files

        read = partial(read_thumbnail, folder=self.folder)
        done = map_files(read, rows, workers=min(self.workers, len(rows)), describe=_describe)
        yield from tqdm(done, total=len(rows), desc="reading images", unit="image", delay=BAR_AFTER_SECONDS, leave=False)


def read_thumbnail(row: ImageRow, folder: Path | None) -> np.ndarray:
    """The row's thumbnail, uint8 H W: the kept one, else made of the image and kept. Raises BadFile."""
    import cv2

    from mammolibs.imaging import read_mammogram

    name = hashlib.sha256(f"{_FORMAT}\0{row.path}\0{row.frame}\0{_state(row.path)}".encode()).hexdigest()
    kept = folder / f"{name[:32]}.png" if folder else None
    if kept and kept.exists():
        found = cv2.imdecode(np.fromfile(kept, np.uint8), cv2.IMREAD_GRAYSCALE)
        if found is not None:
            return found
    with local_file(row.path) as path:
        made = shrink(read_mammogram(path, frame=row.frame).pixels)
    if kept:
        write_atomic(kept, cv2.imencode(".png", made)[1].tobytes())
    return made


def _state(location: str) -> str:
    """What tells one content of a file from another: its `disk_stamp`, in a bucket the generation. Raises BadFile."""
    state = disk_stamp(location) if is_local(location) else (Place.seen(location).generation,)
    if state is None or state == (0,):
        raise BadFile(location, "is not there", "restore it, or build the catalog again")
    return "\0".join(map(str, state))


def _describe(row: ImageRow) -> str:
    return row.path
