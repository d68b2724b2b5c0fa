"""Image files -> 16-bit PNGs with a JSON of facts beside each: for people and programs that read no DICOM."""

from __future__ import annotations

import contextlib
import csv
import functools
import io
import itertools
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mammolibs.errors import BadData, BadFile, MammolibsError
from mammolibs.imaging.files import DICOM_ENDINGS, PLAIN_ENDINGS, iter_image_files
from mammolibs.imaging.pool import map_files
from mammolibs.imaging.read import read_facts, read_mammogram, read_stored
from mammolibs.imaging.write import write_png16
from mammolibs.records import ImageFacts
from mammolibs.storage import write_atomic, write_json

SIGNED_OFFSET = 32768
# How a name ends that looks like that of a frame.
FRAME = re.compile(r"_f\d{3,}$")


@dataclass(frozen=True)
class Extraction:
    """One file and where it goes: `target` is the path of its PNGs without frame and ending."""

    source: Path
    target: Path


@dataclass(frozen=True, kw_only=True)
class ExtractReport:
    """written: PNGs. files: inputs that gave them. skipped: (file, reason) of those that gave none."""

    written: int
    files: int
    skipped: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        text = f"{self.written} images from {self.files} files"
        return text + (f"; {len(self.skipped)} skipped, listed in skipped.csv" if self.skipped else "")


def extract(
    source: str | os.PathLike, out: str | os.PathLike, *, raw: bool = False, workers: int | None = None, timeout_s: float = 60.0
) -> ExtractReport:
    """Write the images of a file, or of all files below a folder, as PNG and JSON into `out`.

    A folder's structure is kept. Files that cannot be read are left out, counted, and
    listed in `skipped.csv`. A file that takes over `timeout_s` counts as one of them.
    Raises BadFile for a single file that cannot be read, for a source that is not there
    and for a folder that cannot be written; BadData where a folder gives no image at all.
    """
    source, out = Path(source), Path(out)
    if source.is_dir():
        return _extract_folder(source, out, raw, workers or os.cpu_count() or 1, timeout_s)
    if not source.exists():
        raise BadFile(source, "is not there", "give an image file or a folder of images")
    # One file goes through the pool as well: it too can kill or hang its reader.
    for _, answer in map_files(
        functools.partial(extract_file, raw=raw), [Extraction(source, out / _bare(source))], workers=1, timeout_s=timeout_s, describe=_name
    ):
        if isinstance(answer, MammolibsError):
            raise answer
    return ExtractReport(written=answer, files=1, skipped=())


def extract_file(job: Extraction, *, raw: bool) -> int:
    """Write the images of one file; returns how many. Raises BadFile where it cannot be read or the target not be written.

    raw False: the image as displayed, [0, 1] as 0 to 65535. raw True: the stored values,
    signed ones with 32768 added, colour as RGB.
    """
    written: list[Path] = []
    try:
        for name, pixels, facts in _raw_frames(job.source) if raw else _displayed_frames(job.source):
            target = job.target.with_name(job.target.name + name)
            written += [target.with_name(f"{target.name}.png"), target.with_name(f"{target.name}.json")]
            write_png16(written[-2], pixels)
            write_json(written[-1], facts)
    except MammolibsError:
        # A file counts as read or as skipped: the frames before its damaged one go with it.
        for path in written:
            with contextlib.suppress(OSError):
                path.unlink()
        raise
    return len(written) // 2


def _displayed_frames(path: Path) -> Iterator[tuple[str, np.ndarray, dict]]:
    frames = read_facts(path).frames
    for frame in range(frames):
        mammogram = read_mammogram(path, frame=frame)
        pixels = np.rint(mammogram.pixels * np.float32(65535)).astype(np.uint16)
        yield _frame_name(frame) if frames > 1 else "", pixels, _facts_json(mammogram.facts, frame, mammogram.display_chain)


def _raw_frames(path: Path) -> Iterator[tuple[str, np.ndarray, dict]]:
    stored = read_stored(path)
    offset = SIGNED_OFFSET if stored.frames.dtype.kind == "i" else 0
    if stored.frames.dtype.itemsize > 2 and (stored.frames.min() + offset < 0 or stored.frames.max() + offset > 65535):
        raise BadFile(path, "has stored values beyond 16 bits", "leave out --raw")
    for frame, values in enumerate(stored.frames):
        pixels = (values.astype(np.int64) + offset).astype(np.uint16) if offset else values.astype(np.uint16)
        yield _frame_name(frame), pixels, _facts_json(stored.facts, frame, ()) | {"value_offset": offset}


