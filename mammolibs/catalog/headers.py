"""Where the catalog touches image files: their headers, never their pixels.

The imaging room loads on first use, so that reading a finished catalog stays cheap.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from mammolibs.errors import MammolibsError
from mammolibs.records import ImageFacts

# Below this many files a pool of processes costs more than it saves.
POOL_FROM_FILES = 1000
BAR_AFTER_SECONDS = 2.0


def iter_image_files(folder: Path) -> Iterator[Path]:
    """The files below a folder that look like images, by ending or by the DICOM mark."""
    from mammolibs.imaging import iter_image_files as files

    return files(folder)


def read_facts(path: Path) -> ImageFacts:
    """What the header of one image file says. Raises BadFile."""
    from mammolibs.imaging import read_facts as read

    return read(path)


class Headers:
    """The headers of many files, read at once: `headers[path]` gives the facts, or raises the BadFile of that file.

    Many files are read by a pool of processes, which survives a file that hangs or kills its reader.
    """

    def __init__(self, paths: Iterable[Path]):
        from tqdm import tqdm

        from mammolibs.imaging.pool import map_files

        wanted = list(dict.fromkeys(paths))
        workers = min(os.cpu_count() or 1, 16) if len(wanted) >= POOL_FROM_FILES else 0
        answers = map_files(read_facts, wanted, workers=workers)
        bar = tqdm(answers, total=len(wanted), desc="reading headers", unit="file", delay=BAR_AFTER_SECONDS, leave=False)
        self._answers: dict[Path, ImageFacts | MammolibsError] = dict(bar)

    def __getitem__(self, path: Path) -> ImageFacts:
        answer = self._answers[path]
        if isinstance(answer, MammolibsError):
            raise answer
        return answer
