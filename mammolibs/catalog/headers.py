"""Where the catalog touches image files: their headers. The imaging room loads on first use, so that reading a finished catalog stays cheap."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from mammolibs.catalog.source import BAR_AFTER_SECONDS, SourceResult
from mammolibs.errors import BadFile
from mammolibs.records import ImageFacts


def read_facts(path: Path) -> ImageFacts:
    """What the header of an image file says; pixels are not decoded. Raises BadFile."""
    from mammolibs.imaging import read_facts as read

    return read(path)


def iter_image_files(folder: Path) -> Iterator[Path]:
    """The files below a folder that look like images, by ending or by the DICOM mark."""
    from mammolibs.imaging import iter_image_files as files

    return files(folder)


def read_headers(result: SourceResult, paths: Iterable[Path]) -> dict[Path, ImageFacts]:
    """path -> what its header says; a file that cannot be read is skipped with its reason."""
    from tqdm import tqdm

    headers = {}
    for path in tqdm(list(paths), desc="reading headers", unit="file", delay=BAR_AFTER_SECONDS, leave=False):
        try:
            headers[path] = read_facts(path)
        except BadFile as error:
            result.skip(path, error.problem)
    return headers
