"""The planted fault "a leaking split": every kind of leak that `bench.py leaks` plants, in turn, found by what evaluation refuses on."""

from __future__ import annotations

import argparse
import functools
import tempfile
from pathlib import Path

import numpy as np

from benches import leaks
from mammolibs.catalog import Thumbnails
from mammolibs.records import ImageRow

KINDS = tuple(kind for kind, expected in leaks.EXPECTED.items() if expected)
EXAMS = 16


@functools.cache
def phantoms() -> tuple[tempfile.TemporaryDirectory, list[list[ImageRow]], Thumbnails]:
    """Two images of each patient's first exam; the folder lives as long as the process."""
    folder = tempfile.TemporaryDirectory()
    by_patient = leaks.images(argparse.Namespace(source=None, exams=EXAMS, seed=0), Path(folder.name))
    return folder, by_patient, Thumbnails(Path(folder.name) / "thumbnails")


def alarms(seed: int, planted: bool) -> tuple[str, ...]:
    """What `check_held_out` refuses to evaluate on: the leaks of the test set, each with its number. A leak that is not named as what it is counts as missed."""
    folder, by_patient, thumbnails = phantoms()
    rng = np.random.default_rng(seed)
    kind = KINDS[seed % len(KINDS)] if planted else "clean"
    made = leaks.plant(kind, leaks.clean_split(by_patient, rng), rng, Path(folder.name) / f"{kind}-{seed}.png")
    verdict = leaks.judge(made, thumbnails, as_pool=False)
    named = leaks.is_named(verdict, leaks.EXPECTED[kind], made.names)
    return tuple(f"{number} ({offence})" for offence, number in verdict.offences("test").items()) if named or not planted else ()
