"""Where the catalog touches image files: their headers, never their pixels.

The imaging room loads on first use, so that reading a finished catalog stays cheap.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path

from mammolibs.errors import BadFile, MammolibsError
from mammolibs.records import ImageFacts
from mammolibs.storage import Shadow

# Below this many files a pool of processes costs more than it saves.
POOL_FROM_FILES = 4000
FILES_AT_A_TIME = 64
MOST_WORKERS = 16
BAR_AFTER_SECONDS = 2.0
_SHADOW: ContextVar[Shadow | None] = ContextVar("shadow", default=None)


def iter_image_files(folder: Path) -> Iterator[Path]:
    """The files below a folder that look like images, by ending or by the DICOM mark."""
    from mammolibs.imaging import iter_image_files as files

    return files(folder)


def listed_images(dicomdir: Path) -> list[str]:
    """The images that a DICOMDIR lists, below its folder, with "/". Raises BadFile."""
    from mammolibs.imaging.dicomdir import listed_images as listed

    return listed(dicomdir)


def read_facts(path: Path) -> ImageFacts:
    """What the header of one image file says. Raises BadFile."""
    from mammolibs.imaging import read_facts as read

    return read(path)


class Headers:
    """The headers of many files, read at once: `headers[path]` gives the facts, or raises the BadFile of that file.

    Many files are read by a pool of processes, which survives a file that hangs or kills its reader. Of files
    that stand for objects of a bucket (`headers_from`) the headers are fetched first.
    """

    def __init__(self, paths: Iterable[Path]):
        from tqdm import tqdm

        wanted = list(dict.fromkeys(paths))
        self._answers: dict[Path, ImageFacts | MammolibsError] = {}
        if shadow := _SHADOW.get():
            self._answers |= bring_headers(shadow, wanted)
            wanted = [path for path in wanted if path not in self._answers]
        with tqdm(total=len(wanted), desc="reading headers", unit="file", delay=BAR_AFTER_SECONDS, leave=False) as bar:
            for done in _read_all(wanted):
                self._answers |= done
                bar.update(len(done))

    def __getitem__(self, path: Path) -> ImageFacts:
        answer = self._answers[path]
        if isinstance(answer, MammolibsError):
            raise answer
        return answer


@contextlib.contextmanager
def headers_from(shadow: Shadow) -> Iterator[None]:
    """In here the headers of files in a bucket's shadow are fetched before they are read."""
    token = _SHADOW.set(shadow)
    try:
        yield
    finally:
        _SHADOW.reset(token)


def bring_headers(shadow: Shadow, paths: Iterable[Path]) -> dict[Path, BadFile]:
    """Fetch what `read_facts` needs of each file; those whose objects cannot be read, with the reason. Raises as `Shadow.bring`."""
    from mammolibs.imaging.beginning import bytes_needed

    return shadow.bring(paths, bytes_needed)


def _read_all(paths: list[Path]) -> Iterator[dict[Path, ImageFacts | MammolibsError]]:
    """Answers in groups: one process where the files are few, else a pool that is handed many files at a time."""
    from mammolibs.imaging.pool import map_files

    if len(paths) < POOL_FROM_FILES:
        yield from ({path: answer} for path, answer in map_files(read_facts, paths, workers=0))
        return
    workers = min(os.cpu_count() or 1, MOST_WORKERS)
    groups = [tuple(paths[i : i + FILES_AT_A_TIME]) for i in range(0, len(paths), FILES_AT_A_TIME)]
    lost: list[Path] = []
    for group, answers in map_files(read_group, groups, workers=workers, describe=lambda group: str(group[0])):
        if isinstance(answers, MammolibsError):
            lost += group
        else:
            yield dict(zip(group, answers, strict=True))
    # A file that took its process down took its group with it: one at a time names it.
    for path, answer in map_files(read_facts, lost, workers=min(workers, len(lost)) or 1):
        yield {path: answer}


def read_group(paths: tuple[Path, ...]) -> list[ImageFacts | MammolibsError]:
    """The facts of each file, or the error that it met. Runs in the pool's processes."""
    from mammolibs.imaging.pool import map_files

    return [answer for _, answer in map_files(read_facts, paths, workers=0)]