def _facts_json(facts: ImageFacts, frame: int, chain: tuple[str, ...]) -> dict:
    names = [
        "source_file",
        "transfer_syntax",
        "rows",
        "columns",
        "bits_stored",
        "photometric",
        "laterality",
        "view",
        "spacing_mm",
        "manufacturer",
        "presentation_intent",
    ]
    return {name: getattr(facts, name) for name in names} | {"frame": frame, "display_chain": list(chain)}


def _extract_folder(source: Path, out: Path, raw: bool, workers: int, timeout_s: float) -> ExtractReport:
    inside = out.resolve()
    files = [path for path in iter_image_files(source) if not path.resolve().is_relative_to(inside)]
    if not files:
        raise BadData(f"{source}: no image files below it; give a folder with DICOM, PNG, PGM, JPEG or TIFF files")
    jobs = plan(files, source, out)
    _write_skipped(out / "skipped.csv", [])
    written, skipped = 0, []
    answers = map_files(
        functools.partial(extract_file, raw=raw), jobs, workers=min(workers, len(jobs)), timeout_s=timeout_s, describe=_name
    )
    for job, answer in tqdm(answers, total=len(jobs), unit="file", desc="extract", delay=2.0, leave=False):
        if isinstance(answer, MammolibsError):
            # Of one that was stopped from outside, some frames may be there.
            _remove_images(job.target)
            skipped.append((str(job.source), _reason(answer)))
        else:
            written += answer
    _write_skipped(out / "skipped.csv", sorted(skipped))
    if len(skipped) == len(jobs):
        raise BadData(
            f"{source}: none of {len(jobs)} files could be read, the first because it {sorted(skipped)[0][1]}; see {out / 'skipped.csv'}"
        )
    return ExtractReport(written=written, files=len(jobs) - len(skipped), skipped=tuple(sorted(skipped)))


def plan(files: list[Path], source: Path, out: Path) -> list[Extraction]:
    """Where each file goes: its place below `source`, without its ending; with it where two would meet otherwise."""
    whole = [path.relative_to(source) for path in files]
    names = [path.with_name(_bare(path)) for path in whole]
    # A whole name may be the bare one of a third file, so once more until nothing changes.
    while (kept := [path if name in _meeting(names) else name for path, name in zip(whole, names, strict=True)]) != names:
        names = kept
    return [Extraction(path, out / name) for path, name in zip(files, names, strict=True)]


def _meeting(names: list[Path]) -> set[Path]:
    """Names that others have too, or whose files would be called like the frames of another's."""
    # Some file systems take "A" and "a" for the same name.
    lower = [str(name).lower() for name in names]
    bases = {text: base if (base := FRAME.sub("", text)) in lower else text for text in lower}
    often = Counter(bases[text] for text in lower)
    return {name for name, text in zip(names, lower, strict=True) if often[bases[text]] > 1}


def _remove_images(target: Path) -> None:
    """Remove what was written of a file: its image, or its frames as far as they go."""
    for name in itertools.chain([""], map(_frame_name, itertools.count())):
        images = [target.with_name(f"{target.name}{name}{ending}") for ending in (".png", ".json")]
        if name and not any(path.is_file() for path in images):
            return
        for path in images:
            path.unlink(missing_ok=True)


def _frame_name(frame: int) -> str:
    return f"_f{frame:03d}"


def _bare(path: Path) -> str:
    # Only endings that are known are cut: the last part of a UID is no ending.
    return path.stem if path.suffix.lower() in DICOM_ENDINGS + PLAIN_ENDINGS else path.name


def _name(job: Extraction) -> str:
    return str(job.source)


def _reason(error: MammolibsError) -> str:
    text = f"{error.problem}; {error.remedy}" if isinstance(error, BadFile) else str(error)
    return " ".join(text.split())


def _write_skipped(path: Path, skipped: list[tuple[str, str]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("item", "reason"))
    writer.writerows(skipped)
    write_atomic(path, text.getvalue().encode())
