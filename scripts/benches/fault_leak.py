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
    """The leaks that the audit names, each with its number, of a split with one leak or of a clean one.

    A leak counts as missed where it is not named as what it is, or where evaluation would not refuse the test set for it; an image of an
    official test set in training is named alone, since the split's own test set stays held out.
    """
    folder, by_patient, thumbnails = phantoms()
    rng = np.random.default_rng(seed)
    kind = KINDS[seed % len(KINDS)] if planted else "clean"
    made = leaks.plant(kind, leaks.clean_split(by_patient, rng), rng, Path(folder.name) / f"{kind}-{seed}.png")
    verdict = leaks.judge(made, thumbnails, as_pool=False)
    expected = leaks.EXPECTED[kind]
    refused = kind == "official" or expected in verdict.offences("test")
    if planted and not (leaks.is_named(verdict, expected, made.names) and refused):
        return ()
    return tuple(f"{len(offenders)} ({name})" for name, offenders in verdict.leaks.items() if offenders)
