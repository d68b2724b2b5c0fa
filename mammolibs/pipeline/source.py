"""One file that nobody has catalogued, as `predict` needs it. No torch: a worker that reads must start at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mammolibs.imaging import read_facts, read_mammogram
from mammolibs.imaging.preview import preview
from mammolibs.ingest import examine
from mammolibs.prepare import Contract, Prepared, prepare_both
from mammolibs.records import ImageFacts, Policy, Verdict


@dataclass(frozen=True, eq=False, kw_only=True)
class Source:
    """One file, small for the eye (uint8 H W) and, unless its verdict refuses it, prepared for the networks; original: height, width."""

    path: Path
    frame: str
    facts: ImageFacts
    original: tuple[int, int]
    verdict: Verdict
    prepared: Prepared | None
    picture: np.ndarray


def read_source(path: Path, contract: Contract, spacing_mm: float | None, policy: Policy = Policy()) -> Source:
    """One file for the networks and for the eye; of several frames the middle one, as in training. Raises BadFile."""
    frames = read_facts(path).frames
    mammogram = read_mammogram(path, frame=frames // 2, spacing_mm=spacing_mm)
    verdict, located = examine(mammogram, contract, policy, "predict")
    return Source(
        path=path,
        frame=f"frame {frames // 2 + 1} of {frames}" if frames > 1 else "",
        facts=mammogram.facts,
        original=mammogram.pixels.shape[:2],
        verdict=verdict,
        prepared=None if verdict.refused else prepare_both(mammogram, contract, located=located),
        picture=preview(mammogram.pixels),
    )
